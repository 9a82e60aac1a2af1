"""Drift: the machine changed while it was profiled, and that is not architecture.

The state of the machine moves slowly, architectures come in random order: what neighbours in
profiling order have in common, after the effects of their architectures, is drift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array


@dataclass(frozen=True)
class Drift:
    """How drift is estimated: the median of neighbouring log residuals.

    :param half: neighbours on either side; 0 means no drift
    :param by_embed: neighbours of the same embed_dim only
    """

    half: int = 0
    by_embed: bool = False


CANDIDATES = (
    Drift(),
    Drift(8),
    Drift(25),
    Drift(70),
    Drift(6, True),
    Drift(15, True),
    Drift(40, True),
)
"""Kinds of drift to choose from; the first is none."""

NO_DRIFT_BONUS = 0.995
"""Drift must lower the residuals by more than this factor to be believed."""


def running_median(residuals: Array, half: int) -> Array:
    """Median of ``half`` neighbours on either side, the own value left out.

    :param residuals: in profiling order, shape (n,)
    """
    n = len(residuals)
    padded = np.pad(residuals, half, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    others = np.delete(np.arange(2 * half + 1), half)
    out = np.empty(n)
    inner = slice(half, n - half)
    if n > 2 * half:
        out[inner] = np.median(windows[inner][:, others], axis=1)
    edge = np.r_[0 : min(half, n), max(half, n - half) : n]
    ordered = np.sort(windows[edge][:, others], axis=1)  # what lies outside comes last
    count = np.isfinite(ordered).sum(axis=1)
    rows = np.arange(len(edge))
    middle = (ordered[rows, (count - 1) // 2] + ordered[rows, count // 2]) / 2.0
    out[edge] = np.where(count > 0, middle, 0.0)
    return out


def estimate(
    residuals: Array, order: NDArray[np.intp], embed: NDArray[np.intp], kind: Drift
) -> Array:
    """Drift at each row; never uses a row's own residual.

    :param residuals: log residuals, shape (n,)
    :param order: position of each row while profiling, shape (n,)
    :param embed: index of embed_dim, shape (n,)
    """
    out = np.zeros(len(residuals))
    if not kind.half:
        return out
    everyone = np.arange(len(residuals))
    groups = [everyone[embed == e] for e in np.unique(embed)] if kind.by_embed else [everyone]
    for group in groups:
        rows = group[np.argsort(order[group], kind="stable")]
        out[rows] = running_median(residuals[rows], kind.half)
    return out


def choose(residuals: Array, order: NDArray[np.intp], embed: NDArray[np.intp]) -> Drift:
    """The kind of drift that leaves the smallest residuals."""
    scores = [
        np.abs(residuals - estimate(residuals, order, embed, kind)).mean() for kind in CANDIDATES
    ]
    scores[0] *= NO_DRIFT_BONUS
    return CANDIDATES[int(np.argmin(scores))]
