"""Acquisition functions over a finite set of candidates, in closed form where there is one.

All functions minimise, take marginal posteriors ``mean`` and ``std`` of shape
(candidates, objectives), independent between objectives, and return (candidates,) values to be
maximised, in double precision. They touch no random state.

BoTorch has expected hypervolume improvement in closed form without the logarithm
(``ExpectedHypervolumeImprovement``, which underflows to 0 far from the front: local search then
has nothing to climb) and with it by Monte Carlo only (``qLogExpectedHypervolumeImprovement``,
made for gradients). Over a finite set the closed form of its logarithm is exact and cheap.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.optimizers._pareto import Values, crowding_distances, front_rows

Vector = npt.NDArray[np.float64]

_TINY_STD = 1e-12
_CANCELLING = 1e-6  # improvements, in standard deviations, below which rounding would show
_MOST_BOXES = 2000
_FAR = 1e6  # stands for infinity
_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_ELEMENTS = 2**14  # candidates times boxes of one array, which then stays in the cache

_CENTRE = 4.0
_TAIL = (
    0.9076379618778744,
    0.2766806779707096,
    -0.28478940578168943,
    0.039468523113046924,
    0.21153730472737853,
    -0.2747150902414941,
    0.17372440556302193,
    -0.05027823225351316,
    -0.007558933055953097,
    0.01030384887740956,
    -0.0007805867049427322,
    -0.0017281949293104434,
    0.0002720977417078384,
    0.000323746606771266,
    -4.739144850068248e-05,
    -6.586769797997193e-05,
    4.322591074915578e-06,
    1.1838180988067734e-05,
    3.5790891491835284e-07,
    -1.249626848875093e-06,
    -1.3341895033289948e-07,
)
"""Polynomial of ``(1 + t**2) (1 - t m(t))`` in ``(t - 4) / (t + 4)``, m Mills' ratio: to 3e-13.

