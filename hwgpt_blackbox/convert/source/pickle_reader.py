"""Reading pickles that somebody else wrote, as plain data.

The standard unpickler is a machine that calls what the file tells it to. Restricting ``find_class``
still leaves it open to memory bombs (memo indices, lengths), to hashes of nested tuples that never
end and to states set on arbitrary objects. This reader interprets the few operations that plain
data and numpy need and has none that calls anything: an array, a dtype and a scalar of numpy are
rebuilt from their bytes here, every other name is refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwgpt_blackbox.convert.source.numpy_pickles import NAMES, Name, PendingArray, build, reduce
from hwgpt_blackbox.errors import DataError

MAX_BYTES = 192 << 20
"""Largest pickle that is read; the largest published one has 53 MB."""

MAX_CONTAINERS = 8_000_000
"""Most lists, dicts and tuples in one pickle; the largest published one has 0.4 million."""

MAX_PROTOCOL = 5

_FLOATS = re.compile(rb"(?:G.{8}){2,4096}", re.DOTALL)
_SMALL_INTS = re.compile(rb"(?:K.){2,4096}", re.DOTALL)
_LFS = b"version https://git-lfs"

_DAMAGE = (
    IndexError, KeyError, TypeError, ValueError, OverflowError, MemoryError, struct.error,
)  # fmt: skip


class _RefusalError(Exception):
    """The pickle asks for something that plain data does not need."""


def load_pickle(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """The data of a pickle file: dicts with text keys, lists, tuples, numbers, text, numpy arrays.

    Nothing that the file names is imported or called.

    :param path: the file; protocols 2 to 5
    :param max_bytes: refuse a larger file unread
    :raises DataError: the file is unreadable, corrupt, truncated, too large or hostile
    """
    return parse_pickle(read_bytes(path, max_bytes=max_bytes), path)


def read_bytes(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Bytes of a source file.

    :raises DataError: it is unreadable or larger than ``max_bytes``
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{path} cannot be read ({reason}); check the path and its rights") from (
            error
        )
    if len(data) > max_bytes:
        raise DataError(
            f"{path} is larger than {max_bytes} bytes, more than any published file; "
            "fetch it anew from HW-GPT-Bench"
        )
    if data.startswith(_LFS):
        raise DataError(f"{path} is a Git LFS pointer, not the data; fetch it with: git lfs pull")
    return data


def parse_pickle(data: bytes, path: Path) -> Any:
    """As :func:`load_pickle`, from bytes that were read already.

    :param path: where they come from, for messages
    :raises DataError: the bytes are corrupt, truncated or hostile
    """
    reader = _PickleReader(data)
    try:
        return reader.read()
    except _RefusalError as refusal:
        raise DataError(
            f"{path}: byte {reader.pos}: {refusal}; only plain data and numpy's arrays, dtypes and "
            "scalars are read from a pickle, and nothing of it was executed: do not use this file, "
            "fetch it anew from HW-GPT-Bench"
        ) from None
    except _DAMAGE as error:
        what = "truncated" if reader.pos >= len(data) else "corrupt"
        raise DataError(
            f"{path} is a {what} pickle (stopped at byte {reader.pos} of {len(data)}, "
            f"{type(error).__name__}: {str(error)[:100]}); fetch it anew from HW-GPT-Bench"
        ) from None


class _PickleReader:
    """The stack machine of the pickle format, without any operation that calls."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: list[Any] = []
        self.containers = 0

    def read(self) -> Any:
        """Interpret all of the data.

        :raises _RefusalError: it asks for more than plain data
        :raises Exception: one of ``_DAMAGE``, the data is corrupt
        """
        data, operations = self.data, _OPERATIONS
        if data[:1] != b"\x80" or not 2 <= data[1] <= MAX_PROTOCOL:
            raise ValueError("no pickle of protocol 2 to 5")
        self.pos = 2
        while (code := data[self.pos]) != _STOP:
            self.pos += 1
            operation = operations.get(code)
            if operation is None:
                self.pos -= 1
                raise _RefusalError(f"it has the operation {bytes([code])!r}")
            operation(self)
        if self.pos + 1 != len(data) or self.marks or len(self.stack) != 1:
            raise ValueError("the data end at the wrong place")
        return self.stack[0]

    # -- parts -------------------------------------------------------------------------------

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        end = self.pos + size
        if end > len(self.data):
            self.pos = len(self.data)
            raise ValueError("truncated")
        part = self.data[self.pos : end]
        self.pos = end
        return part

    def unsigned(self, size: int) -> int:
        """The next unsigned integer of ``size`` bytes."""
        return int.from_bytes(self.take(size), "little")

    def unmark(self) -> list[Any]:
        """What was pushed since the last mark."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def contain(self, container: Any) -> None:
        """Push a new container."""
        self.containers += 1
        if self.containers > MAX_CONTAINERS:
            raise _RefusalError(f"it has more than {MAX_CONTAINERS} lists, dicts and tuples")
        self.stack.append(container)

    # -- operations --------------------------------------------------------------------------

    def frame(self) -> None:
        if self.unsigned(8) > len(self.data) - self.pos:
            self.pos = len(self.data)
            raise ValueError("truncated")

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def floats(self) -> None:
        run = _FLOATS.match(self.data, self.pos - 1)
        if run is None:
            self.stack.append(struct.unpack(">d", self.take(8))[0])
            return
        count = (run.end() - run.start()) // 9
        self.stack.extend(struct.unpack(">" + "xd" * count, run.group()))
        self.pos = run.end()

    def small_ints(self) -> None:
        run = _SMALL_INTS.match(self.data, self.pos - 1)
        if run is None:
            self.stack.append(self.take(1)[0])
            return
        self.stack.extend(run.group()[1::2])
        self.pos = run.end()

    def long(self) -> None:
        self.stack.append(int.from_bytes(self.take(self.unsigned(1)), "little", signed=True))

    def text(self, width: int) -> None:
        self.stack.append(self.take(self.unsigned(width)).decode("utf-8"))

    def raw(self, width: int) -> None:
        self.stack.append(self.take(self.unsigned(width)))

    def memoize(self) -> None:
        self.memo.append(self.stack[-1])

    def put(self, width: int) -> None:
        # Every pickler numbers its memo from 0 upwards; a jump would be a memory bomb.
        index = self.unsigned(width)
        if index > len(self.memo):
            raise _RefusalError(f"it numbers a memo {index} after {len(self.memo)}")
        self.memo[index : index + 1] = [self.stack[-1]]

    def get(self, width: int) -> None:
        item = self.memo[self.unsigned(width)]
        self.stack.append(item.array if isinstance(item, PendingArray) and item.built else item)

    def append(self) -> None:
        item = self.stack.pop()
        self._last(list).append(item)

    def appends(self) -> None:
        items = self.unmark()
        self._last(list).extend(items)

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set(self._last(dict), key, value)

    def set_items(self) -> None:
        items = self.unmark()
        target = self._last(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            self._set(target, key, value)

    def _last(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise _RefusalError(
                f"it fills a {type(self.stack[-1]).__name__} as if it were a container"
            )
        return self.stack[-1]

    def _set(self, target: dict[str, Any], key: Any, value: Any) -> None:
        if type(key) is not str:
            raise _RefusalError(f"it has a dict key of type {type(key).__name__}, not text")
        if key in target:
            raise _RefusalError(f"the key {key[:200]!r} is there twice")
        target[key] = value

    def tuple_of(self, size: int) -> None:
        if len(self.stack) < size:
            raise IndexError("the stack is too short")
        items = tuple(self.stack[-size:])
        del self.stack[-size:]
        self.contain(items)

    def tuple_to_mark(self) -> None:
        self.contain(tuple(self.unmark()))

    def name(self) -> None:
        end = self.data.index(b"\n", self.data.index(b"\n", self.pos) + 1)
        module, name = self.data[self.pos : end].decode("utf-8").split("\n")
        self.push_name(module, name)
        self.pos = end + 1

    def stacked_name(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise _RefusalError("it names something by what is not text")
        self.push_name(module, name)

    def push_name(self, module: str, name: str) -> None:
        known = NAMES.get((module, name))
        if known is None:
            raise _RefusalError(f"it asks for {(module + '.' + name)[:200]!r}")
        self.stack.append(known)

    def reduce(self) -> None:
        arguments, name = self.stack.pop(), self.stack.pop()
        if type(name) is not Name or type(arguments) is not tuple:
            raise _RefusalError(f"it calls a {type(name).__name__}")
        try:
            self.stack.append(reduce(name, arguments))
        except (TypeError, ValueError) as error:
            raise _RefusalError(f"{name.value}: {error}") from None

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack.pop()
        try:
            self.stack.append(build(target, state))
        except (TypeError, ValueError) as error:
            raise _RefusalError(
                f"it sets the state of a {type(target).__name__}: {error}"
            ) from None


_Operation = Callable[[_PickleReader], None]
_STOP = ord(".")


def _pushing(value: Any) -> _Operation:
    return lambda reader: reader.stack.append(value)


def _number(form: str) -> _Operation:
    size = struct.calcsize(form)
    return lambda reader: reader.stack.append(struct.unpack(form, reader.take(size))[0])


_OPERATIONS: dict[int, _Operation] = {
    0x95: _PickleReader.frame,
    ord("("): _PickleReader.mark,
    ord("N"): _pushing(None),
    0x88: _pushing(True),
    0x89: _pushing(False),
    ord("G"): _PickleReader.floats,
    ord("K"): _PickleReader.small_ints,
    ord("M"): _number("<H"),
    ord("J"): _number("<i"),
    0x8A: _PickleReader.long,
    0x8C: lambda reader: reader.text(1),
    ord("X"): lambda reader: reader.text(4),
    0x8D: lambda reader: reader.text(8),
    ord("C"): lambda reader: reader.raw(1),
    ord("B"): lambda reader: reader.raw(4),
    0x8E: lambda reader: reader.raw(8),
    0x96: lambda reader: reader.raw(8),
    0x94: _PickleReader.memoize,
    ord("q"): lambda reader: reader.put(1),
    ord("r"): lambda reader: reader.put(4),
    ord("h"): lambda reader: reader.get(1),
    ord("j"): lambda reader: reader.get(4),
    ord("]"): lambda reader: reader.contain([]),
    ord("a"): _PickleReader.append,
    ord("e"): _PickleReader.appends,
    ord("}"): lambda reader: reader.contain({}),
    ord("s"): _PickleReader.set_item,
    ord("u"): _PickleReader.set_items,
    ord(")"): _pushing(()),
    0x85: lambda reader: reader.tuple_of(1),
    0x86: lambda reader: reader.tuple_of(2),
    0x87: lambda reader: reader.tuple_of(3),
    ord("t"): _PickleReader.tuple_to_mark,
    ord("c"): _PickleReader.name,
    0x93: _PickleReader.stacked_name,
    ord("R"): _PickleReader.reduce,
    ord("b"): _PickleReader.build,
}
"""What is interpreted; every other operation of the format is refused."""
