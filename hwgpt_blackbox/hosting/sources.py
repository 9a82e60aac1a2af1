"""What is read from and written to: a folder, or any store of fsspec; and what a hub shares."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, TransferError
from hwgpt_blackbox.hosting.addresses import Address
from hwgpt_blackbox.hosting.listing import Listing
from hwgpt_blackbox.storage.artifact_kinds import kind_of
from hwgpt_blackbox.storage.atomic_writes import Outputs, write_file, writing
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import MAX_MANIFEST_BYTES, read_small
from hwgpt_blackbox.storage.remote import OBJECT_STORES, Access, failures, open_store

Count = Callable[[str, int], None]
"""Called with a file's name and how many bytes of it came; raises when they are too many."""


class Source:
    """A folder somewhere that holds an artifact.

    :param url: the folder
    :param revision: what pins its state; None where the host keeps no revisions
    :param ignored: names that may lie beside the artifact's files
    """

    url: str
    revision: str | None = None
    ignored: frozenset[str] = frozenset()

    def entries(self) -> dict[str, int | None] | None:
        """Names in the folder with sizes (None: a folder, or not told); None: not to be listed."""
        raise NotImplementedError

    def get(self, name: str, folder: Path, count: Count) -> Path:
        """Fetch a file into a folder, or into the cache that it is; where the file is then."""
        raise NotImplementedError

    def manifest(self) -> bytes:
        """The manifest.

        :raises HWGPTError: it is not there, too large, or the host does not answer
        """
        self._entries = entries = self.entries()
        if entries is not None and MANIFEST not in entries:
            names = ", ".join(sorted(filter(kind_of, entries)))
            hint = f"; it holds {names}: add one of these to the address" if names else ""
            raise MissingArtifactError(f"{self.url}: not there (it has no {MANIFEST}){hint}")
        with TemporaryDirectory(prefix="hwgpt-") as folder, self._counting(None, False) as count:
            path = self.get(MANIFEST, Path(folder), count)
            return read_small(path, MAX_MANIFEST_BYTES, f"it is what {self.url} holds")

    def check(self, listing: Listing) -> None:
        """Compare what was there with its manifest, where it can be listed.

        :raises DataError: a file is missing, unlisted or of another size
        """
        entries = self._entries
        if entries is None:
            return
        unlisted = sorted(set(entries) - listing.names - self.ignored)
        if unlisted:
            shown = ", ".join(f"{name!a:.80}" for name in unlisted[:3])
            shown += " …" if len(unlisted) > 3 else ""
            raise DataError(
                f"{self.url} holds {shown}, which its {MANIFEST} "
                "does not list; whoever published it must remove that, or push the artifact again "
                "with --overwrite"
            )
        for name, size in listing.files.items():
            if name not in entries:
                raise DataError(f"{self.url} lacks {name}, which its {MANIFEST} lists")
            if entries[name] not in (None, size):
                raise DataError(
                    f"{self.url}/{name} has {entries[name]} bytes, its {MANIFEST} says {size}; it "
                    "was changed after it was published, or is being pushed right now"
                )

    def download(self, listing: Listing, folder: Path, jobs: int, progress: bool) -> Path:
        """Fetch an artifact.

        :param folder: the files get into it, or into the cache that it is
        :param jobs: files at once
        :return: the artifact's folder
        """
        with ThreadPoolExecutor(jobs) as pool, self._counting(listing, progress) as count:
            paths = list(pool.map(lambda name: self.get(name, folder, count), listing.files))
        write_file(paths[0].parent / MANIFEST, listing.content)
        return paths[0].parent

    @contextmanager
    def _counting(self, listing: Listing | None, shown: bool) -> Iterator[Count]:
        """Count bytes as they come, for a progress bar on standard error, and refuse too many.

        After the block it raises, which ends what other threads still fetch.

        :param listing: of the artifact, which says how large its files are; None: for its manifest
        """
        from tqdm import tqdm

        limits = listing.files if listing else {}
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
                    raise TransferError(f"{self.url} is not read any more")
                with lock:
                    came[name] = came.get(name, 0) + size
                    bar.update(size)
                if came[name] > (limit := limits.get(name, MAX_MANIFEST_BYTES)):
                    found = f"goes on after the {limit} bytes that its {MANIFEST} says"
                    if not listing:
                        found = f"is larger than {limit} bytes"
                    raise DataError(f"{self.url}/{name} {found}; refused")

            try:
                yield count
            finally:
                done.set()


