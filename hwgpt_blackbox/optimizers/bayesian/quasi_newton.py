"""Minimisation by quasi-Newton steps (BFGS), in arithmetic that is the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_LONGEST = 2.0  # step, in units of the coordinates
_ENOUGH = 1e-4  # share of the promised decrease that a step has to bring (Armijo)
_SHORTEST = 0.1  # share of a step that is tried in its place


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
    inverse, left, fresh = np.eye(len(start)), evaluations - 1, True
    while left > 0 and math.isfinite(value):
        step = -(inverse * slope).sum(1)
        promise = -float((step * slope).sum())
        if promise < 2 * tolerance:  # of a parabola: half of it is gained
            break
        size = min(1.0, _LONGEST / math.sqrt(float((step * step).sum())))
        while left > 0:
            there = point + size * step
            found, new = objective(there)
            left -= 1
            rise = found - value
            if rise <= -_ENOUGH * size * promise:
                break
            # to the minimum of the parabola through what is known, within bounds
            bottom = 0.5 * size * promise / (rise + size * promise)
            size *= min(max(bottom, _SHORTEST), 0.5)
        else:
            break
        move, bend = there - point, new - slope
        curvature = float((move * bend).sum())
        if curvature > 1e-10 * float((move * move).sum()):
            if fresh:
                inverse *= curvature / float((bend * bend).sum())
                fresh = False
            inverse = _updated(inverse, move, bend, curvature)
        point, value, slope = there, found, new
    return point


def _updated(inverse: Vector, step: Vector, bend: Vector, curvature: float) -> Vector:
    """The inverse Hessian after a step that changed the gradient by ``bend``."""
    pushed = (inverse * bend).sum(1)
    factor = (curvature + float((bend * pushed).sum())) / curvature**2
    crossed = np.outer(pushed, step) / curvature
    result: Vector = inverse + factor * np.outer(step, step) - crossed - crossed.T
    return result
