"""Logarithms of objectives that have one sign."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


def warp_sign(values: Vector) -> float:
    """How one objective (n,) is put into logarithms: 1 ``log(y)``, -1 ``-log(-y)``, 0 not at all.

    Only values of one sign can be. Negative ones are positive quantities that are maximised.
    """
    if (values > 0).all():
        return 1.0
    return -1.0 if (values < 0).all() else 0.0


def warp(values: Vector, sign: float) -> Vector:
    """Values (n,) in logarithms, by the sign of :func:`warp_sign`."""
    return sign * np.log(sign * values) if sign else values


def unwarp(values: Vector, sign: float) -> Vector:
    """What :func:`warp` was given."""
    return sign * np.exp(sign * values) if sign else values
