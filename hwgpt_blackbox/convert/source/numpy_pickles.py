"""Rebuilding numpy's arrays, dtypes and scalars from what a pickle says, without numpy's functions.

Those trust their arguments: an array of objects, a forged item size or a huge shape would do harm.
Here the dtype is one of a few of numbers and text, and the bytes must fill the shape exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Name(Enum):
    """What a pickle may name."""

    RECONSTRUCT = "an array of numpy"
    FROM_BUFFER = "an array of numpy, protocol 5"
    SCALAR = "a scalar of numpy"
    DTYPE = "a dtype of numpy"
    NDARRAY = "numpy.ndarray"


NAMES: dict[tuple[str, str], Name] = {
    ("numpy", "ndarray"): Name.NDARRAY,
    ("numpy", "dtype"): Name.DTYPE,
    **{
        (f"numpy.{core}.{module}", name): kind
        for core in ("core", "_core")
        for module, name, kind in (
            ("multiarray", "_reconstruct", Name.RECONSTRUCT),
            ("multiarray", "scalar", Name.SCALAR),
            ("numeric", "_frombuffer", Name.FROM_BUFFER),
        )
    },
}
"""(module, name) to what it stands for, of numpy 1 and 2."""

MAX_DIMENSIONS = 8

_DTYPE = re.compile(r"[<>=|]?(?:f[248]|[iu][1248]|b1|U[1-9][0-9]{0,2})")


class PendingDtype:
    """A dtype whose byte order may still come.

    :param dtype: of numbers, truth values or text
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype


class PendingArray:
    """An array that was announced; it exists once its state is known."""

    def __init__(self) -> None:
        self.array: NDArray[Any] = np.empty(0)
        self.built = False


def reduce(name: Name, arguments: tuple[Any, ...]) -> Any:
    """What a named function of numpy makes of its arguments.

    :raises TypeError, ValueError: the arguments are not those that numpy writes
    """
    return _REDUCERS[name](*arguments)


def build(target: Any, state: Any) -> Any:
    """Complete an array or a dtype with its state.

    :raises TypeError, ValueError: another target, or a state that numpy does not write
    """
    if type(target) is PendingDtype:
        return _with_byte_order(target, state)
    if type(target) is not PendingArray or target.built:
        raise TypeError("only arrays and dtypes of numpy have a state")
    if type(state) is not tuple or len(state) != 5 or state[0] != 1:
        raise ValueError("not the state of an array")
    _, shape, dtype, fortran, data = state
    target.array = _array(data, dtype, shape, "F" if fortran is True else "C")
    target.built = True
    return target.array


def _dtype(spec: Any, align: Any = False, copy: Any = True) -> PendingDtype:
    if type(spec) is not str or _DTYPE.fullmatch(spec) is None:
        shown = repr(spec[:40]) if type(spec) is str else f"of a {type(spec).__name__}"
        raise ValueError(f"dtype {shown} is not one of numbers or text")
    return PendingDtype(np.dtype(spec))


def _with_byte_order(target: PendingDtype, state: Any) -> PendingDtype:
    if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
        raise ValueError("not the state of a dtype")
    if any(part is not None for part in state[2:5]):
        raise ValueError("a dtype with fields")
    return PendingDtype(target.dtype.newbyteorder(state[1]))


def _reconstruct(kind: Any, shape: Any, code: Any) -> PendingArray:
    if kind is not Name.NDARRAY or shape != (0,) or code != b"b":
        raise ValueError("not an array's announcement")
    return PendingArray()


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (), "C").item()


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> NDArray[Any]:
    """An array of native byte order from its bytes."""
    if type(dtype) is not PendingDtype or type(data) is not bytes:
        raise ValueError("not an array of numbers or text")
    sound = type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)
    if not sound or len(shape) > MAX_DIMENSIONS or order not in ("C", "F"):
        raise ValueError("a shape that arrays do not have")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes do not fill the shape {shape} of {dtype.dtype}")
    flat = np.frombuffer(data, dtype.dtype).astype(dtype.dtype.newbyteorder("="))
    return flat.reshape(shape, order=order)


def _refuse(*arguments: Any) -> Any:
    raise TypeError("it is not to be called")


_REDUCERS: dict[Name, Callable[..., Any]] = {
    Name.RECONSTRUCT: _reconstruct,
    Name.FROM_BUFFER: _array,
    Name.SCALAR: _scalar,
    Name.DTYPE: _dtype,
    Name.NDARRAY: _refuse,
}
