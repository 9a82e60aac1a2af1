"""What the Bayesian methods believe: one Gaussian process per objective, and one of feasibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.optimizers._features import Features
from hwgpt_blackbox.optimizers._pareto import Values, crowding_distances, front_rows
from hwgpt_blackbox.optimizers._warping import EARLY, warp, warp_sign
from hwgpt_blackbox.optimizers.bayesian.outcome import Family, OutcomeModel, Points, Posterior

_LEAST_FEASIBLE = 1e-3
_RENEWED = 10  # times that a model of the largest size is added to before its rows are chosen anew
_ROWS = 256  # architectures that are predicted together: their arrays stay in the cache
Rows = npt.NDArray[np.int64]
Vector = npt.NDArray[np.float64]


def kept_rows(values: Values, limit: int) -> Rows:
    """Observations that a model of at most ``limit`` points is made of, in order.

    Half are the best by non-dominated rank and crowding, where candidates are compared; the
    others are spread evenly over the rest of the run, for the shape elsewhere. They are chosen anew
    with every so many results, and those between are all kept: so a model grows most of the time.

    :param values: (n, objectives), minimised
    :param limit: at least 2
    :return: at most ``limit`` rows, increasing
    """
    n = len(values)
    if n <= limit:
        return np.arange(n)
    step = max(limit // _RENEWED, 1)
    chosen_at, limit = n - (n - limit) % step, limit - step
    left, best = np.arange(chosen_at), np.empty(0, dtype=np.int64)
    while len(best) < limit // 2:  # front by front, without ranking all
        front = left[front_rows(values[left])]
        order = np.argsort(-crowding_distances(values[front]), kind="stable")
        best = np.concatenate([best, front[order]])[: limit // 2]
        left = np.setdiff1d(left, best, assume_unique=True)
    spread = left[np.linspace(0, len(left) - 1, limit - len(best)).round().astype(int)]
    return np.concatenate([np.sort(np.concatenate([best, spread])), np.arange(chosen_at, n)])


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

    def __call__(self, at: Any) -> tuple[Vector, Vector]:
        """Mean and standard deviation at ``points.across(...)``, without noise: (n,) each.

        In logarithms an outcome is lognormal; its two moments stand for it.
        """
        mean, std = self.posterior(at)
        mean, std = mean * self.scale + self.shift, std * self.scale
        if self.warp:
            # the moments of a lognormal explode far from all data: bound them
            variance = np.minimum(std**2, 4.0)
            mean = self.warp * np.exp((self.warp * mean + variance / 2).clip(-700.0, 350.0))
            std = np.abs(mean) * np.sqrt(np.expm1(variance))
        return mean, std


@dataclass(frozen=True)
class Belief:
    """What is known at one moment, all in the units of the values modelled, minimised.

    :param points: architectures that posteriors are given
    :param objectives: posteriors, independent of each other
    :param feasible: points of the next
    :param success: posterior of success (1) or failure (0); None before the first failure
    :param extent: largest less smallest of the values modelled, shape (objectives,)
    :param reach: what nine in ten of the first 20 values were better than, shape (objectives,)
    :param seen: posterior means at the observations in use and at the pending trials, shape (n,
        objectives): what the objectives are there when noise is taken away
    """

    points: Points
    objectives: tuple[ObjectivePosterior, ...]
    feasible: Points | None
    success: ObjectivePosterior | None
    extent: Vector
    reach: Vector
    seen: Values

    def __call__(self, features: Features) -> tuple[Values, Values]:
        """Mean and standard deviation of all objectives, (n, objectives) each."""
        return _predict(self.points, self.objectives, features)

    def log_feasible(self, features: Features) -> Vector:
        """Logarithm of the probability that a trial succeeds, (n,); 0 before a failure."""
        if self.success is None or self.feasible is None:
            return np.zeros(len(features))
        mean, _ = self.success(self.feasible.across(features))
        return np.asarray(np.log(mean.clip(_LEAST_FEASIBLE, 1.0)))


def _predict(
    points: Points, objectives: Sequence[ObjectivePosterior], features: Features
) -> tuple[Values, Values]:
    means, deviations = np.empty((2, len(features), len(objectives)))
    for start in range(0, len(features), _ROWS):
        rows = slice(start, start + _ROWS)
        at = points.across(features[rows])
        for k, objective in enumerate(objectives):
            means[rows, k], deviations[rows, k] = objective(at)
    return means, deviations


@dataclass
class ObjectiveModels:
    """The models, as they last from one suggestion to the next; picklable.

    :param family: kind of the models
    :param limit: most observations a model is made of; bounds the time per suggestion
    :param logarithms: whether objectives of one sign are modelled in logarithms
    """

    family: Family
    limit: int
    logarithms: bool
    models: list[OutcomeModel] = field(default_factory=list)
    feasibility: OutcomeModel | None = None

    def belief(
        self,
        features: Features,
        values: Values,
        pending: Features,
        failed: Features,
    ) -> Belief:
        """Posterior given all results so far; refits at most one model, the most outdated.

        :param features: (n, columns), n >= 2
        :param values: (n, objectives), finite, minimised
        :param pending: (k, columns), trials that run
        :param failed: (f, columns), trials that failed
        """
        if not self.models:
            self.models = [self.family.model() for _ in range(values.shape[1])]
        rows, n = kept_rows(values, self.limit), len(values)
        points = self.family.points(features[rows], pending)
        oldest = min(self.models, key=lambda model: model.fitted_at)
        objectives = []
        for model, column in zip(self.models, values.T, strict=True):
            sign = warp_sign(column) if self.logarithms else 0.0
            refit = model is oldest and model.outdated(n)
            y = warp(column[rows], sign)
            posterior = model.posterior(points, y, observations=n, refit=refit)
            objectives.append(ObjectivePosterior(posterior, model.shift, model.scale, sign))
        seen, _ = _predict(points, objectives, np.concatenate([features[rows], pending]))
        feasible, success = self._success(features[rows], failed[-self.limit :])
        extent = np.ptp(values, axis=0)
        reach = np.quantile(values[:EARLY], 0.9, axis=0)
        return Belief(points, tuple(objectives), feasible, success, extent, reach, seen)

    def _success(
        self, features: Features, failed: Features
    ) -> tuple[Points | None, ObjectivePosterior | None]:
        """A Gaussian process of success and failure, for want of a likelihood (Gelbart 2014)."""
        if not len(failed):
            return None, None
        if self.feasibility is None:
            self.feasibility = self.family.model()
        points = self.family.points(np.concatenate([features, failed]), features[:0])
        y = np.repeat([1.0, 0.0], [len(features), len(failed)])
        model, n = self.feasibility, len(y)
        posterior = model.posterior(points, y, observations=n, refit=model.outdated(n))
        return points, ObjectivePosterior(posterior, model.shift, model.scale)
