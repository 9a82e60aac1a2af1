"""Files here or at a URL, written complete or not at all.

A result folder is a :class:`pathlib.Path`, or a :class:`RemotePath`: a URL that fsspec opens, with
the few methods of ``Path`` that results need.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import OutputError
from hwgpt_blackbox.hosting.addresses import parse
from hwgpt_blackbox.storage.atomic_writes import write_file
from hwgpt_blackbox.storage.remote import OBJECT_STORES, open_store, redact

BROKEN = ".broken"
"""Suffix of files that were set aside."""


@dataclass(frozen=True)
class RemotePath:
    """A file or folder at a URL: ``s3://bucket/results``, ``memory://results``.

    :param url: without a slash at its end
    """

    url: str

    def __str__(self) -> str:
        """For messages: without the secrets that the URL may hold."""
        return redact(self.url)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        """Last part of the URL."""
        return self.url.rpartition("/")[2]

    def with_name(self, name: str) -> RemotePath:
        """The neighbour of that name."""
        return RemotePath(f"{self.url.rpartition('/')[0]}/{name}")

    @property
    def atomic_put(self) -> bool:
        """Whether a put shows the whole file or nothing."""
        return self.url.partition("://")[0] in OBJECT_STORES

    def exists(self) -> bool:
        """Whether it is there, as of now."""
        fs, path = self._open()
        fs.invalidate_cache()
        return bool(fs.exists(path))

    def size(self) -> int:
        """Its size in bytes."""
        fs, path = self._open()
        return int(fs.size(path))

    def read_bytes(self) -> bytes:
        """What it holds."""
        fs, path = self._open()
        return bytes(fs.cat_file(path))

    def write_bytes(self, data: bytes) -> None:
        """Put all of it; see :attr:`atomic_put`."""
        fs, path = self._open()
        fs.pipe_file(path, data)

    def iterdir(self) -> Iterator[RemotePath]:
        """Files and folders in it, sorted by name; none if it is not there."""
        fs, path = self._open()
        fs.invalidate_cache()
        with contextlib.suppress(FileNotFoundError):
            for found in sorted(fs.ls(path, detail=False)):
                yield self / str(found).rstrip("/").rpartition("/")[2]

    def mkdir(self) -> None:
        """Make the folder where the store knows folders; object stores would make a bucket."""
        if not self.atomic_put:
            fs, path = self._open()
            fs.makedirs(path, exist_ok=True)

    def replace(self, target: RemotePath) -> None:
        """Give it the name of a neighbour."""
        fs, path = self._open()
        fs.mv(path, target._open()[1])

    def unlink(self) -> None:
        """Remove it, if it is there."""
        fs, path = self._open()
        with contextlib.suppress(FileNotFoundError):
            fs.rm_file(path)

    def _open(self) -> tuple[Any, str]:
        return open_store(self.url)


AnyPath = Path | RemotePath
"""Where results are."""


def as_path(text: str | Path | RemotePath) -> AnyPath:
    """A path, or the URL of a remote folder.

    >>> as_path("file:///tmp/results"), as_path("memory://results/")
    (PosixPath('/tmp/results'), RemotePath(url='memory://results'))

    :raises InputError: a URL that names no folder, or that fsspec cannot open
    :raises MissingExtraError: a URL, and fsspec is not installed
    """
    if not isinstance(text, str):
        return text
    protocol, separator, _ = text.partition("://")
    if not separator:
        return Path(text).expanduser()
    if protocol.lower() in ("file", "local"):
        return Path(parse(text).url)
    path = RemotePath(text.rstrip("/"))
    path._open()
    return path


def write_atomically(path: Path, content: bytes | str | Callable[[Path], object]) -> None:
    """Write a file whole: under its name there is what was there, or all of the new.

    :param content: as of ``storage.atomic_writes.write_file``
    :raises OutputError: the disk is full or the folder cannot be written
    """
    try:
        write_file(path, content)
    except OSError as error:
        raise _cannot_write(path, error) from error


def write_bytes_atomically(path: AnyPath, data: bytes) -> None:
    """Write a file, here or remote: a reader sees all of it or nothing.

    :raises OutputError: it cannot be written
    """
    if isinstance(path, Path):
        write_atomically(path, data)
        return
    try:
        if path.atomic_put:
            path.write_bytes(data)
            return
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
    except Exception as error:  # every store raises its own
        raise _cannot_write(path, error) from error


def set_aside(path: AnyPath) -> AnyPath:
    """Rename a broken file so that nobody reads it: ``x.parquet`` to ``x.parquet.broken``.

    :return: its new name; numbered if there is such a file already
    :raises OutputError: it cannot be renamed
    """
    number = 1
    target = path.with_name(path.name + BROKEN)
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.{number}{BROKEN}")
    try:
        path.replace(target)  # type: ignore[arg-type]
    except Exception as error:
        raise OutputError(
            f"{path} is broken and cannot be renamed ({error}); move it away"
        ) from error
    return target


def _cannot_write(path: AnyPath, error: Exception) -> OutputError:
    # What the system says names the temporary file, which is gone by now.
    reason = redact(str((error.strerror if isinstance(error, OSError) else None) or error))
    return OutputError(
        f"{path} cannot be written ({reason}); make room or name another folder, then run again"
    )
