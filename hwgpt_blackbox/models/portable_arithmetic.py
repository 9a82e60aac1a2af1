"""Arithmetic that gives the same bits on every machine, for one value as for a million.

NumPy's own ``exp`` and ``log`` depend on the processor; these use only operations that IEEE 754
rounds correctly (+, -, *, comparison) and integer arithmetic, one ufunc each.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_INV_LN2 = float.fromhex("0x1.71547652b82fep+0")
_EXP_TERMS = 14
_EXP_COEFFICIENTS = tuple(
    1.0 / float(np.prod(range(1, k + 1), dtype=float)) for k in range(_EXP_TERMS)
)

_SQRT_HALF = 0.7071067811865476
_LOG_TERMS = 11

GRID_BITS = 46
"""Bits below a model's largest sum at which its coefficients are rounded."""


def exp(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential of ``x``, to 2 units in the last place, equal on every machine.

    :param x: any shape; the result is meant for -700 < x < 700
    """
    k = np.rint(x * _INV_LN2)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = np.full_like(r, _EXP_COEFFICIENTS[-1])
    for coefficient in _EXP_COEFFICIENTS[-2::-1]:
        total *= r
        total += coefficient
    return np.ldexp(total, k.astype(np.int32))


def log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm of ``x``, to 2 units in the last place, equal on every machine.

    :param x: any shape, positive and finite
    """
    mantissa, exponent = np.frexp(x)
    small = mantissa < _SQRT_HALF
    mantissa = np.where(small, 2 * mantissa, mantissa)
    exponent = (exponent - small).astype(float)
    s = (mantissa - 1) / (mantissa + 1)
    square = s * s
    total = np.zeros_like(s)
    for k in range(_LOG_TERMS, 0, -1):
        total += 1 / (2 * k + 1)
        total *= square
    return np.asarray(exponent * _LN2_HIGH + (exponent * _LN2_LOW + (2 * s * total + 2 * s)))


def exp_one(x: float) -> float:
    """``exp`` of one number, the same bits."""
    k = round(x * _INV_LN2)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = _EXP_COEFFICIENTS[-1]
    for coefficient in _EXP_COEFFICIENTS[-2::-1]:
        total = total * r + coefficient
    return math.ldexp(total, k)


def to_grid(coefficients: NDArray[np.float64], largest_sum: float) -> NDArray[np.float64]:
    """Round coefficients to multiples of a power of two so that their sums are exact.

    With every partial sum at most ``largest_sum`` in magnitude, no addition rounds: a sum is the
    same in any order, on any machine, batched or single, with or without fused operations.

    :param coefficients: any shape
    :param largest_sum: bound on the magnitude of any partial sum, positive
    """
    step = 2.0 ** (np.ceil(np.log2(largest_sum)) - GRID_BITS)
    return np.rint(coefficients / step) * step  # type: ignore[no-any-return]


GOLDEN = 0x9E3779B97F4A7C15
"""Increment of SplitMix64 (Steele, Lea and Flood 2014)."""


def mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: a bijection of 64-bit integers that scatters them."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def unit_interval(x: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Map 64 random bits to the open interval (0, 1), evenly, on the grid of 2^-53."""
    return ((x >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


_MASK = (1 << 64) - 1


def mix64_one(x: int) -> int:
    """``mix64`` of one number; what exceeds 64 bits is cut off first."""
    x &= _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def unit_interval_one(x: int) -> float:
    """``unit_interval`` of one number."""
    return ((x >> 12) + 0.5) * 2.0**-52