Interpolated at Chebyshev's points, as Shepherd and Laframboise (1981) do for erfc.
"""


def _tail(t: Vector) -> Vector:
    """``E[(x - t)+]`` of a standard normal x over its density at t >= 0."""
    at = (t - _CENTRE) / (t + _CENTRE)
    total = np.full_like(at, _TAIL[-1])
    for coefficient in _TAIL[-2::-1]:
        total *= at
        total += coefficient
    return np.asarray(total / (1 + t * t))


def _gain(z: Vector) -> tuple[Vector, Vector, Vector]:
    """``E[(z - x)+]`` of a standard normal x, any shape; and its density and tail at -abs(z)."""
    t = np.minimum(np.abs(z), _FAR)
    logarithm = -0.5 * t * t - _LOG_ROOT_2PI
    tail = _tail(t)
    return np.exp(logarithm) * tail + np.maximum(z, 0.0), logarithm, tail


def log_expected_gain(z: Vector) -> Vector:
    """Logarithm of ``E[(z - x)+]`` of a standard normal x, without underflow (Ament 2023)."""
    return _log_gain(z, *_gain(z))


def _log_gain(z: Vector, gain: Vector, logarithm: Vector, tail: Vector) -> Vector:
    with np.errstate(divide="ignore"):
        return np.where(z < 0, logarithm + np.log(tail), np.log(gain))


class Cells:
    """Boxes that fill the region not dominated by a front and better than a reference point.

    Each point of the front cuts what it dominates out of the boxes so far.

    :param front: (points, objectives), minimised; dominated points and none at all are allowed.
        From four objectives on, points in crowded places are left out once there are 2,000 boxes.
    :param reference: (objectives,)
    :ivar best: corners of the boxes, (boxes, objectives), less than ``worst``; may be minus
        infinity
    :ivar worst: opposite corners, (boxes, objectives)
    """

    def __init__(self, front: Values, reference: Vector) -> None:
        self.best, self.worst = np.full((1, len(reference)), -np.inf), np.array(reference)[None]
        front = front[(front < reference).all(axis=1)]
        front = front[front_rows(front)]
        many = len(reference) > 3
        crowding = -crowding_distances(front) if many else front[:, 0]
        for point in front[np.argsort(crowding, kind="stable")]:
            self._cut(point)
            if many and len(self.best) > _MOST_BOXES:
                break
        # A front of p points has p + 2 distinct coordinates but many more boxes from three
        # objectives on: the costly function is evaluated at the coordinates, then looked up.
        self._sides = []
        for sides in zip(self.worst.T, self.best.T, strict=True):
            values, where = np.unique(np.concatenate(sides), return_inverse=True)
            self._sides.append((values, np.split(where.reshape(-1), 2)))

    def _cut(self, point: Vector) -> None:
        """Take away what a point dominates."""
        cut = (point < self.worst).all(axis=1)
        low, high = self.best[cut], self.worst[cut]
        bests, worsts = [self.best[~cut]], [self.worst[~cut]]
        for k, value in enumerate(point):
            split = low[:, k] < value
            bests.append(low[split])
            worsts.append(high[split])
            worsts[-1][:, k] = value
            low[:, k] = np.maximum(low[:, k], value)
        self.best, self.worst = np.concatenate(bests), np.concatenate(worsts)

    def log_expected_improvement(self, mean: Values, std: Values) -> Vector:
        """Logarithm of the expected hypervolume improvement (Daulton et al. 2020, section 3).

        Within a box the improvement is the product over objectives of the part of the side that a
        new value covers, hence its expectation the product of ``E[(worst - y)+] - E[(best - y)+]``.

        :param mean: (candidates, objectives)
        :param std: (candidates, objectives), positive
        :return: (candidates,)
        """
        std = np.maximum(std, _TINY_STD)
        rows = max(1, _ELEMENTS // len(self.best))
        parts = [slice(start, start + rows) for start in range(0, len(mean), rows)]
        return np.concatenate([np.zeros(0), *(self._log_gain(mean[p], std[p]) for p in parts)])

    def _log_gain(self, mean: Values, std: Values) -> Vector:
        # Plain numbers wherever they do (they cost much less), logarithms where they would cancel.
        z = [
            (values - mean[:, k : k + 1]) / std[:, k : k + 1]
            for k, (values, _) in enumerate(self._sides)
        ]
        gains = [_gain(at) for at in z]
        volume = np.ones((len(mean), len(self.best)))
        for (plain, _, _), (_, (at_worst, at_best)) in zip(gains, self._sides, strict=True):
            volume *= plain[:, at_worst] - plain[:, at_best]
        improvement = volume.sum(axis=1)
        small = np.flatnonzero(~(improvement > _CANCELLING))
        with np.errstate(divide="ignore", invalid="ignore"):
            result = np.log(np.maximum(improvement, 0.0))
            total = np.zeros((len(small), len(self.best)))
            for at, parts, (_, (at_worst, at_best)) in zip(z, gains, self._sides, strict=True):
                table = _log_gain(at[small], *(part[small] for part in parts))
                upper, lower = table[:, at_worst], table[:, at_best]
                # equal corners give log(0) = -inf, as they should
                total += upper + np.log(-np.expm1(np.minimum(lower - upper, 0.0)))
            top = np.maximum(total.max(axis=1, keepdims=True), -1e300)
            result[small] = top[:, 0] + np.log(np.exp(total - top).sum(axis=1))
        return np.asarray(result + np.log(std).sum(axis=1))


def log_expected_improvement(mean: Vector, std: Vector, best: float) -> Vector:
    """Logarithm of the expected improvement below ``best`` (Ament et al. 2023).

    :param mean: (candidates,)
    :param std: (candidates,)
    :param best: smallest value so far
    :return: (candidates,)
    """
    std = np.maximum(std, _TINY_STD)
    return np.asarray(log_expected_gain((best - mean) / std) + np.log(std))


def augmented_chebyshev(values: Values, weights: Vector, rho: float) -> Vector:
    """Augmented Chebyshev scalarisation, minimised (Knowles 2006, equation 2).

    :param values: (..., objectives), scaled so that 0 is the best and 1 the worst of the front
    :param weights: (objectives,), nonnegative, of sum 1
    :param rho: weight of the sum beside the maximum
    :return: (...,)
    """
    weighted = values * weights
    return np.asarray(weighted.max(axis=-1) + rho * weighted.sum(axis=-1))


def log_expected_scalar_improvement(scalars: Values, best: float, softness: float = 1e-6) -> Vector:
    """Logarithm of the expected improvement of a scalarisation, from samples of it.

    Where no sample improves, a tail that falls with the square of the distance keeps an order, as
    in BoTorch's smooth substitute of the positive part (Ament et al. 2023).

    :param scalars: (samples, candidates), minimised
    :param best: smallest value so far
    :param softness: in units of the scalarisation
    :return: (candidates,)
    """
    gains = best - scalars
    tail = 0.1 * softness / (1 + (gains / softness) ** 2)
    return np.asarray(np.log((np.maximum(gains, 0.0) + tail).mean(axis=0)))
