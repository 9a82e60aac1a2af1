"""RSBO, LSBO and EHVI: Bayesian optimisation of several objectives over discrete choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._checks import checked_number
from hwgpt_blackbox.optimizers._pareto import Values, front_rows
from hwgpt_blackbox.optimizers.bayesian import acquisition as acquisition
from hwgpt_blackbox.optimizers.bayesian.models import Belief
from hwgpt_blackbox.optimizers.bayesian.searcher import BayesianSearcher, Score

_SAMPLES = 128  # quasi-random draws for the expectation over a Chebyshev scalarisation

Vector = npt.NDArray[np.float64]


def _front(seen: Values) -> Values:
    return np.asarray(seen[front_rows(seen)])


def _front_scale(seen: Values) -> tuple[Vector, Vector]:
    """Ideal point and extent of the front of ``seen``, (objectives,) each; extent positive."""
    front = _front(seen)
    ideal, extent = front.min(axis=0), np.ptp(front, axis=0)
    whole = np.maximum(np.ptp(seen, axis=0), 1e-12)
    return ideal, np.where(extent > 1e-9 * whole, extent, whole)


def _normal_draws(count: int, rng: np.random.Generator) -> Values:
    """Quasi-random draws of so many standard normals, (samples, count).

    A shifted lattice, whose steps are powers of the generalised golden ratio (Roberts 2018), and
    its mirror image.
    """
    ratio = 2.0
    for _ in range(50):
        ratio = (1 + ratio) ** (1 / (count + 1))
    steps = ratio ** -np.arange(1.0, count + 1)
    places = (rng.random(count) + np.arange(_SAMPLES // 2)[:, None] * steps) % 1.0
    quantile = NormalDist().inv_cdf
    inside = places.clip(1e-9, 1 - 1e-9).ravel().tolist()
    draws = np.array([quantile(place) for place in inside]).reshape(places.shape)
    return np.concatenate([draws, -draws])


def _checked_weights(weights: Any) -> list[float]:
    listed = isinstance(weights, list | tuple | np.ndarray)
    checked = [checked_number("weights", weight, 0.0) for weight in weights] if listed else []
    if not checked or not all(checked):
        raise InputError(f"weights={weights!r}: expected a list of positive numbers")
    return checked


class RSBO(BayesianSearcher):
    """Bayesian optimisation of random scalarisations (Paria et al. 2020).

    Each suggestion draws weights evenly from the simplex and takes the architecture with the
    largest expected improvement of the augmented Chebyshev function (Knowles 2006) of the
    objectives, scaled to the front so far.

    :param config_space: see :class:`BayesianSearcher`
    :param rho: weight of the sum beside the maximum; 0.05 as in Knowles (2006)
    :param options: arguments of :class:`BayesianSearcher`
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        rho: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(config_space, **options)
        self.rho = checked_number("rho", rho, 0.0)

    def _score(self, belief: Belief) -> Score:
        seen, count = belief.seen, belief.seen.shape[1]
        weights = self.rng.dirichlet(np.ones(count))
        draws = _normal_draws(count, self.rng)
        ideal, extent = _front_scale(seen)
        now = acquisition.augmented_chebyshev((seen - ideal) / extent, weights, self.rho)
        best = float(now.min())

        def score(mean: Values, std: Values) -> Vector:
            centre, spread = (mean - ideal) * (weights / extent), std * (weights / extent)
            largest, total = (
                np.full((_SAMPLES, len(mean)), -np.inf),
                np.zeros((_SAMPLES, len(mean))),
            )
            for k in range(count):  # as augmented_chebyshev of centre + draws * spread
                values = np.outer(draws[:, k], spread[:, k])
                values += centre[:, k]
                np.maximum(largest, values, out=largest)
                total += values
            largest += self.rho * total
            return acquisition.log_expected_scalar_improvement(largest, best)

        return score


class LSBO(BayesianSearcher):
    """Bayesian optimisation of one fixed linear scalarisation, as in HW-GPT-Bench.

    Takes the architecture with the largest expected improvement of the weighted sum of the
    objectives, each scaled to the range of its results so far. Modelling the objectives one by
    one makes the sum Gaussian, the expectation exact, and lets the scale move with the results.

    :param config_space: see :class:`BayesianSearcher`
    :param weights: one positive number per metric; None: equal weights, as in HW-GPT-Bench.
    :param options: arguments of :class:`BayesianSearcher`
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        weights: Sequence[float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(config_space, **options)
        self.weights = None if weights is None else _checked_weights(weights)

    def check_metrics(self, count: int) -> None:
        """Raise InputError if there are not as many weights as metrics."""
        if self.weights is not None and len(self.weights) != count:
            raise InputError(f"weights={self.weights!r}: expected one for each of {count} metrics")

    def _score(self, belief: Belief) -> Score:
        seen = belief.seen
        self.check_metrics(seen.shape[1])
        weights = self.weights or [1.0] * seen.shape[1]
        slope = np.array(weights) / np.maximum(belief.extent, 1e-12)
        best = float((seen @ slope).min())

        def score(mean: Values, std: Values) -> Vector:
            deviation = np.sqrt(((std * slope) ** 2).sum(axis=1))
            return acquisition.log_expected_improvement(mean @ slope, deviation, best)

        return score


class EHVI(BayesianSearcher):
    """Bayesian optimisation by expected hypervolume improvement (Daulton et al. 2020).

    In closed form and in logarithms, over the front of the posterior means at the architectures
    measured or running, which takes measurement noise away (a plug-in for the noisy variant of
    Daulton et al. 2021, which it averages over). The reference point lies a tenth of the front's
    range beyond its worst values (Ishibuchi et al. 2011, BoTorch's rule), and in no objective
    before the worst tenth of the first results: where a step past the end of a narrow first front
    costs more than that tenth, it would gain nothing, and the front stay as narrow.
    See :class:`BayesianSearcher` for the arguments.
    """

    def _score(self, belief: Belief) -> Score:
        seen = belief.seen
        front = _front(seen)
        _, extent = _front_scale(seen)
        reference = np.maximum(front.max(axis=0) + 0.1 * extent, belief.reach)
        return acquisition.Cells(front, reference).log_expected_improvement
