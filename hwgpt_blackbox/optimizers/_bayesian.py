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
from hwgpt_blackbox.optimizers import _acquisition as acquisition
from hwgpt_blackbox.optimizers._model_based import BayesianSearcher, Score
from hwgpt_blackbox.optimizers._pareto import nondominated_ranks

_SAMPLES = 128  # quasi-random draws for the expectation over a Chebyshev scalarisation


def _front(seen: Tensor) -> Tensor:
    return seen[torch.from_numpy(nondominated_ranks(seen.numpy()) == 0)]


def _front_scale(seen: Tensor) -> tuple[Tensor, Tensor]:
    """Ideal point and extent of the front of ``seen``, (objectives,) each; extent positive."""
    front = _front(seen)
    ideal, extent = front.amin(0), front.amax(0) - front.amin(0)
    whole = (seen.amax(0) - seen.amin(0)).clamp_min(1e-12)
    return ideal, torch.where(extent > 1e-9 * whole, extent, whole)


class RSBO(BayesianSearcher):
    """Bayesian optimisation of random scalarisations (Paria et al. 2020).

    Each suggestion draws weights evenly from the simplex and takes the architecture with the
    largest expected improvement of the augmented Chebyshev function (Knowles 2006) of the
    objectives, scaled to the front so far.

    Args:
        config_space: See :class:`BayesianSearcher`, as for ``options``.
        rho: Weight of the sum beside the maximum; 0.05 as in Knowles (2006).
        **options: Arguments of :class:`BayesianSearcher`.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        rho: float = 0.05,
        **options: Any,
    ) -> None:
        super().__init__(config_space, **options)
        if not rho >= 0:
            raise InputError(f"rho={rho!r}: expected a number of at least 0")
        self.rho = rho

    def _score(self, seen: Tensor) -> Score:
        count = seen.shape[1]
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

    Args:
        config_space: See :class:`BayesianSearcher`, as for ``options``.
        weights: One positive number per metric; None: equal weights, as in HW-GPT-Bench.
        **options: Arguments of :class:`BayesianSearcher`.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        weights: Sequence[float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(config_space, **options)
        if weights is not None and not (np.isfinite(weights).all() and min(weights) > 0):
            raise InputError(f"weights={weights!r}: expected positive numbers")
        self.weights = None if weights is None else [float(w) for w in weights]

    def _score(self, seen: Tensor) -> Score:
        weights = self.weights or [1.0] * seen.shape[1]
        if len(weights) != seen.shape[1]:
            raise InputError(
                f"weights={weights!r}: expected one for each of {seen.shape[1]} metrics"
            )
        values = self.observations.Y
        extent = torch.from_numpy(np.ptp(values, axis=0)).clamp_min(1e-12)
        slope = torch.tensor(weights, dtype=torch.double) / extent
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
    range beyond its worst values (Ishibuchi et al. 2011, BoTorch's rule).
    See :class:`BayesianSearcher` for the arguments.
    """

    def _score(self, seen: Tensor) -> Score:
        front = _front(seen)
        _, extent = _front_scale(seen)
        reference = front.amax(0) + 0.1 * extent
        best, worst = acquisition.non_dominated_cells(front, reference)
        return functools.partial(
            acquisition.log_expected_hypervolume_improvement, best=best, worst=worst
        )
