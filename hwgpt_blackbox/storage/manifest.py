"""The files of an artifact: a manifest (JSON) and plain arrays (npz, npy), read without trust."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.spaces import SPACES, Space, get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.storage.locations import MANIFEST, is_artifact

SCHEMA_VERSION = 1
"""Version of the artifact format that this code writes, and the newest that it reads."""

MAX_MANIFEST_BYTES = 4 << 20
MAX_ARRAYS_BYTES = 256 << 20
"""A manifest or the arrays of an artifact beyond this are refused unread."""

DEFINITION = "space_definition"
"""Key of a manifest that holds a space of one's own, as ``Space.as_dict`` has it."""

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


def read_manifest(
    folder: Path, *, kind: str | Collection[str], space: str | None = None
) -> dict[str, Any]:
    """The manifest of an artifact, its form checked.

    :param kind: the kind it must have, or several of which it must have one
    :param space: the space it must be of; None: any
    :raises DataError: it is unreadable, of a future version, of another kind, or of another space,
        as after copying the folder under a new name
    """
    path = folder / MANIFEST
    content = read_small(path, MAX_MANIFEST_BYTES)
    manifest = parse_manifest(content, str(path), kind=kind)
    if space is not None and manifest.get("space") != space:
        raise DataError(
            f"{folder} holds the space {manifest.get('space')!r:.100}, its name says {space!r}; "
            "rename it, or convert or pull it again"
        )
    return manifest


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


def space_entry(space: Space) -> dict[str, Any]:
    """What the manifest of an artifact says of its space."""
    own = {} if space.name in SPACES else {DEFINITION: space.as_dict()}
    return {"space": space.name, **own}


def space_of(manifest: Mapping[str, Any], source: object) -> Space:
    """The space of which a manifest says that the artifact is.

    :param source: the artifact, for messages
    :raises DataError: there is none, or name and definition disagree
    """
    name, definition = manifest.get("space"), manifest.get(DEFINITION)
    if definition is None and isinstance(name, str) and name in SPACES:
        return get_space(name)
    if not isinstance(definition, dict):
        raise DataError(
            f"{source} is of space {name!r:.100}, which is not published, and has no {DEFINITION}; "
            "convert or pull it again"
        )
    space = Space.from_dict(definition, f"{DEFINITION} of {source}")
    if space.name != name:
        raise DataError(
            f"{source} says it is of space {name!r:.100}, but its {DEFINITION} is of "
            f"{space.name!r}; convert or pull it again"
        )
    return space


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


# -- arrays ----------------------------------------------------------------------------------------
#
# numpy.load evaluates headers as Python literals, and allocates what they declare before it reads a
# byte. Here a header must have the form that numpy writes, and declare just the bytes that follow.

MAX_ENTRIES = 10_000
"""Arrays in one file; an artifact has some 160."""

_MAX_HEADER = 10 + 65_535
"""Bytes of an npy file before its values, at most."""

_SUFFIX = ".npy"
_MAGIC = b"\x93NUMPY\x01\x00"
_HEADER = re.compile(
    rb"\{'descr': '([^']{1,20})', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,10}, ?)*(?:\d{1,10})?)\), \} *\n"
)
_NUMBERS = re.compile(r"[<>|](?:f[248]|[iu][1248]|b1)")


@dataclass(frozen=True)
class _Form:
    """What the header of an npy file says.

    :param begin: of the values, in bytes
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]
    begin: int


def _form(content: bytes, size: int, where: str) -> _Form:
    """The form of the array in an npy file.

    :param content: of the file; its header suffices
    :param size: of the whole file, in bytes
    :param where: the array, for messages
    :raises DataError: it holds no numbers, or not as many as it says
    """
    begin = 10 + int.from_bytes(content[8:10], "little")
    header = _HEADER.fullmatch(content[10:begin])
    if not content.startswith(_MAGIC) or header is None:
        raise DataError(
            f"{where} has the header {content[:80]!r}, which numpy does not write for numbers"
        )
    kind = header[1].decode("ascii", "replace")
    if not _NUMBERS.fullmatch(kind):
        raise DataError(f"{where} has dtype {kind!r}; expected numbers")
    dtype = np.dtype(kind)
    shape = tuple(int(n) for n in header[3].replace(b" ", b"").split(b",") if n)
    if math.prod(shape) * dtype.itemsize != size - begin:
        raise DataError(
            f"{where} has shape {shape!s:.100} and dtype {dtype}; {size - begin} bytes follow"
        )
    return _Form(dtype, shape, "F" if header[2] == b"True" else "C", begin)


def read_arrays(
    path: Path, *, limit: int = MAX_ARRAYS_BYTES, missing: bool = False
) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file; each must hold finite numbers or truth values.

    :param limit: largest size of the arrays together, and of the file, in bytes
    :param missing: whether NaN may stand where a number is missing
    :raises DataError: the file is corrupt, too large, or holds something else
    """
    try:
        return _arrays(path, limit, missing)
    except DataError:
        raise
    except Exception as error:  # zipfile and zlib raise many kinds on hostile bytes
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error!s:.200}); {_CURE}"
        ) from error


def _arrays(path: Path, limit: int, missing: bool) -> dict[str, NDArray[Any]]:
    size = path.stat().st_size
    if size > limit:
        raise DataError(f"{path} has {size} bytes, more than {limit}; refused")
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        declared = sum(entry.file_size for entry in entries)
        if declared > limit or len(entries) > MAX_ENTRIES:
            raise DataError(
                f"{path} unpacks to {declared} bytes in {len(entries)} arrays, more than {limit} "
                f"or {MAX_ENTRIES}; refused"
            )
        arrays = {}
        for entry in entries:
            name = entry.filename.removesuffix(_SUFFIX)
            if name == entry.filename or name in arrays:
                raise DataError(f"{path}: {entry.filename!r:.100} is no array, or there twice")
            content = archive.read(entry)
            if len(content) != entry.file_size:
                raise DataError(f"{path}: array {name!r:.100} has another size than stated")
            arrays[name] = _array(content, path, name, missing)
    return arrays


def map_numbers(path: Path) -> NDArray[Any]:
    """The array of an npy file, mapped from disk, not to be written; its values are not looked at.

    :raises DataError: the file holds no numbers, or not as many as it says
    :raises OSError: it cannot be read
    """
    with path.open("rb") as file:
        form = _form(file.read(_MAX_HEADER), os.fstat(file.fileno()).st_size, str(path))
        return np.memmap(file, form.dtype, "r", form.begin, form.shape, form.order)


def _array(content: bytes, path: Path, name: str, missing: bool) -> NDArray[Any]:
    """The array of an npy file.

    :raises DataError: it holds no finite numbers, or not as many as it says
    """
    form = _form(content, len(content), f"{path}: array {name!r:.100}")
    dtype = form.dtype
    array = np.frombuffer(content, dtype, offset=form.begin)
    array = array.reshape(form.shape, order=form.order).copy()
    if dtype.kind == "b":
        array = np.array(array.view(np.uint8) != 0)  # other bytes than 0 and 1 are no truth values
    unknown = np.isinf(array) if missing else ~np.isfinite(array)
    if dtype.kind == "f" and unknown.any():
        raise DataError(f"{path}: array {name!r:.100} has values that are not finite")
    return array
