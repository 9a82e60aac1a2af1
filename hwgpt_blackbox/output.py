"""Writing artifacts so that they are there entirely or not at all."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType

from hwgpt_blackbox.errors import HWGPTError, OutputError
from hwgpt_blackbox.places import MANIFEST

logger = logging.getLogger(__name__)

OTHER_FOLDER = "choose another folder with --out"
"""How users of most commands choose where something is written."""

_SPARE = 64 << 20
"""Bytes beyond the estimate that must be free."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Outputs:
    """Artifacts that are built in temporary folders beside their places, and then put there.

    A context manager: whatever ends it early, no temporary folder stays and what was there before
    is untouched.

    :param folder: the folder that will hold the artifacts; made if need be
    :param names: their names
    :param overwrite: replace artifacts of these names
    :param other: how users choose another folder, for messages
    :raises OutputError: an artifact exists, or the folder cannot be written
    """

    def __init__(
        self, folder: Path, names: list[str], *, overwrite: bool, other: str = OTHER_FOLDER
    ) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self.other = other
        self._temporary: dict[str, Path] = {}
        self._made: list[Path] = []
        self._tidy()
        for name in names:
            self._check(folder / name)

    def _check(self, target: Path) -> None:
        if not os.path.lexists(target):
            return
        if not self.overwrite:
            raise OutputError(
                f"{target} exists; replace it with --overwrite (overwrite=True), or {self.other}"
            )
        if not (target / MANIFEST).is_file():
            raise OutputError(
                f"{target} exists and is no artifact (it has no {MANIFEST}), so it is not "
                f"replaced; move it away, or {self.other}"
            )

    def __enter__(self) -> Outputs:
        try:
            with writing(self.folder, self.other):
                missing = [p for p in (self.folder, *self.folder.parents) if not p.exists()]
                for path in reversed(missing):
                    path.mkdir()
                    self._made.append(path)
                # Fail now, not after all the work, where nothing can be written.
                Path(tempfile.mkdtemp(prefix=_prefix(), dir=self.folder)).rmdir()
        except BaseException:
            self._remove_made()
            raise
        return self

    def _tidy(self) -> None:
        """Remove what a process that was killed left; put back what it had set aside.

        Temporary folders carry the number of their process: those of a living one stay.
        """
        for path in sorted(self.folder.glob(".tmp-*")):
            process = path.name.split("-")[1]
            if not path.is_dir() or not process.isdigit() or _is_alive(int(process)):
                continue
            for old in path.glob("hwgpt-*"):
                if old.is_dir() and not os.path.lexists(self.folder / old.name):
                    old.rename(self.folder / old.name)
                    logger.warning("put back %s, which a killed process had set aside", old.name)
            shutil.rmtree(path, ignore_errors=True)
            logger.warning("removed %s, left by a process that was killed", path)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for path in self._temporary.values():
            shutil.rmtree(path, ignore_errors=True)
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
        with writing(self.folder, self.other):
            path = Path(tempfile.mkdtemp(prefix=_prefix(name), dir=self.folder))
        self._temporary[name] = path
        return path

    def publish(self) -> list[Path]:
        """Put every artifact built in its place.

        :return: their folders
        :raises OutputError: one exists by now, or cannot be moved; what was there is there again
        """
        for name in self._temporary:
            self._check(self.folder / name)
        targets = []
        for name, temporary in list(self._temporary.items()):
            target = self.folder / name
            with writing(target, self.other):
                apply_umask(temporary)
                sync(temporary)
                _swap(temporary, target)
            del self._temporary[name]
            targets.append(target)
        return targets


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


def _prefix(name: str = "") -> str:
    """Start of a temporary folder's name: it carries the number of this process."""
    return f".tmp-{os.getpid()}-{name}-"


def _is_alive(process: int) -> bool:
    """Whether a process of this number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _swap(new: Path, target: Path) -> None:
    """Move ``new`` to ``target``; what was there is removed only once the new one is in place."""
    if not os.path.lexists(target):
        new.rename(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=_prefix(f"old-{target.name}"), dir=target.parent))
    old = aside / target.name
    try:
        target.rename(old)
        new.rename(target)
    finally:
        if not os.path.lexists(target):
            old.rename(target)
        elif old.is_symlink():
            old.unlink()
        shutil.rmtree(aside, ignore_errors=True)


def discard(path: Path) -> None:
    """Remove what has a name: a file, a link but not what it points to, a folder, or nothing."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def sync(folder: Path) -> None:
    """Have the files on the disk before their folder gets its name."""
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def apply_umask(folder: Path) -> None:
    """Give a temporary folder, which its maker alone may read, the rights of any new folder."""
    folder.chmod(0o777 & ~_umask())


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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
        cure = "make room" if error.errno in _FULL else "check the path and its rights"
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
