"""What the models of an outcome share, whatever their covariance function."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.optimizers._features import Features

Vector = npt.NDArray[np.float64]

_GROWTH = 0.15  # share of new observations after which hyperparameters are fitted again


class Posterior(Protocol):
    """Marginal posterior of one standardised outcome."""

    def __call__(self, at: Any) -> tuple[Vector, Vector]:
        """Mean and standard deviation (without noise) at ``points.across(...)``: (n,) each."""


class Points(Protocol):
    """Architectures whose results are known, then those whose results are still to come.

    The latter lower the variance as if they had come in at the posterior mean, which leaves the
    mean as it is (the kriging believer, Ginsbourger et al. 2010).
    """

    def across(self, x: Features) -> Any:
        """What posteriors of all outcomes need to know of features (n, columns)."""


@dataclass
class OutcomeModel:
    """Model of one outcome: what of it lasts from one suggestion to the next.

    :param fitted_at: number of observations at the last fit; 0 before the first
    :param shift: what was taken from the outcome last modelled
    :param scale: what it was then divided by
    """

    fitted_at: int = 0
    shift: float = 0.0
    scale: float = 1.0

    def outdated(self, observations: int) -> bool:
        """Whether there are so many observations that the hyperparameters want a refit."""
        return observations >= self.fitted_at + max(1, math.ceil(_GROWTH * self.fitted_at))

    def posterior(self, points: Points, y: Vector, *, observations: int, refit: bool) -> Posterior:
        """Posterior of the standardised outcome, after a refit if asked.

        :param points: of which the first n are known, n >= 2
        :param y: (n,), finite. ``shift`` and ``scale`` are set to its mean and standard deviation
        :param observations: all there are, of which y may be a subset; noted when refitted
        :param refit: whether to fit the hyperparameters, warm from the last fit
        """
        self.shift, spread = float(y.mean()), float(y.std(ddof=1))
        self.scale = spread if spread > 1e-12 * float(np.abs(y).max()) else 1.0
        refit = refit or not self.fitted_at
        if refit:
            self.fitted_at = observations
        found: Posterior = self._posterior(points, (y - self.shift) / self.scale, refit)
        return found

    def _posterior(self, points: Any, y: Vector, refit: bool) -> Any:
        """Posterior of a standardised outcome, (n,)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Family:
    """Models of one kind.

    :param points: makes points of features of known ones (n, columns) and pending ones (k, columns)
    :param model: makes a fresh model
    """

    points: Callable[[Features, Features], Points]
    model: Callable[[], OutcomeModel]
