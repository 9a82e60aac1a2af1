"""What the Bayesian methods believe: one Gaussian process per objective, and one of feasibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hwgpt_blackbox.optimizers._features import Features
from hwgpt_blackbox.optimizers._pareto import Values, rank_and_crowding
from hwgpt_blackbox.optimizers._warping import EARLY, warp, warp_sign
from hwgpt_blackbox.optimizers.bayesian.gaussian_process import OutcomeModel, Posterior
from hwgpt_blackbox.optimizers.bayesian.kernels import MakePrior

_LEAST_FEASIBLE = 1e-3
Rows = npt.NDArray[np.int64]


def kept_rows(values: Values, limit: int) -> Rows:
    """Observations that a model of at most ``limit`` points is made of, in order.

    Half are the best by non-dominated rank and crowding, where candidates are compared; the
    others are spread evenly over the rest of the run, for the shape elsewhere.

    :param values: (n, objectives), minimised
    :param limit: at least 2
    :return: (min(n, limit),), increasing
    """
    n = len(values)
    if n <= limit:
        return np.arange(n)
    ranks, crowding = rank_and_crowding(values)
    order = np.lexsort((-crowding, ranks))
    best, others = order[: limit // 2], np.sort(order[limit // 2 :])
    count = limit - len(best)
    spread = others[np.linspace(0, len(others) - 1, count).round().astype(int)]
    return np.sort(np.concatenate([best, spread]))


@dataclass(frozen=True)
class ObjectivePosterior:
    """Posterior of one outcome in the units in which it was given.

    :param posterior: of the outcome, warped, shifted by ``shift`` and divided by ``scale``
    :param warp: see :func:`warp_sign`
    """

    posterior: Posterior
    shift: float
    scale: float
    warp: float = 0.0

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation at x (n, columns), without noise: (n,) each.

        In logarithms an outcome is lognormal; its two moments stand for it.
        """
        mean, std = self.posterior(x)
        mean, std = mean * self.scale + self.shift, std * self.scale
        if self.warp:
            # the moments of a lognormal explode far from all data: bound them
            variance = std.square().clamp_max(4.0)
            mean = self.warp * torch.exp((self.warp * mean + variance / 2).clamp(-700.0, 350.0))
            std = mean.abs() * torch.expm1(variance).sqrt()
        return mean, std


@dataclass(frozen=True)
class Belief:
    """What is known at one moment, all in the units of the values modelled, minimised.

    :param objectives: posteriors, independent of each other
    :param success: posterior of success (1) or failure (0); None before the first failure
    :param extent: largest less smallest of the values modelled, shape (objectives,)
    :param reach: what nine in ten of the first 20 values were better than, shape (objectives,)
    :param seen: posterior means at the observations in use and at the pending trials, shape (n,
        objectives): what the objectives are there when noise is taken away
    """

    objectives: tuple[ObjectivePosterior, ...]
    success: ObjectivePosterior | None
    extent: Tensor
    reach: Tensor
    seen: Tensor

    def __call__(self, features: Features) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of all objectives, (n, objectives) each."""
        return _predict(self.objectives, features)

    def log_feasible(self, features: Features) -> Tensor:
        """Logarithm of the probability that a trial succeeds, (n,); 0 before a failure."""
        if self.success is None:
            return torch.zeros(len(features), dtype=torch.double)
        mean, _ = self.success(torch.from_numpy(features))
        return mean.clamp(_LEAST_FEASIBLE, 1.0).log()


def _predict(objectives: Sequence[ObjectivePosterior], features: Features) -> tuple[Tensor, Tensor]:
    x = torch.from_numpy(features)
    means, deviations = zip(*(objective(x) for objective in objectives), strict=True)
    return torch.stack(means, 1), torch.stack(deviations, 1)


@dataclass
class ObjectiveModels:
    """The models, as they last from one suggestion to the next; picklable.

    :param limit: most observations a model is made of; bounds the time per suggestion
    :param logarithms: whether objectives of one sign are modelled in logarithms
    """

    limit: int
    logarithms: bool
    models: list[OutcomeModel] = field(default_factory=list)
    feasibility: OutcomeModel = field(default_factory=OutcomeModel)

    def belief(
        self,
        features: Features,
        values: Values,
        pending: Features,
        failed: Features,
        make_prior: MakePrior,
    ) -> Belief:
        """Posterior given all results so far; refits at most one model, the most outdated.

        :param features: (n, columns), n >= 2
        :param values: (n, objectives), finite, minimised
        :param pending: (k, columns), trials that run
        :param failed: (f, columns), trials that failed
        :param make_prior: see ``kernels.MakePrior``
        """
        if not self.models:
            self.models = [OutcomeModel() for _ in range(values.shape[1])]
        rows, n = kept_rows(values, self.limit), len(values)
        x, extra = torch.from_numpy(features[rows]), torch.from_numpy(pending)
        oldest = min(self.models, key=lambda model: model.fitted_at)
        objectives = []
        for model, column in zip(self.models, values.T, strict=True):
            sign = warp_sign(column) if self.logarithms else 0.0
            y = torch.from_numpy(warp(column[rows], sign))
            refit = model is oldest and model.outdated(n)
            posterior = model.posterior(x, y, extra, make_prior, observations=n, refit=refit)
            objectives.append(ObjectivePosterior(posterior, model.shift, model.scale, sign))
        seen, _ = _predict(objectives, np.concatenate([features[rows], pending]))
        success = self._success(features[rows], failed[-self.limit :], make_prior)
        extent = torch.from_numpy(np.ptp(values, axis=0))
        reach = torch.from_numpy(np.quantile(values[:EARLY], 0.9, axis=0))
        return Belief(tuple(objectives), success, extent, reach, seen)

    def _success(
        self, features: Features, failed: Features, make_prior: MakePrior
    ) -> ObjectivePosterior | None:
        """A Gaussian process of success and failure, for want of a likelihood (Gelbart 2014)."""
        if not len(failed):
            return None
        x = torch.from_numpy(np.concatenate([features, failed]))
        y = torch.cat((torch.ones(len(features)), torch.zeros(len(failed)))).double()
        model, n = self.feasibility, len(x)
        posterior = model.posterior(
            x, y, x[:0], make_prior, observations=n, refit=model.outdated(n)
        )
        return ObjectivePosterior(posterior, model.shift, model.scale)
