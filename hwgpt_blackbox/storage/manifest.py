"""Artifacts on disk: a manifest (JSON) and plain arrays (npz). No pickle, checked on reading."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.storage.locations import MANIFEST, is_artifact
from hwgpt_blackbox.storage.safe_npz import read_numbers

SCHEMA_VERSION = 1
"""Version of the artifact format that this code writes, and the newest that it reads."""

MAX_MANIFEST_BYTES = 4 << 20
MAX_ARRAYS_BYTES = 256 << 20
"""A manifest or the arrays of an artifact beyond this are refused unread."""

_CURE = "convert or pull the artifact again"


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_small(path: Path, limit: int, cure: str = _CURE) -> bytes:
    """The bytes of a regular file that must be small: no device or pipe, which never ends.

    :param limit: largest size in bytes
    :param cure: what to do if it cannot be read
    :raises DataError: it is missing, larger, or no regular file
    """
    try:
        if not path.is_file():
            raise DataError(f"{path} is no file; {cure}")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); {cure}") from error
    if len(content) > limit:
        raise DataError(f"{path} is larger than {limit} bytes; {cure}")
    return content


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``manifest.json`` with ``files``: sha256 and size of every other file of the folder.

    :param folder: the artifact's folder, its other files complete; nobody reads it yet
    :param manifest: what the artifact says of itself; keys ``kind``, ``name``, ``space`` and more
    """
    files = {
        path.name: {"sha256": sha256(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    text = json.dumps(
        {"schema_version": SCHEMA_VERSION, **manifest, "files": files}, indent=1, allow_nan=False
    )
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


_T = TypeVar("_T")

_TURNS = 100
"""How often an artifact is read that is replaced each time."""


def read_whole(folder: Path, read: Callable[[Path], _T]) -> _T:
    """What ``read`` makes of an artifact's folder: of one artifact, not of two.

    Another process may replace the folder between two of its files. It is read again then.

    :raises DataError: as ``read``; or the folder is replaced again and again
    """
    for _ in range(_TURNS):
        before = identity(folder)
        try:
            result = read(folder)
        except (DataError, OSError):
            if identity(folder) == before:
                raise
        else:
            if identity(folder) == before:
                return result
    raise DataError(f"{folder} is replaced again and again by other processes; wait, and try again")


def identity(folder: Path) -> tuple[int, ...] | None:
    """What tells a folder from another that gets its name later; None: there is no artifact."""
    if not is_artifact(folder):
        return None
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def read_manifest(folder: Path, *, kind: str | Collection[str]) -> dict[str, Any]:
    """The manifest of an artifact, its form checked.

    :param kind: the kind it must have, or several of which it must have one
    :raises DataError: it is unreadable, of a future version or of another kind
    """
    path = folder / MANIFEST
    content = read_small(path, MAX_MANIFEST_BYTES)
    return parse_manifest(content, str(path), kind=kind)


def parse_manifest(content: bytes, where: str, *, kind: str | Collection[str]) -> dict[str, Any]:
    """The manifest that a file holds, its form checked.

    :param content: of the file
    :param where: the file, for messages
    :param kind: the kind it must have, or several of which it must have one
    :raises DataError: it is unreadable, of a future version or of another kind
    """
    try:
        manifest = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} cannot be read ({error}); {_CURE}") from error
    if not isinstance(manifest, dict):
        raise DataError(f"{where} holds a {type(manifest).__name__}, not an object; {_CURE}")
    version = manifest.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise DataError(
            f"{where} has schema_version {version!r:.200}; expected {SCHEMA_VERSION}; {_CURE}"
        )
    if version > SCHEMA_VERSION:
        raise DataError(
            f"{where} has schema_version {version!r:.200}, this release reads up to "
            f"{SCHEMA_VERSION}; update with: pip install --upgrade hwgpt-blackbox"
        )
    kinds = [kind] if isinstance(kind, str) else list(kind)
    if manifest.get("kind") not in kinds:
        expected = " or ".join(map(repr, kinds))
        found = f"{manifest.get('kind')!r:.200}"
        raise DataError(f"{where} is of kind {found}, expected {expected}; {_CURE}")
    return manifest


def check_files(
    folder: Path,
    manifest: Mapping[str, Any],
    names: list[str],
    *,
    limit: int | None = MAX_ARRAYS_BYTES,
) -> None:
    """Compare size and sha256 of files with the manifest.

    :param names: files to check; each must be listed in the manifest
    :param limit: largest size of a file, in bytes: it is not even hashed beyond; None: any
    :raises DataError: a file is missing, not listed, too large, or not what the manifest says
    """
    listed = manifest.get("files")
    for name in names:
        entry = listed.get(name) if isinstance(listed, dict) else None
        path = folder / name
        if not isinstance(entry, dict) or not path.is_file():
            raise DataError(f"{path} is missing or not in the manifest; convert or pull it again")
        if limit is not None and path.stat().st_size > limit:
            raise DataError(f"{path} is larger than {limit} bytes; {_CURE}")
        if path.stat().st_size != entry.get("bytes") or sha256(path) != entry.get("sha256"):
            raise DataError(
                f"{path} is not the file of its manifest (size or sha256 differ); "
                "convert or pull the artifact again"
            )


def read_arrays(path: Path, *, limit: int = MAX_ARRAYS_BYTES) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file, without pickle and within a size limit.

    :param limit: largest size of the arrays together, in bytes
    :raises DataError: the file is corrupt, too large, or holds objects
    """
    try:
        return read_numbers(path, limit)
    except DataError:
        raise
    except Exception as error:  # zipfile and zlib raise many kinds on hostile bytes
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error!s:.200}); "
            "convert or pull the artifact again"
        ) from error
