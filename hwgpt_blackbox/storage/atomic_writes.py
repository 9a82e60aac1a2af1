"""Writing files and folders whole: what has its name is complete.

Everything is made in a temporary folder beside its place, and gets its name in one step. The
temporary folder's name holds this package's and the host's, and its writer holds a lock in it. So a
later process can prove which of them a killed one left, and removes no others.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

from hwgpt_blackbox.errors import HWGPTError, OutputError, printable
from hwgpt_blackbox.storage.locations import MANIFEST, OLD, TEMPORARY, is_artifact

logger = logging.getLogger(__name__)

OTHER_FOLDER = "choose another folder with --out"
"""How users of most commands choose where something is written."""

_SPARE = 64 << 20
"""Bytes beyond the estimate that must be free."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk that is full."""

_TAKEN = {errno.ENOTEMPTY, errno.EEXIST}
"""What a rename says when a folder of the new name exists."""

_LOCK, _MARK, _NEW = "lock", "mark", "new"
"""What a temporary folder holds: the lock of its writer, a file that proves that it is ours, and
what is being made. What it replaces is set aside in ``OLD``."""


# -- temporary folders -----------------------------------------------------------------------------


@contextlib.contextmanager
def temporary_folder(parent: Path, label: str) -> Iterator[Path]:
    """A folder in ``parent`` for what is not complete yet; removed at the end of the block.

    :param label: begins its name
    :raises OSError: it cannot be made
    """
    from filelock import FileLock

    label = label.encode()[:100].decode(errors="ignore")
    path = parent / f".{label}{TEMPORARY}{_host()}.{secrets.token_hex(4)}.tmp"
    path.mkdir()
    lock = FileLock(path / _LOCK)
    try:
        # Without a lock, which some file systems lack, there is no mark: nobody may remove it then.
        with contextlib.suppress(OSError, NotImplementedError):
            lock.acquire(timeout=0)
            (path / _MARK).write_bytes(_mark(path.name))
        yield path
    finally:
        _empty(path)
        lock.release()
        shutil.rmtree(path, ignore_errors=True)


def clean_up(folder: Path) -> int:
    """Remove the temporary folders that killed processes left; put back what they had set aside.

    A folder is removed when its name and its mark say that this package made it on this host (and
    in this container), and nobody holds its lock. Everything else stays.

    :return: how many were removed
    """
    found = [path for path in folder.glob(f".*{TEMPORARY}{_host()}.*.tmp") if _is_ours(path)]
    return sum(map(_remove_unless_alive, sorted(found)))


def _remove_unless_alive(path: Path) -> bool:
    """Remove a temporary folder of ours, unless a process holds its lock."""
    from filelock import FileLock

    lock = FileLock(path / _LOCK)
    try:
        lock.acquire(timeout=0)
    except (OSError, NotImplementedError):  # held, or not ours to write
        return False
    try:
        left = {entry.name for entry in path.iterdir()} - {_LOCK, _MARK}
        aside = path / OLD
        for old in aside.iterdir() if aside.is_dir() and not aside.is_symlink() else ():
            target = path.parent / old.name
            if not os.path.lexists(target):
                old.rename(target)
                logger.warning("put back %s, which a killed process had set aside", target)
        _empty(path)
    except OSError as error:
        logger.warning("%s, left by a killed process, stays (%s)", path, error)
        return False
    finally:
        lock.release()
    shutil.rmtree(path, ignore_errors=True)
    if left:  # a process that is about to end has emptied its own
        logger.warning("removed %s, left by a process that was killed", path)
    return True


def _is_ours(path: Path) -> bool:
    """Whether a folder has the mark that :func:`temporary_folder` gives it here; no links."""
    mark, lock, expected = path / _MARK, path / _LOCK, _mark(path.name)
    try:
        return (
            not any(part.is_symlink() for part in (path, mark, lock))
            and mark.is_file()
            and mark.stat().st_size == len(expected)
            and mark.read_bytes() == expected
        )
    except OSError:
        return False


def _mark(name: str) -> bytes:
    """What proves that a temporary folder of this name was made by this package, and where."""
    try:
        container = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        container = ""
    return f"hwgpt-blackbox {name} {socket.gethostname()} {container}\n".encode()


def _host() -> str:
    """The host's name, as part of a file's name."""
    return re.sub("[^A-Za-z0-9-]", "-", socket.gethostname())[:40]


