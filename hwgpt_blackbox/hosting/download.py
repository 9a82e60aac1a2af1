"""Files of a listing, fetched in parallel, kept when cut, and checked."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import DataError, OutputError
from hwgpt_blackbox.hosting.listing import File, Listing
from hwgpt_blackbox.hosting.sources import Source
from hwgpt_blackbox.hosting.transfer import CHUNK, Failure, Patience
from hwgpt_blackbox.storage.atomic_writes import discard, writing
from hwgpt_blackbox.storage.locations import MANIFEST

OTHER_HOME = "choose another folder with --home"
"""How users of these commands choose where something is written."""


GRACE = 1.0
"""Seconds for a transfer to end what it writes when another has failed."""


class _Stopped(Exception):  # noqa: N818, seen by nobody outside
    """Another file failed, or the user interrupts."""


def fetch_manifest(source: Source, limit: int) -> bytes:
    """The manifest at a source.

    :param limit: more bytes are refused
    :raises HWGPTError: it is not there, too large, or the host does not answer
    """
    what = f"{source.url}/{MANIFEST}"
    patience, content = Patience(what), b""
    while True:
        try:
            for chunk in source.read(MANIFEST, 0, limit + 1):
                content += chunk
                if len(content) > limit:
                    raise DataError(f"{what} is larger than {limit} bytes; refused")
            return content
        except Failure as failure:
            content = b""
            patience.wait(failure)


def fetch_files(
    source: Source, listing: Listing, folder: Path, *, jobs: int, progress: bool
) -> dict[str, Path]:
    """Fetch every file that a listing names; what an earlier attempt left is used.

    :param folder: keeps what came, also when this fails
    :param jobs: files at once
    :param progress: show a progress bar on standard error
    :return: the files by name, in ``folder``, their sha256 checked
    :raises HWGPTError: a host fails, a file is not what the manifest says, the disk is full
    """
    stop = threading.Event()
    paths = {file.name: folder / f"{file.sha256[:16]}-{file.name}" for file in listing.files}
    try:
        with _bar(listing, progress) as advance:
            transfers = [
                _File(source, file, paths[file.name], advance, stop) for file in listing.files
            ]
            _run(transfers, jobs, stop)
    except OutputError:
        for path in paths.values():  # a full disk is not left full
            discard(path)
        raise
    return paths


def _run(transfers: Sequence[_File], jobs: int, stop: threading.Event) -> None:
    """Do all transfers, some at once; the first error stops them and is raised.

    The threads are no pool's: these would keep an interrupted process waiting for a silent host.
    Once stopped a transfer writes no more.
    """
    waiting: queue.SimpleQueue[_File] = queue.SimpleQueue()
    for transfer in transfers:
        waiting.put(transfer)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                waiting.get_nowait().fetch()
        except (queue.Empty, _Stopped):
            return
        except BaseException as error:
            errors.append(error)
            stop.set()

    count = min(jobs, len(transfers))
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive() and not stop.is_set():
                thread.join(0.1)
    finally:
        stop.set()
        for thread in threads:
            thread.join(GRACE)
    if errors:
        raise errors[0]


class _File:
    """The transfer of one file."""

    def __init__(
        self,
        source: Source,
        file: File,
        path: Path,
        advance: Callable[[int], Any],
        stop: threading.Event,
    ) -> None:
        self._source, self._file, self._path = source, file, path
        self._advance, self._stop = advance, stop
        self._what = f"{source.url}/{file.name}"
        self._patience = Patience(self._what, stop)
        self._resumed = False

    def fetch(self) -> None:
        """Fetch it, or what is missing of it.

        :raises HWGPTError: it cannot be had, or is not what the manifest says
        """
        again = True
        while self._fetch_rest() != self._file.sha256:
            self._advance(-self._path.stat().st_size)
            self._path.unlink()
            if not (self._resumed and again):
                raise DataError(
                    f"{self._what} is not the file of its {MANIFEST}: its sha256 differs; it was "
                    "damaged, or changed after it was published; nothing was installed"
                )
            # What was kept may be at fault, or a host that begins elsewhere: once more, whole.
            self._resumed = again = False

    def _fetch_rest(self) -> str:
        """Append until the file has its size; return its sha256."""
        digest, have = hashlib.sha256(), 0
        with writing(self._path, OTHER_HOME):
            if os.path.lexists(self._path) and not self._may_go_on():
                discard(self._path)
            target = self._path.open("ab+")
        with contextlib.closing(target):
            with writing(self._path, OTHER_HOME):
                target.seek(0)
                while chunk := target.read(CHUNK):
                    digest.update(chunk)
                    have += len(chunk)
            self._advance(have)
            self._patience.gain(have)
            self._resumed |= have > 0
            while have < self._file.size:
                self._resumed |= have > 0
                try:
                    for chunk in self._source.read(self._file.name, have, self._file.size):
                        self._check(have + len(chunk))
                        with writing(self._path, OTHER_HOME):
                            target.write(chunk)
                            target.flush()
                        digest.update(chunk)
                        have += len(chunk)
                        self._advance(len(chunk))
                        self._patience.gain(len(chunk))
                    if have < self._file.size:
                        cut = f"it ended after {have} of {self._file.size} bytes"
                        raise Failure(cut, again=True)
                except Failure as failure:
                    self._patience.wait(failure)
                    self._check(have)
        return digest.hexdigest()

    def _may_go_on(self) -> bool:
        """Whether what was kept is a plain file of at most the right size."""
        found = self._path.lstat()
        return stat.S_ISREG(found.st_mode) and found.st_size <= self._file.size

    def _check(self, have: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        if have > self._file.size:
            raise DataError(
                f"{self._what} goes on after the {self._file.size} bytes that its {MANIFEST} says; "
                "refused"
            )


@contextlib.contextmanager
def _bar(listing: Listing, shown: bool) -> Iterator[Callable[[int], Any]]:
    """A progress bar in bytes; the function it gives may be called by any thread."""
    from tqdm import tqdm

    lock = threading.Lock()
    interval = 0.1 if sys.stderr.isatty() else 10.0
    with tqdm(
        desc=listing.name,
        total=listing.size,
        unit="B",
        unit_scale=True,
        mininterval=interval,
        disable=not shown,
        file=sys.stderr,
    ) as bar:

        def advance(size: int) -> None:
            with lock:
                bar.update(size)

        yield advance
