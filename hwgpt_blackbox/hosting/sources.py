"""What is read from: a folder, the Hugging Face hub, or any store of fsspec."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hwgpt_blackbox.errors import InputError, MissingArtifactError, TransferError
from hwgpt_blackbox.hosting.addresses import Address, check_text
from hwgpt_blackbox.hosting.transfer import CHUNK, Failure


@dataclass(frozen=True)
class Access:
    """How a host is reached; what it does not use is passed over.

    :param endpoint: of the hub or of S3; None: as their environment variables say
    :param token: for the hub; None: as ``HF_TOKEN`` or the hub's own login says
    :param anonymous: whether to send no credentials
    :param options: further arguments of the file system of fsspec
    :param offline: whether the network must not be touched
    :raises InputError: an argument is of another type, or the token could be none
    """

    endpoint: str | None = None
    token: str | None = None
    anonymous: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    offline: bool = False

    def __post_init__(self) -> None:
        check_text("endpoint", self.endpoint)
        if not isinstance(self.options, Mapping):
            raise InputError(f"options is {self.options!r:.200}; expected a mapping")
        # A token is not shown: it may be one with a line break.
        if not isinstance(self.token, str | None):
            raise InputError(f"token is of type {type(self.token).__name__}; expected a string")
        if self.token is not None and not re.fullmatch(r"[!-~]+", self.token):
            raise InputError("token is empty, or holds blanks or characters that no token has")

    @property
    def hub_token(self) -> str | bool | None:
        """The token as the hub's library takes it: False sends none."""
        return False if self.anonymous else self.token

    def check_online(self, address: Address) -> None:
        """Raise where an address is on the network and that must not be touched.

        :raises TransferError: it is
        """
        if self.offline and address.is_remote:
            raise TransferError(
                f"{address.shown} is on the network, which offline mode does not touch"
            )


class Source(Protocol):
    """A folder somewhere that holds an artifact.

    :param url: the folder
    :param revision: what pins its state; None where the host keeps no revisions
    :param ignored: names that may lie beside the artifact's files
    """

    url: str
    revision: str | None
    ignored: frozenset[str]

    def entries(self) -> dict[str, int | None] | None:
        """Names in the folder with sizes (None: a folder, or not told); None: not to be listed.

        :raises Failure: the host does not answer
        """

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of a file from ``start``; more than ``stop`` if that is what the host sends.

        :raises Failure: the host does not answer, or the connection is cut
        """


def open_source(address: Address, revision: str | None, access: Access) -> Source:
    """A source that reads from an address.

    :param revision: branch, tag or commit, where the host keeps them
    :raises InputError: the address is malformed
    :raises MissingExtraError: the library for this kind of address is not installed
    :raises TransferError: the host does not answer, or offline
    """
    if address.scheme == "file":
        return FolderSource(Path(address.url))
    access.check_online(address)
    if address.scheme == "hf":
        from hwgpt_blackbox.hosting.hub import HubSource

        return HubSource(address.url, revision, access)
    from hwgpt_blackbox.hosting.stores import StoreSource

    return StoreSource(address, access)


class FolderSource:
    """A plain folder on this machine; links in it are not followed.

    :param folder: the folder; it may be a link itself
    :raises MissingArtifactError: there is none
    """

    revision: str | None = None
    ignored: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        self.url = str(folder)
        self._folder = folder
        if not folder.is_dir():
            raise MissingArtifactError(f"{folder} is no folder on this machine; check the address")

    def entries(self) -> dict[str, int | None]:
        """Names in the folder, with sizes of files."""
        found: dict[str, int | None] = {}
        try:
            for entry in os.scandir(self._folder):
                if entry.is_symlink():
                    raise Failure(f"{entry.name!r} is a symbolic link; refused", again=False)
                is_file = entry.is_file(follow_symlinks=False)
                found[entry.name] = entry.stat(follow_symlinks=False).st_size if is_file else None
        except OSError as error:
            raise _of_system(error) from error
        return found

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of a regular file from ``start`` up to ``stop``."""
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            descriptor = os.open(self._folder / name, flags)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise Failure(f"{name!r} is no regular file; refused", again=False)
                file.seek(start)
                while start < stop and (chunk := file.read(min(CHUNK, stop - start))):
                    start += len(chunk)
                    yield chunk
        except OSError as error:
            raise _of_system(error) from error


def _of_system(error: OSError) -> Failure:
    status = {FileNotFoundError: 404, PermissionError: 403}.get(type(error))
    return Failure(error.strerror or str(error), again=False, status=status)