def _empty(path: Path) -> None:
    """Remove everything but what proves whose a temporary folder is; that goes last."""
    with contextlib.suppress(OSError):
        for entry in path.iterdir():
            if entry.name not in (_LOCK, _MARK):
                discard(entry)


# -- files -----------------------------------------------------------------------------------------

_clean_up_once = functools.cache(clean_up)
"""A folder is cleaned when this process first writes a file there: that lists it wholly."""


def write_file(path: Path, content: bytes | str | Callable[[Path], object]) -> None:
    """Write a file whole: under its name there is what was there, or all of the new.

    :param content: bytes, text (stored as UTF-8), or what writes the file that it is given, which
        has the same suffix
    :raises OSError: it cannot be written; nothing of it stays
    """
    _clean_up_once(path.parent.absolute())
    with temporary_folder(path.parent, path.name) as folder:
        new = folder / f"{_NEW}{path.suffix}"
        if callable(content):
            content(new)
        else:
            new.write_bytes(content.encode() if isinstance(content, str) else content)
        _to_disk(new)
        new.replace(path)


# -- folders ---------------------------------------------------------------------------------------


class Outputs:
    """Artifacts that are built in temporary folders beside their places, and then put there.

    A context manager. If it ends early, no temporary folder stays, and what was there before is as
    it was.

    :param folder: the folder that will hold the artifacts; made if need be
    :param names: their names
    :param overwrite: replace artifacts of these names
    :param other: how users choose another folder, for messages
    :param keep_others: refuse to replace an artifact whose folder holds other files
    :raises OutputError: an artifact exists, or the folder cannot be written
    """

    def __init__(
        self,
        folder: Path,
        names: list[str],
        *,
        overwrite: bool,
        other: str = OTHER_FOLDER,
        keep_others: bool = True,
    ) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self.other = other
        self._keep_others = keep_others
        self._names = names
        self._built: list[str] = []
        self._made: list[Path] = []
        self._temporary = contextlib.ExitStack()
        clean_up(folder)
        for name in names:
            self._check(folder / name)

    def _check(self, target: Path) -> None:
        if not os.path.lexists(target):
            return
        if not self.overwrite:
            raise OutputError(
                f"{target} exists; replace it with --overwrite (overwrite=True), or {self.other}"
            )
        # Another process may set it aside between two looks: is_artifact() waits for that.
        if not is_artifact(target) and os.path.lexists(target):
            raise not_an_artifact(target, self.other)
        if self._keep_others:
            check_others(target, self.other)

    def __enter__(self) -> Outputs:
        try:
            with writing(self.folder, self.other):
                missing = [p for p in (self.folder, *self.folder.parents) if not p.exists()]
                for path in reversed(missing):
                    path.mkdir()
                    self._made.append(path)
                # Made now, so that it fails before all the work where nothing can be written.
                self._work = self._temporary.enter_context(
                    temporary_folder(self.folder, self._names[0])
                )
                for part in (_NEW, OLD):
                    (self._work / part).mkdir()
        except BaseException:
            self._temporary.close()
            self._remove_made()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._temporary.close()
        if kind is not None:
            self._remove_made()

    def _remove_made(self) -> None:
        """Remove the folders that were made for nothing; one that is not empty stays."""
        for path in reversed(self._made):
            with contextlib.suppress(OSError):
                path.rmdir()

    def need(self, size: int) -> None:
        """Raise early when the disk cannot hold ``size`` bytes.

        :raises OutputError: less is free
        """
        need(self.folder, size, self.other)

    def build(self, name: str) -> Path:
        """A new temporary folder in which the artifact ``name`` is built.

        :raises OutputError: it cannot be made
        """
        path = self._work / _NEW / name
        with writing(self.folder, self.other):
            path.mkdir()
        self._built.append(name)
        return path

    def publish(self) -> list[Path]:
        """Put every artifact built in its place.

        Where another process does the same at the same time, the artifact of the last one stays.

        :return: their folders
        :raises OutputError: one exists by now, or cannot be moved; what was there is there again
        """
        targets = [self.folder / name for name in self._built]
        for target in targets:
            self._check(target)
        for target in targets:
            with writing(target, self.other):
                _sync(self._work / _NEW / target.name)
                self._put(self._work / _NEW / target.name, target)
        self._built.clear()
        return targets

    def _put(self, new: Path, target: Path) -> None:
        """Rename ``new`` to ``target``, while other processes may rename there, too.

        In one step where the file system can exchange two folders. Elsewhere there is a moment
        between two renames, for which readers wait (see ``locations.is_artifact``).
        """
        old = self._work / OLD / target.name
        try:
            while True:
                self._check(target)
                if self.overwrite:
                    try:
                        _exchange(new, target)
                        return
                    except FileNotFoundError:
                        pass  # nothing has the name
                    except OSError:  # this file system cannot
                        discard(old)  # of the turn before
                        with contextlib.suppress(FileNotFoundError):
                            target.rename(old)
                try:
                    new.rename(target)
                    return
                except OSError as error:
                    if error.errno not in _TAKEN:  # another process was faster: once more
                        raise
        finally:
            if os.path.lexists(old) and not os.path.lexists(target):
                try:
                    old.rename(target)
                except OSError as error:
                    if error.errno not in _TAKEN:  # another process has put its own there
                        raise


