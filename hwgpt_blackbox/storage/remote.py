"""Hosts: how they are reached, what their failures mean, and what is never shown of them.

One policy for artifacts (hosting) and for results at URLs (experiments). Attempts, pauses between
them and what is resumed are those of the libraries.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from hwgpt_blackbox.errors import (
    HWGPTError,
    InputError,
    MissingArtifactError,
    MissingExtraError,
    TransferError,
    printable,
    require,
)
from hwgpt_blackbox.storage.atomic_writes import FULL

TIMEOUT = 20
"""Seconds without a byte after which a connection counts as cut."""

ATTEMPTS = 3
"""Times that a request to S3 is made, and that it is gone on with after a cut."""

OBJECT_STORES = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "r2", "s3", "s3a"}
)
"""Protocols where a put shows the whole object or nothing, and folders need not be made."""


def redact(text: str) -> str:
    """A text without the secrets that URLs in it may hold: for messages and records.

    These are what stands before the host, a token or a user and password, and the query.

    >>> redact("sftp://me:secret@host/x failed, as did https://host/y?token=secret")
    'sftp://***@host/x failed, as did https://host/y?***'
    """
    text = re.sub(r"://[^/\s]*@", "://***@", text)
    return re.sub(r"(://[^\s?]*\?)\S*", r"\1***", text)


def is_web_address(text: str) -> bool:
    """Whether a text is an address of the web, with a host and, if any, a port that exists."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check_text(argument: str, value: object) -> None:
    """Raise unless an argument is text, or None.

    :raises InputError: it is of another type
    """
    if not isinstance(value, str | None):
        raise InputError(f"{argument} is {value!r:.200}; expected text")


@dataclass(frozen=True)
class Access:
    """How a host is reached; what it does not use is passed over.

    :param endpoint: of the hub or of S3; None: as their environment variables say
    :param token: for the hub; None: as ``HF_TOKEN`` or the hub's own login says
    :param anonymous: whether to send no credentials
    :param options: further arguments of the file system of fsspec
    :raises InputError: an argument is of another type, or the token could be none
    """

    endpoint: str | None = None
    token: str | None = None
    anonymous: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_text("endpoint", self.endpoint)
        if not isinstance(self.options, Mapping):
            raise InputError(f"options is {self.options!r:.200}; expected a mapping")
        # A token is not shown: it may be one with a line break.
        if not isinstance(self.token, str | None):
            raise InputError(f"token is of type {type(self.token).__name__}; expected a string")
        if self.token is not None and not re.fullmatch(r"[!-~]+", self.token):
            raise InputError("token is empty, or holds blanks or characters that no token has")


def open_store(url: str, access: Access | None = None) -> tuple[Any, str]:
    """The file system of fsspec for a URL, and the path in it.

    :param access: default: as the environment says
    :raises InputError: fsspec knows no such protocol, or refuses the options
    :raises MissingExtraError: the library for it is not installed
    :raises TransferError: the host is not reached; some connect at once
    """
    access, scheme = access or Access(), url.partition("://")[0]
    require("fsspec", extra="storage")
    options: dict[str, Any] = {}
    if scheme in ("s3", "s3a"):
        require("s3fs", extra="storage")
        if access.endpoint and not is_web_address(access.endpoint):
            raise InputError(f"endpoint {redact(access.endpoint)!r} is no http(s):// address")
        options = _s3_options(access)
    elif access.endpoint:
        raise InputError(f"an endpoint is for the hub and S3; leave it out for {redact(url)}")
    elif scheme in ("http", "https") and "client_kwargs" not in access.options:
        require("aiohttp", extra="storage")
        from aiohttp import ClientTimeout

        # Its own default ends any download after 5 minutes.
        timeout = ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=TIMEOUT)
        options = {"client_kwargs": {"timeout": timeout}}
    from fsspec.core import url_to_fs

    with failures(redact(url)):
        try:
            store, path = url_to_fs(url, **options | dict(access.options))
        except ImportError as error:
            raise MissingExtraError(f"{redact(url)} needs a library: {error}") from error
        except (ValueError, TypeError) as error:
            raise InputError(
                f"{redact(url)} cannot be opened ({redact(str(error))}); expected a URL of a file "
                "system that fsspec knows"
            ) from error
    if scheme in ("s3", "s3a"):
        store.retries = ATTEMPTS
    return store, str(path).rstrip("/")


def _s3_options(access: Access) -> dict[str, Any]:
    return {
        "anon": access.anonymous,
        "endpoint_url": access.endpoint,
        "config_kwargs": {
            "connect_timeout": TIMEOUT,
            "read_timeout": TIMEOUT,
            "retries": {"total_max_attempts": ATTEMPTS, "mode": "standard"},
        },
        "max_concurrency": 1,  # each part of a file would be held in memory, whatever its size
        "use_listings_cache": False,
    }


@contextlib.contextmanager
def failures(what: str) -> Iterator[None]:
    """Turn the exceptions that libraries of hosts raise in the block into ours.

    :param what: what is done or read, for messages
    :raises MissingArtifactError: it is not there
    :raises TransferError: the host refuses, fails or is not reached
    """
    try:
        yield
    except HWGPTError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        raise _error(what, error) from error


def _error(what: str, error: Exception) -> HWGPTError:
    """The error that users see for an exception of a library."""
    status, reason = _answer(error)
    names = {type(cause).__name__ for cause in _chain(error)}
    if status is None and "NoCredentialsError" in names:
        status = 403
    # A host that is not reached is a file that is not there, too, to fsspec and the hub's library.
    if status is None and isinstance(error, FileNotFoundError) and error.__cause__ is None:
        status = 404
    if status is None and isinstance(error, PermissionError):
        status = 403
    reason = reason or f"{type(error).__name__}: {error}"
    if isinstance(error, ValueError | KeyError | TypeError | AttributeError | AssertionError):
        reason = f"unexpected answer ({reason})"
    # Hosts send what they like, and terminals heed it.
    reason = printable(redact(" ".join(reason[:10_000].split())[:300]))
    if status == 404:
        return MissingArtifactError(f"{what}: not there ({reason}); check the address")
    if status in (401, 403):
        return TransferError(
            f"{what}: no access ({reason}); check the address, and your credentials: HF_TOKEN for "
            "a hub, the usual AWS variables or files for S3"
        )
    again = "; try again later" if status is None or status in (408, 429) or status >= 500 else ""
    return TransferError(f"{what} failed ({reason}){again}")


def _answer(error: BaseException) -> tuple[int | None, str]:
    """The HTTP status that an exception or one behind it holds, and what the host says."""
    for cause in _chain(error):
        answer = getattr(cause, "response", None)
        if isinstance(answer, dict):  # of botocore
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
            said = answer.get("Error", {}).get("Message")
        elif answer is not None:  # of the hub's client
            status, header = answer.status_code, answer.headers
            said = header.get("X-Error-Message") or header.get("X-Error-Code")
        else:  # of aiohttp
            status, said = getattr(cause, "status", None), getattr(cause, "message", None)
        if isinstance(status, int) and status >= 300:
            return status, f"HTTP {status}" + (f": {said}" if said else "")
    return None, ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