class StoreSource(Source):
    """A folder of this machine, or in a store that fsspec opens.

    :param address: of the folder
    :raises InputError: there is no such kind of store
    :raises MissingExtraError: the library for it is not installed
    """

    def __init__(self, address: Address, access: Access) -> None:
        self.url, self._scheme = address.shown, address.scheme
        if self._scheme == "file":
            from fsspec.implementations.local import LocalFileSystem

            self._store, self._path = LocalFileSystem(), address.url  # a name may hold ::
            return
        options = {"skip_instance_cache": True, **access.options}
        access = Access(access.endpoint, access.token, access.anonymous, options)
        self._store, self._path = open_store(address.url, access)

    def entries(self) -> dict[str, int | None] | None:
        """Names in the folder, with sizes of files; None for web servers, which do not list.

        :raises TransferError: something is neither a file nor a folder: links are not followed
        """
        if self._scheme in ("http", "https"):
            return None
        if self._scheme == "file" and not Path(self._path).is_dir():
            raise MissingArtifactError(
                f"{self.url} is no folder on this machine; check the address"
            )
        with failures(self.url):
            rows = self._store.ls(self._path, detail=True)
        found: dict[str, int | None] = {}
        for row in rows:
            path, kind = str(row["name"]).rstrip("/"), row["type"]
            name = path.rpartition("/")[2]
            if row.get("islink") or kind not in ("file", "directory"):
                what = "a symbolic link" if row.get("islink") else "no regular file"
                raise TransferError(f"{self.url}: {name!r} is {what}; refused")
            if path != self._path.strip("/"):  # some stores list the folder itself
                found[name] = row["size"] if kind == "file" else None
        return found

    def get(self, name: str, folder: Path, count: Count) -> Path:
        """Fetch a file."""
        from fsspec.callbacks import Callback

        class CountingCallback(Callback):  # type: ignore[misc]
            def relative_update(self, inc: int = 1) -> None:
                count(name, inc)

        target = folder / name
        with failures(f"{self.url}/{name}"):
            self._store.get_file(f"{self._path}/{name}", str(target), callback=CountingCallback())
            if self._scheme == "file":  # which fsspec copies without counting
                count(name, target.stat().st_size)
        return target

    def write(self, artifact: Path, listing: Listing, stale: Iterable[str]) -> None:
        """Write an artifact: to a folder in one step; in a store there is none meanwhile.

        :param artifact: its folder
        :param stale: names there that are removed
        :raises OutputError: it cannot be written, or the folder there is no artifact
        :raises HWGPTError: the store refuses or fails; what was sent stays, without a manifest
        """
        if self._scheme in ("http", "https"):
            raise InputError(f"{self.url}: web servers take no files; push to a store or a hub")
        if self._scheme == "file":
            target, other = Path(self._path), "choose another address"
            # What else is there was listed as stale, and its removal asked for.
            with Outputs(
                target.parent, [target.name], overwrite=True, other=other, keep_others=False
            ) as outputs:
                outputs.need(listing.size)
                with writing(target, other):
                    copy_files(artifact, outputs.build(target.name))
                outputs.publish()
            return
        with failures(self.url):
            if self._scheme not in OBJECT_STORES:
                self._store.makedirs(self._path, exist_ok=True)
            self._drop(MANIFEST)
            for name in listing.files:
                self._store.put_file(str(artifact / name), f"{self._path}/{name}")
            for name in stale:
                self._drop(name)
            self._store.pipe_file(f"{self._path}/{MANIFEST}", listing.content)

    def _drop(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._store.rm(f"{self._path}/{name}", recursive=name != MANIFEST)


def copy_files(source: Path, target: Path) -> None:
    """Copy the files of an artifact."""
    for file in source.iterdir():
        shutil.copyfile(file, target / file.name)
