"""What is read from: a folder, the Hugging Face hub, or any store of fsspec."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, TransferError
from hwgpt_blackbox.hosting.addresses import Address
from hwgpt_blackbox.hosting.listing import Listing, check_foreign
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import MAX_MANIFEST_BYTES, read_small
from hwgpt_blackbox.storage.remote import OBJECT_STORES, Access, failures, open_store

Count = Callable[[str, int], None]
"""Told of bytes of a file as they come; raises where they are more than there may be."""


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
        """Names in the folder with sizes (None: a folder, or not told); None: not to be listed."""

    def fetch(self, name: str, folder: Path, count: Count) -> Path:
        """Fetch a file into a folder; where it is there."""


def open_source(address: Address, revision: str | None, access: Access) -> Source:
    """A source that reads from an address.

    :param revision: branch, tag or commit, where the host keeps them
    :raises InputError: the address is malformed
    :raises MissingExtraError: the library for this kind of address is not installed
    :raises TransferError: the host does not answer
    """
    if address.scheme == "file":
        return FolderSource(Path(address.url))
    if address.scheme == "hf":
        from hwgpt_blackbox.hosting.hub import HubSource

        return HubSource(address.url, revision, access)
    return StoreSource(address, access)


def fetch_manifest(source: Source) -> bytes:
    """The manifest at a source.

    :raises HWGPTError: it is not there, too large, or the host does not answer
    """
    with TemporaryDirectory(prefix="hwgpt-") as folder, counting(source, None, False) as count:
        path = source.fetch(MANIFEST, Path(folder), count)
        return read_small(path, MAX_MANIFEST_BYTES, f"it is what {source.url} holds")


@contextmanager
def counting(source: Source, listing: Listing | None, shown: bool) -> Iterator[Count]:
    """Count bytes as they come, for a progress bar on standard error, and refuse too many.

    After the block it raises, which ends what other threads still fetch.

    :param listing: of the artifact, which says how large its files are; None: for its manifest
    """
    from tqdm import tqdm

    limits = {file.name: file.size for file in listing.files} if listing else {}
    came, lock, done = dict.fromkeys(limits, 0), threading.Lock(), threading.Event()
    with tqdm(
        desc=listing.name if listing else None,
        total=sum(limits.values()),
        unit="B",
        unit_scale=True,
        mininterval=0.1 if sys.stderr.isatty() else 10.0,
        disable=not shown,
        file=sys.stderr,
    ) as bar:

        def count(name: str, size: int) -> None:
            if done.is_set():
                raise TransferError(f"{source.url} is not read any more")
            with lock:
                came[name] = came.get(name, 0) + size
                bar.update(size)
            if came[name] > (limit := limits.get(name, MAX_MANIFEST_BYTES)):
                found = f"goes on after the {limit} bytes that its {MANIFEST} says"
                if not listing:
                    found = f"is larger than {limit} bytes"
                raise DataError(f"{source.url}/{name} {found}; refused")

        try:
            yield count
        finally:
            done.set()


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
        with failures(self.url):
            for entry in os.scandir(self._folder):
                if entry.is_symlink():
                    raise TransferError(f"{self.url}: {entry.name!r} is a symbolic link; refused")
                is_file = entry.is_file(follow_symlinks=False)
                found[entry.name] = entry.stat(follow_symlinks=False).st_size if is_file else None
        return found

    def fetch(self, name: str, folder: Path, count: Count) -> Path:
        """Copy a regular file."""
        path, target = self._folder / name, folder / name
        if path.is_symlink():
            raise TransferError(f"{path}: {name!r} is a symbolic link; refused")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        with failures(str(path)), os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise TransferError(f"{path}: {name!r} is no regular file; refused")
            with target.open("wb") as copy:
                while chunk := file.read(1 << 20):
                    count(name, len(chunk))
                    copy.write(chunk)
        return target


class StoreSource:
    """A folder in a store that fsspec opens.

    :param address: of the folder
    :raises InputError: there is no such kind of store
    :raises MissingExtraError: the library for it is not installed
    """

    revision: str | None = None
    ignored: frozenset[str] = frozenset()

    def __init__(self, address: Address, access: Access) -> None:
        self.url, self._scheme = address.shown, address.scheme
        options = {"skip_instance_cache": True, **access.options}
        access = Access(access.endpoint, access.token, access.anonymous, options)
        self._store, self._path = open_store(address.url, access)

    def entries(self) -> dict[str, int | None] | None:
        """Names in the folder, with sizes of files; None for web servers, which do not list."""
        if self._scheme in ("http", "https"):
            return None
        with failures(self.url):
            rows = self._store.ls(self._path, detail=True)
        found: dict[str, int | None] = {}
        for row in rows:
            if (path := str(row["name"]).rstrip("/")) == self._path.strip("/"):
                continue  # some stores list the folder itself
            found[path.rpartition("/")[2]] = row.get("size") if row.get("type") == "file" else None
        return found

    def fetch(self, name: str, folder: Path, count: Count) -> Path:
        """Fetch a file."""
        from fsspec.callbacks import Callback

        class Counted(Callback):  # type: ignore[misc]
            def relative_update(self, inc: int = 1) -> None:
                count(name, inc)

        target = folder / name
        with failures(f"{self.url}/{name}"):
            self._store.get_file(f"{self._path}/{name}", str(target), callback=Counted())
        return target

    def write(self, folder: Path, listing: Listing, *, overwrite: bool) -> None:
        """Send an artifact; while it is under way there is none at the address.

        :param folder: of the artifact
        :param overwrite: remove what else is at the address
        :raises OutputError: other files are there, and they are not to be removed
        :raises HWGPTError: the store refuses or fails; what was sent stays, without a manifest
        """
        if self._scheme in ("http", "https"):
            raise InputError(f"{self.url}: web servers take no files; push to a store or a hub")
        foreign: list[str] = []
        with suppress(MissingArtifactError):
            foreign = sorted(set(self.entries() or ()) - listing.names)
        if not overwrite:
            check_foreign(foreign, self.url)
        with failures(self.url):
            if self._scheme not in OBJECT_STORES:
                self._store.makedirs(self._path, exist_ok=True)
            self._drop(MANIFEST)
            for file in listing.files:
                self._store.put_file(str(folder / file.name), f"{self._path}/{file.name}")
            for name in foreign:
                self._drop(name)
            self._store.pipe_file(f"{self._path}/{MANIFEST}", listing.content)

    def _drop(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._store.rm(f"{self._path}/{name}", recursive=name != MANIFEST)
