"""Reads the plain Parquet files that we write, and no others, without trust in what they state.

fastparquet writes our result files. Its reader is compiled code that believes the lengths a file
states, so that a forged file crashes the process. Here every length is checked against the bytes at
hand. What we write has one row group, one page a column, numbers without nulls, and ZSTD or no
compression: reading only that takes a fraction of fastparquet's time.

Format: https://parquet.apache.org/docs/file-format, and Thrift's compact protocol.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import cramjam
import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import DataError

MAX_FOOTER_BYTES, MAX_HEADER_BYTES = 4 << 20, 64 << 10
"""Of the description of a file, 25,000 for the largest space, and of a page, some 30."""

_MAGIC, _END_BYTES = b"PAR1", 8
_DTYPES = {0: "?", 1: "<i4", 2: "<i8", 4: "<f4", 5: "<f8"}
"""Types of values by their number in the format; others are no plain numbers."""

_REQUIRED, _PLAIN, _UNCOMPRESSED, _ZSTD = 0, 0, 0, 6
_PAGE_KINDS = {0: (5, 2), 3: (8, 4)}
"""Kinds of data pages: field of the header that describes them, and of the encoding in it."""

_MAX_PADDING = 16
"""Bytes behind the values of a page; fastparquet writes eight."""

_BROKEN = (LookupError, TypeError, ValueError, OverflowError, cramjam.DecompressionError)
"""What broken bytes raise here."""


class SafeParquet:
    """A Parquet file in memory; values are read when they are asked for.

    :param data: the whole file
    :raises DataError: it is truncated, or its description is broken
    """

    metadata: dict[str, str]
    """Texts by name"""

    rows: int
    """Number of rows, as stated: check it before a column is read"""

    columns: dict[str, np.dtype[Any] | None]
    """Types of the columns in their order; None: no plain numbers, or some may be missing"""

    def __init__(self, data: bytes) -> None:
        self._data, end = data, len(data) - _END_BYTES
        length = int.from_bytes(data[-_END_BYTES:-4], "little")
        if not data[:4] == data[-4:] == _MAGIC or length > end - len(_MAGIC):
            raise DataError("it is truncated or no Parquet file")
        if length > MAX_FOOTER_BYTES:
            raise DataError(f"its description has {length} bytes; expected {MAX_FOOTER_BYTES}")
        try:
            stated = _Thrift(data[end - length : end]).struct()
            _, *schema = stated[2]
            self.rows, self._groups = stated[3], stated[4]
            self.metadata = {str(pair[1], "utf-8"): str(pair[2], "utf-8") for pair in stated[5]}
            self.columns = {str(element[4], "utf-8"): _dtype(element) for element in schema}
        except _BROKEN as error:
            raise DataError("its description is broken") from error

    def column(self, name: str) -> NDArray[Any]:
        """The values of a column, shape (rows,).

        :raises DataError: they are not stored as we store them
        """
        try:
            (group,) = self._groups
            dtype, chunk = self.columns[name], group[1][list(self.columns).index(name)][3]
            if dtype is None:
                raise ValueError("no plain numbers")
            is_bool = dtype == np.bool_
            size = -(-self.rows // 8) if is_bool else self.rows * dtype.itemsize
            page = self._page(chunk, size)[:size]
            values = np.unpackbits(page, count=self.rows, bitorder="little") if is_bool else page
            return values.view(dtype).astype(dtype.newbyteorder("="), copy=False)
        except _BROKEN as error:
            raise DataError(f"column {name} is not stored as we store it") from error

    def _page(self, chunk: Mapping[int, Any], size: int) -> NDArray[np.uint8]:
        """The only page of a column: ``size`` bytes of values and at most some padding."""
        begin, codec = chunk[9], chunk[4]
        header = _Thrift(self._data[begin : begin + MAX_HEADER_BYTES])
        stated = header.struct()
        field, encoding = _PAGE_KINDS[stated[1]]
        begin += header.at
        stored = self._data[begin : begin + stated[3]]
        if not (
            begin > 0
            and size <= stated[2] <= size + _MAX_PADDING
            and len(stored) == stated[3]
            and stated[field][1] == self.rows
            and stated[field][encoding] == _PLAIN
            and codec in (_UNCOMPRESSED, _ZSTD)
        ):
            raise ValueError("no page of ours")
        page = np.zeros(stated[2], dtype=np.uint8)
        if codec == _ZSTD:
            cramjam.zstd.decompress_into(stored, page.data)
        else:
            page[:] = np.frombuffer(stored, dtype=np.uint8)
        return page


def _dtype(element: Mapping[int, Any]) -> np.dtype[Any] | None:
    """The type of a column by its entry in the schema."""
    plain = element.get(1) in _DTYPES and element.get(3) == _REQUIRED
    return np.dtype(_DTYPES[element[1]]) if plain else None


class _Thrift:
    """Reads structures of Thrift's compact protocol; fields are known by their numbers.

    :param data: begins with a structure
    """

    _MAX_DEPTH, _MAX_SHIFT = 12, 63

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0
        """How many bytes have been read"""

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The next structure: values by field.

        :raises LookupError: the bytes end before it
        :raises ValueError: the bytes are no structure
        """
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            fields[number] = head & 15 == 1 if head & 15 <= 2 else self._value(head & 15, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        """The next value of a kind."""
        if depth > self._MAX_DEPTH:
            raise ValueError("nested too deep")
        if kind <= 3:
            return self._byte()
        if kind <= 6:
            return self._integer()
        if kind == 7:
            return struct.unpack("<d", self._bytes(8))[0]
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError(f"kind {kind} is not in our files")

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        self.at += count
        found = self._data[self.at - count : self.at]
        if len(found) < count:
            raise IndexError("the bytes end")
        return found

    def _varint(self) -> int:
        value = 0
        for shift in range(0, self._MAX_SHIFT + 1, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("integer too long")

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
