"""Rates of outliers: as they were measured, and as the models draw them.

Counted about two medians. About the one that the model predicts for the architecture, where the
model's rate is exact: this is what one measurement meets. And about the median of the repeats of
the architecture, which share a state of the machine: there repeats of the model's sessions are
drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.judging.holdouts import Evaluation, predictor_of
from hwgpt_blackbox.convert.judging.measures import groups_of, pit
from hwgpt_blackbox.models.noise import SESSIONS

THRESHOLDS = (0.5, 1.5, 2.0, 5.0, 10.0, 100.0)
"""Multiples of the median: below 1, how many measurements are less; above, how many are more."""

STRETCH = 100
"""Architectures in a row whose outliers may have one cause."""

CONFIDENCE = 0.95
"""Of the intervals of measured rates."""


@dataclass(frozen=True)
class OutlierRate:
    """How often measurements of a target lie beyond a multiple of a median.

    :param threshold: the multiple
    :param measured: share of the measurements
    :param low: ends of the interval of the measured share
    :param high: likewise
    :param drawn: share of the model's draws for the same architectures
    :param architectures: how many have such a measurement
    """

    threshold: float
    measured: float
    low: float
    high: float
    drawn: float
    architectures: int

    @property
    def agrees(self) -> bool:
        """Whether the model's rate is in the interval of the measured one."""
        return self.low <= self.drawn <= self.high


def beyond(ratio: Array, threshold: float) -> NDArray[np.bool_]:
    """Whether ratios lie beyond a threshold, same shape."""
    return ratio < threshold if threshold < 1.0 else ratio > threshold


def rate_interval(hit: NDArray[np.bool_], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval of a share, for as many independent measurements as the hits are worth.

    Repeats of an architecture and neighbours in profiling order go together: the variance of the
    share over stretches of the profiling, against that of independent hits, says how much. With no
    hit at all every architecture counts once.

    :param hit: in profiling order, shape (n, r)
    """
    n = hit.size
    share = float(hit.mean())
    parts = np.array_split(hit, max(2, len(hit) // STRETCH))
    sizes = np.array([part.size for part in parts], dtype=np.float64)
    counts = np.array([part.sum() for part in parts], dtype=np.float64)
    independent = share * (1.0 - share) * float(sizes.mean())
    observed = float(((counts - share * sizes) ** 2).sum() / (len(parts) - 1))
    worth = n / max(1.0, observed / independent) if independent > 0.0 else float(len(hit))
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    middle = (share + z * z / (2.0 * worth)) / (1.0 + z * z / worth)
    half = z * np.sqrt(share * (1.0 - share) / worth + (z / (2.0 * worth)) ** 2)
    half /= 1.0 + z * z / worth
    return max(0.0, middle - float(half)), min(1.0, middle + float(half))


def _rate(ratio: Array, threshold: float, drawn: float) -> OutlierRate:
    hit = beyond(ratio, threshold)
    low, high = rate_interval(hit)
    found = int(hit.any(axis=1).sum())
    return OutlierRate(threshold, float(hit.mean()), low, high, drawn, found)


def rates_about_prediction(
    evaluation: Evaluation, target: str, thresholds: Sequence[float] = THRESHOLDS
) -> list[OutlierRate]:
    """Rates beyond multiples of the median that the model predicts; the model's own are exact.

    :param evaluation: models and measured architectures in profiling order
    :param target: ``energy@a100``
    """
    levels, tables = evaluation.surrogate.levels, evaluation.surrogate.quantiles(target)
    groups = groups_of(evaluation.surrogate, evaluation.sample.matrix)
    median = np.array([np.interp(0.5, levels, table) for table in tables])
    ratio = evaluation.noisy[target] / (evaluation.expected([target]) * median[groups][:, None])
    members = np.bincount(groups, minlength=len(tables)) / len(groups)
    out = []
    for threshold in thresholds:
        below = np.array(
            [
                float(pit(np.array(threshold * middle), levels, table))
                for middle, table in zip(median, tables, strict=True)
            ]
        )
        share = float((members * below).sum())
        out.append(_rate(ratio, threshold, share if threshold < 1.0 else 1.0 - share))
    return out


def rates_about_own_median(
    evaluation: Evaluation,
    target: str,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    sessions: int = 1,
) -> list[OutlierRate]:
    """Rates beyond multiples of the median of an architecture's own repeats.

    :param evaluation: models and measured architectures in profiling order
    :param target: measured more than once
    :param sessions: sessions of the model that are drawn, each with as many repeats as measured
    """
    measured = evaluation.noisy[target]
    predictor = predictor_of(evaluation.surrogate, [target])
    drawn = np.zeros(len(thresholds))
    for session in range(sessions):
        # Those that share the state of a session: see SESSIONS.
        numbers = session + np.arange(measured.shape[1], dtype=np.uint64) * np.uint64(SESSIONS)
        draws = np.hstack(
            [
                predictor.measurements(evaluation.sample.matrix, numbers[k : k + 1])
                for k in range(len(numbers))
            ]
        )
        ratio = draws / np.median(draws, axis=1, keepdims=True)
        drawn += [beyond(ratio, threshold).mean() for threshold in thresholds]
    ratio = measured / np.median(measured, axis=1, keepdims=True)
    return [
        _rate(ratio, threshold, float(share))
        for threshold, share in zip(thresholds, drawn / sessions, strict=True)
    ]


def repeat_effects(repeats: Array) -> Array:
    """Median over architectures of each repeat over the median of its architecture, shape (r,).

    Away from 1 in the first repeats: the machine warms up.

    :param repeats: measurements in the order in which they were taken, shape (n, r)
    """
    return np.asarray(np.median(repeats / np.median(repeats, axis=1, keepdims=True), axis=0))
