"""Additive models: a metric as a link of a sum over layers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.noise import Dependence

LINKS = ("identity", "log")
"""Links of the additive models: the value is the sum, or its exponential."""


@dataclass(frozen=True)
class AdditiveModel:
    """One metric as a link of a sum over layers.

    value = link^-1(intercept[e, n, b] + sum over active layers i of effect[e, n, b, i, m, h]),
    where effect is the sum of ``effect`` and ``corrections``: parts that vary along other axes are
    stored apart, because their sum would be several times larger.

    :param link: ``identity`` or ``log``
    :param intercept: shape (embed_dims, num_layers, 2), each axis full or 1
    :param effect: shape (embed_dims, num_layers, 2, max_layers, 3, 3), each axis full or 1
    :param ratio: quantiles of measurement over expected value at the artifact's levels, shape
        (embed_dims, num_layers, 2, levels), leading axes full or 1; None for an exact metric
    :param corrections: further effects, each shaped like ``effect``
    :param dependence: how measurements hang together
    """

    link: str
    intercept: NDArray[np.float64]
    effect: NDArray[np.float64]
    ratio: NDArray[np.float64] | None
    corrections: tuple[NDArray[np.float64], ...] = ()
    dependence: Dependence = Dependence()  # noqa: RUF009, it is frozen

    def effects(self, full: tuple[int, ...]) -> NDArray[np.float64]:
        """The sum of effect and corrections, broadcast to ``full``."""
        total = np.zeros(full)
        for part in (self.effect, *self.corrections):
            total += part
        return total

    def sum_range(self, space: Space) -> tuple[float, float]:
        """Smallest and largest sum over all architectures of a space: exact, as it is additive."""
        groups = (len(space.embed_dims), len(space.num_layers), 2)
        effect = self.effects((*groups, space.max_layers, 3, 3))
        active = np.arange(space.max_layers) < np.array(space.num_layers)[:, None, None]
        low, high = (
            self.intercept + np.where(active, best(axis=(-2, -1)), 0.0).sum(axis=-1)
            for best in (effect.min, effect.max)
        )
        return float(low.min()), float(high.max())


MAX_CORRECTIONS = 4
"""Corrections that one model may have."""


def array_key(target: str, part: str) -> str:
    """Name in the npz of one array of a model; target is ``perplexity`` or ``latency@a100``."""
    return f"{target}/{part}"


def check_shape(shape: tuple[int, ...], full: tuple[int, ...], what: str) -> None:
    """Raise unless every axis of ``shape`` is full or 1.

    :raises DataError: it is not
    """
    fits = len(shape) == len(full) and all(a in (1, b) for a, b in zip(shape, full, strict=True))
    if not fits or math.prod(shape) == 0:
        raise DataError(f"{what} has shape {shape}; expected {full}, where any axis may be 1")