def not_an_artifact(target: Path, other: str) -> OutputError:
    """The error where something has the name of an artifact but is none."""
    return OutputError(
        f"{target} exists and is no artifact, so it is not replaced; move it away, or {other}"
    )


def check_others(folder: Path, other: str = OTHER_FOLDER) -> None:
    """Raise if the folder of an artifact holds what its manifest does not list.

    :param other: how users choose another folder, for the message
    :raises OutputError: it does; or its manifest is damaged, so that nothing says whose it is
    """
    others = _others_files(folder)
    if MANIFEST in others:
        raise OutputError(
            f"{folder / MANIFEST} is not the manifest of an artifact of ours, or damaged, so that "
            f"folder is not replaced; move the folder away, or {other}"
        )
    if others:
        raise OutputError(
            f"{folder} holds what its {MANIFEST} does not list ({', '.join(others[:3])}), so it is "
            f"not replaced; move that away, or {other}"
        )


def _others_files(folder: Path) -> list[str]:
    """Files in an artifact's folder that its manifest does not list; all, if that is not ours.

    None in a link: replacing it leaves what it points to. None if another process replaces the
    folder meanwhile: such a folder is ours.
    """
    if folder.is_symlink() or not folder.exists():
        return []
    try:
        before = folder.stat().st_ino
        names = {path.name for path in folder.iterdir()}
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
            ours = {MANIFEST, *manifest["files"]} if "schema_version" in manifest else set()
            names -= {name for name in ours & names if (folder / name).is_file()}
        except (ValueError, TypeError, KeyError, RecursionError):
            pass
        return sorted(map(printable, names)) if folder.stat().st_ino == before else []
    except FileNotFoundError:
        return []


def _exchange(one: Path, two: Path) -> None:
    """Exchange the names of two files, folders or links in one step.

    :raises FileNotFoundError: one is missing
    :raises OSError: the system or the file system cannot exchange
    """
    import ctypes

    rename = None
    if sys.platform == "linux":
        rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, "this system cannot exchange two names")
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename(here, os.fsencode(one), here, os.fsencode(two), exchange):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def need(folder: Path, size: int, other: str = OTHER_FOLDER) -> None:
    """Raise early when the disk of a folder cannot hold ``size`` bytes and a reserve.

    :param other: how users choose another folder, for the message
    :raises OutputError: less is free
    """
    with writing(folder, other):
        free = shutil.disk_usage(folder).free
    if free < size + _SPARE:
        raise OutputError(
            f"{folder}: {(size + _SPARE) >> 20} MB are needed, {free >> 20} MB are free; make "
            f"room, or {other}"
        )


def discard(path: Path) -> None:
    """Remove what has a name: a file, a link but not what it points to, a folder, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have the files on the disk before their folder gets its name."""
    for path in (*folder.iterdir(), folder):
        _to_disk(path)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing(what: Path, other: str = OTHER_FOLDER) -> Iterator[None]:
    """Turn operating system errors of a block that writes into ours.

    :param what: what is written, for the message
    :param other: how users choose another folder, for the message
    :raises OutputError: says what could not be written, why, and the cure
    """
    try:
        yield
    except HWGPTError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        cure = "make room" if error.errno in FULL else "check the path and its rights"
        raise OutputError(
            f"{what} could not be written ({reason}); {cure}, or {other}; "
            "nothing half-written stays"
        ) from error


@contextlib.contextmanager
def terminate_as_exit() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise SystemExit, so that temporary files are removed."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    signals = [signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    ours = [s for s in signals if main and signal.getsignal(s) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
