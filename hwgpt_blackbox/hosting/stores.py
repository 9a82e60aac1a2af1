"""Buckets and every other store that fsspec knows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import (
    HWGPTError,
    InputError,
    MissingArtifactError,
    MissingExtraError,
    require,
)
from hwgpt_blackbox.hosting.addresses import Address, is_web_address
from hwgpt_blackbox.hosting.listing import Listing, check_foreign
from hwgpt_blackbox.hosting.sources import Access
from hwgpt_blackbox.hosting.transfer import CHUNK, Failure, insist, of_status, redact, without
from hwgpt_blackbox.storage.locations import MANIFEST

S3_TIMEOUT = 20
"""Seconds without a byte after which a connection to S3 counts as cut."""

_UNLISTED = ("http", "https")
"""Protocols that cannot list a folder."""

_FLAT = ("s3", "gs", "gcs", "abfs", "abfss", "az", "oss", "oci")
"""Protocols without folders, where making one would make a bucket."""


def open_store(address: Address, access: Access) -> tuple[Any, str]:
    """The file system of an address, and the path in it; it does not try again, as we do.

    :raises Failure: it cannot be reached
    :raises InputError: fsspec knows no such protocol, or refuses the options
    :raises MissingExtraError: the library for it is not installed
    """
    options: dict[str, Any] = {"skip_instance_cache": True, **access.options}
    if address.scheme == "s3":
        require("s3fs", extra="storage")
        if access.endpoint and not is_web_address(access.endpoint):
            raise InputError(f"endpoint {redact(access.endpoint)!r} is no http(s):// address")
        options = _s3_options(access) | options
    elif access.endpoint:
        raise InputError(f"an endpoint is for the hub and S3; leave it out for {address.shown}")
    from fsspec.core import url_to_fs

    with failures():  # some connect at once
        try:
            store, path = url_to_fs(address.url, **options)
        except ImportError as error:
            raise MissingExtraError(f"{address.shown} needs a library: {error}") from error
        except (ValueError, TypeError) as error:
            raise InputError(f"{address.shown} cannot be opened: {redact(str(error))}") from error
    if address.scheme == "s3":
        store.retries = 1
    return store, str(path).rstrip("/")


def _s3_options(access: Access) -> dict[str, Any]:
    config: dict[str, Any] = {
        "connect_timeout": S3_TIMEOUT,
        "read_timeout": S3_TIMEOUT,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
    }
    return {
        "anon": access.anonymous,
        "config_kwargs": config,
        "endpoint_url": access.endpoint,
        "max_concurrency": 4,  # parts of 50 MB of a file that is sent, each in memory
        "use_listings_cache": False,
    }


class StoreSource:
    """A folder in a store.

    :param address: of the folder
    :raises InputError: there is no such kind of store
    :raises MissingExtraError: the library for it is not installed
    """

    revision: str | None = None
    ignored: frozenset[str] = frozenset()

    def __init__(self, address: Address, access: Access) -> None:
        self.url = address.shown
        self._is_s3 = address.scheme == "s3"
        self._listed = address.scheme not in _UNLISTED
        self._flat = address.scheme in _FLAT
        opened = insist(lambda: open_store(address, access), address.shown)
        self._store, self._path = opened

    def entries(self) -> dict[str, int | None] | None:
        """Names in the folder, with sizes of files; None for a protocol without listings."""
        if not self._listed:
            return None
        with failures():
            rows = self._store.ls(self._path, detail=True)
        found: dict[str, int | None] = {}
        for row in rows:
            if (path := str(row["name"]).rstrip("/")) == self._path.strip("/"):
                continue  # some stores list the folder itself
            found[path.rpartition("/")[2]] = row.get("size") if row.get("type") == "file" else None
        return found

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of a file from ``start``; more than ``stop`` if that is what the host sends."""
        with failures():
            if self._is_s3:
                yield from self._read_s3(name, start, stop)
            else:
                yield from self._read(name, start)

    def _read(self, name: str, start: int) -> Iterator[bytes]:
        path = f"{self._path}/{name}"
        with self._store.open(path, "rb", block_size=CHUNK, cache_type="readahead") as file:
            skip = start
            if start:
                with contextlib.suppress(ValueError, OSError):  # no random access
                    file.seek(start)
                    skip = 0
            yield from without(iter(lambda: file.read(CHUNK), b""), skip)

    def _read_s3(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """One streamed request: fsspec's own file would hold whatever the host sends in memory."""
        from fsspec.asyn import sync

        bucket, key, _ = self._store.split_path(f"{self._path}/{name}")
        answer = self._store.call_s3(
            "get_object", Bucket=bucket, Key=key, Range=f"bytes={start}-{stop - 1}"
        )
        ranged = answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        body = answer["Body"]
        try:
            chunks = iter(lambda: sync(self._store.loop, body.read, CHUNK), b"")
            yield from without(chunks, 0 if ranged else start)
        finally:
            body.close()

    def write(self, folder: Path, listing: Listing, *, overwrite: bool) -> None:
        """Send an artifact; while it is under way there is none at the address.

        :param folder: of the artifact
        :param overwrite: remove what else is at the address
        :raises OutputError: other files are there, and they are not to be removed
        :raises HWGPTError: the store refuses or fails; what was sent stays, without a manifest
        """
        if not self._listed:
            raise InputError(f"{self.url}: web servers take no files; push to a store or a hub")
        foreign = sorted(self._names() - listing.names)
        if not overwrite:
            check_foreign(foreign, self.url)
        if not self._flat:
            self._act(self._store.makedirs, self._path, exist_ok=True)
        self._act(_drop, self._store, f"{self._path}/{MANIFEST}")
        for file in listing.files:
            path = f"{self._path}/{file.name}"
            self._act(self._store.put_file, str(folder / file.name), path)
        for name in foreign:
            self._act(_drop, self._store, f"{self._path}/{name}", recursive=True)
        self._act(self._store.pipe_file, f"{self._path}/{MANIFEST}", listing.content)

    def _names(self) -> set[str]:
        try:
            return set(insist(self.entries, self.url) or ())
        except MissingArtifactError:
            return set()

    def _act(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        def guarded() -> None:
            with failures():
                function(*args, **kwargs)

        insist(guarded, self.url)


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turn what stores raise in the block, which is of many kinds, into :class:`Failure`."""
    try:
        yield
    except (Failure, HWGPTError):
        raise
    except Exception as error:
        raise _failure(error) from error


def _failure(error: Exception) -> Failure:
    """What an exception of a store means; libraries of stores raise many kinds."""
    for cause in _chain(error):
        answer = getattr(cause, "response", None)  # of botocore
        if isinstance(answer, dict) and "ResponseMetadata" in answer:
            row = answer["ResponseMetadata"]
            reason = str(answer.get("Error", {}).get("Message") or "")
            status, wait = row.get("HTTPStatusCode"), row.get("HTTPHeaders", {}).get("retry-after")
        else:  # of aiohttp
            status, reason = getattr(cause, "status", None), str(getattr(cause, "message", ""))
            wait = (getattr(cause, "headers", None) or {}).get("Retry-After")
        if isinstance(status, int) and status >= 400:
            return of_status(status, reason, wait)
    text = f"{type(error).__name__}: {error}"
    if any(type(cause).__name__ == "NoCredentialsError" for cause in _chain(error)):
        return Failure(text, again=False, status=403)
    # fsspec calls a host that it cannot reach a file that is not there.
    cut = isinstance(error.__cause__, OSError)
    if isinstance(error, FileNotFoundError) and not cut:
        return Failure(text, again=False, status=404)
    if isinstance(error, PermissionError):
        return Failure(text, again=False, status=403)
    # Bugs, and malformed addresses, which are no ValueError everywhere.
    lasting = ValueError | TypeError | AttributeError | NameError | NotImplementedError
    malformed = type(error).__name__ == "EndpointResolutionError"
    return Failure(text, again=not (malformed or isinstance(error, lasting)))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _drop(store: Any, path: str, *, recursive: bool = False) -> None:
    with contextlib.suppress(FileNotFoundError):
        store.rm(path, recursive=recursive)
