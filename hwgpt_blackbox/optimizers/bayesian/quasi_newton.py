"""Minimisation by quasi-Newton steps (BFGS), in arithmetic that is the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_LONGEST = 2.0  # step, in units of the coordinates
_ENOUGH = 1e-4  # share of the promised decrease that a step has to bring (Armijo)
_SHORTENED = 0.3


def minimise(
    objective: Callable[[Vector], tuple[float, Vector]],
    start: Vector,
    *,
    evaluations: int,
    tolerance: float,
) -> Vector:
    """A point near a local minimum.

    :param objective: value and gradient at a point; an infinite value where there is none
    :param start: (d,), scaled so that the inverse of the Hessian is about the identity
    :param evaluations: most of the objective
    :param tolerance: decrease that is not worth another step
    :return: the best point seen, (d,)
    """
    point, (value, slope) = start, objective(start)
    inverse = np.eye(len(start))
    size, left = 1.0, evaluations - 1
    while left > 0 and math.isfinite(value):
        step = -(inverse * slope).sum(1)
        promise = float(-(step * slope).sum())
        if promise < tolerance:
            break
        step *= min(1.0, _LONGEST / math.sqrt(float((step * step).sum())))
        promise, size = float(-(step * slope).sum()), 1.0
        while left > 0:
            there = point + size * step
            found, new = objective(there)
            left -= 1
            if found <= value - _ENOUGH * size * promise:
                break
            size *= _SHORTENED
        else:
            break
        inverse = _updated(inverse, there - point, new - slope)
        point, value, slope = there, found, new
    return point


def _updated(inverse: Vector, step: Vector, bend: Vector) -> Vector:
    """The inverse Hessian after a step that changed the gradient by ``bend``."""
    curvature = float((step * bend).sum())
    if curvature <= 1e-10 * float((step * step).sum()):
        return inverse
    pushed = (inverse * bend).sum(1)
    factor = (curvature + float((bend * pushed).sum())) / curvature**2
    crossed = np.outer(pushed, step) / curvature
    result: Vector = inverse + factor * np.outer(step, step) - crossed - crossed.T
    return result
