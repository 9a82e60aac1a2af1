"""RSBO, LSBO and EHVI: Bayesian optimisation of several objectives over discrete choices."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from botorch.utils.sampling import draw_sobol_normal_samples
from torch import Tensor

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._checks import checked_number
from hwgpt_blackbox.optimizers._pareto import nondominated_ranks
from hwgpt_blackbox.optimizers.bayesian import acquisition as acquisition
from hwgpt_blackbox.optimizers.bayesian.models import Belief
from hwgpt_blackbox.optimizers.bayesian.searcher import BayesianSearcher, Score

_SAMPLES = 128  # quasi-random draws for the expectation over a Chebyshev scalarisation


def _front(seen: Tensor) -> Tensor:
    return seen[torch.from_numpy(nondominated_ranks(seen.numpy()) == 0)]


def _front_scale(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Ideal point and extent of the front of ``seen``, (objectives,) each; extent positive."""
    front = _front(seen)
    ideal, extent = front.amin(0), front.amax(0) - front.amin(0)
    whole = (seen.amax(0) - seen.amin(0)).clamp_min(1e-12)
    return ideal, torch.where(extent > 1e-9 * whole, extent, whole)


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
        weights = torch.from_numpy(self.rng.dirichlet(np.ones(count)))
        seed = int(self.rng.integers(2**31))
        draws = draw_sobol_normal_samples(count, _SAMPLES, dtype=torch.double, seed=seed)
        ideal, extent = _front_scale(seen)
        now = acquisition.augmented_chebyshev((seen - ideal) / extent, weights, self.rho)
        best = float(now.min())

        def score(mean: Tensor, std: Tensor) -> Tensor:
            values = (mean + std * draws.unsqueeze(1) - ideal) / extent
            scalars = acquisition.augmented_chebyshev(values, weights, self.rho)
            return acquisition.log_expected_scalar_improvement(scalars, best)

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
        slope = torch.tensor(weights, dtype=torch.double) / belief.extent.clamp_min(1e-12)
        best = float((seen @ slope).min())

        def score(mean: Tensor, std: Tensor) -> Tensor:
            deviation = (std * slope).square().sum(1).sqrt()
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
        reference = torch.maximum(front.amax(0) + 0.1 * extent, belief.reach)
        best, worst = acquisition.non_dominated_cells(front, reference)
        return functools.partial(
            acquisition.log_expected_hypervolume_improvement, best=best, worst=worst
        )
