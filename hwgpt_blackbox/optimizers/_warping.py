"""What is done to objectives before they are modelled: bounds, units, logarithms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.models.portable_arithmetic import exp, log

Vector = npt.NDArray[np.float64]

EARLY = 20  # first results, mostly spread over the space, not around the front
_FENCE = 1.5  # interquartile ranges above the upper quartile (Tukey 1977), as Ax winsorises
_ABSURD = 10.0  # the same, beyond which a result is a penalty or an accident


def _fences(values: Vector, ranges: float) -> Vector:
    """So many interquartile ranges above the upper quartile, (m,), of values (n, m).

    Of all values or of the first 20, whichever is more; infinite for a column half of which is
    one value.
    """
    limits = np.full(values.shape[1], -np.inf)
    for part in (values, values[:EARLY]):
        low, high = np.quantile(part, [0.25, 0.75], axis=0, method="nearest")
        with np.errstate(over="ignore", invalid="ignore"):
            limit = high + ranges * (high - low)
        limits = np.maximum(limits, np.where(high > low, limit, np.inf))
    return limits


def bounded(values: Vector) -> Vector:
    """Minimised values (n, m), n >= 1, winsorised on the bad side."""
    bound: Vector = np.minimum(values, _fences(values, _FENCE))
    return bound


def absurd(values: Vector) -> npt.NDArray[np.bool_]:
    """Which of the minimised values (n, m), n >= 1, are so bad that they tell nothing else: (n,).

    A penalty in place of a result is one; in a regression it would outweigh all others.
    """
    return np.asarray((values > _fences(values, _ABSURD)).any(axis=1))


def units(values: Vector) -> Vector:
    """A power of two for each column of values (n, m), over which they are below 2: (m,).

    Dividing by it rounds nothing, and no threshold then depends on the unit of an objective.
    """
    largest = np.abs(values).max(axis=0, initial=0.0)
    powers: Vector = np.ldexp(1.0, np.frexp(largest)[1] - 1)
    return np.where(largest > 0, powers, 1.0)


def warp_sign(values: Vector) -> float:
    """How one objective (n,) is put into logarithms: 1 ``log(y)``, -1 ``-log(-y)``, 0 not at all.

    Only values of one sign can be. Negative ones are positive quantities that are maximised.
    """
    if (values > 0).all():
        return 1.0
    return -1.0 if (values < 0).all() else 0.0


def warp(values: Vector, sign: float) -> Vector:
    """Values (n,) in logarithms, by the sign of :func:`warp_sign`."""
    return sign * log(sign * values) if sign else values


def unwarp(values: Vector, sign: float) -> Vector:
    """What :func:`warp` was given."""
    return sign * exp(sign * values) if sign else values
