"""Reading arrays of numbers from npz and npy files that somebody else wrote.

``numpy.load`` evaluates headers as Python literals, and allocates what they declare before it reads
a byte. Here a header must have the form that numpy writes, and declare just the bytes that follow.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import DataError

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


def read_numbers(path: Path, limit: int, *, missing: bool = False) -> dict[str, NDArray[Any]]:
    """All arrays of an npz file; each must hold finite numbers or truth values.

    :param limit: largest size of the arrays together, and of the file, in bytes
    :param missing: whether NaN may stand where a number is missing
    :raises DataError: the file is too large, or holds something else
    :raises Exception: the file is corrupt: zipfile and zlib raise many kinds
    """
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
