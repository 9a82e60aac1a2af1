"""What the figures of a report card show, as tidy tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.judging.holdouts import Evaluation, pit_levels
from hwgpt_blackbox.convert.judging.measures import COVERAGES
from hwgpt_blackbox.domain.encoding import NUM_LAYERS, Encoding

COMPARED = {
    "mae": "MAE",
    "rmse": "RMSE",
    "crps_over_mean": "CRPS over mean",
    "miscalibration_area": "miscalibration area",
}
"""Measures of a comparison that are drawn, all better when smaller."""

POINTS, POINT_SEED = 1_500, 0
"""Architectures of a cloud of points at most, and the seed that chooses them."""

QQ_LEVELS = np.r_[0.0005, 0.001, 0.002, 0.005, np.arange(1, 100) / 100, 0.995, 0.998, 0.999, 0.9995]
"""Levels at which measurements and predictive distributions are compared."""

CURVE_LEVELS = np.linspace(0.0, 1.0, 101)
"""Levels of an empirical distribution that is drawn."""


def predicted_table(evaluation: Evaluation, targets: Sequence[str]) -> pd.DataFrame:
    """Mean of the measurements and expected value of architectures.

    :return: columns ``target``, ``measured``, ``predicted``, natural units
    """
    rows = np.random.default_rng(POINT_SEED).permutation(len(evaluation.sample))[:POINTS]
    expected = evaluation.expected(targets)
    parts = []
    for j, name in enumerate(targets):
        values = (
            evaluation.noisy[name].mean(axis=1)
            if name in evaluation.noisy
            else evaluation.exact[name]
        )
        frame = pd.DataFrame({"measured": values[rows], "predicted": expected[rows, j]})
        parts.append(frame.assign(target=name).dropna())
    return pd.concat(parts, ignore_index=True)[["target", "measured", "predicted"]]


def calibration_table(evaluation: Evaluation, targets: Sequence[str]) -> pd.DataFrame:
    """Quantiles of the levels of measurements in their predictive distributions.

    :param targets: noisy targets
    :return: columns ``target``, ``level`` (nominal) and ``measured`` (quantile of the levels at
        it: equal if calibrated)
    """
    parts = []
    for name in targets:
        found = np.quantile(pit_levels(evaluation, name), QQ_LEVELS)
        parts.append(pd.DataFrame({"target": name, "level": QQ_LEVELS, "measured": found}))
    return pd.concat(parts, ignore_index=True)


def coverage_table(section: Mapping[str, Any]) -> pd.DataFrame:
    """Coverage of central intervals by noisy target of a section of a card.

    :return: columns ``target``, ``level`` (nominal) and ``measured`` (share within)
    """
    rows = [
        {"target": name, "level": level, "measured": row[f"coverage_{100 * level:g}"]}
        for name, row in section["targets"].items()
        for level in COVERAGES
        if row.get(f"coverage_{100 * level:g}") is not None
    ]
    return pd.DataFrame(rows, columns=["target", "level", "measured"])


def families_table(comparison: Mapping[str, Any]) -> pd.DataFrame:
    """Measures of families of surrogates, of a comparison in a card.

    :return: columns ``target``, ``family``, ``measure`` and ``value``; a family without a measure
        has no row for it
    """
    rows = [
        {"target": row["target"], "family": row["family"], "measure": title, "value": row[key]}
        for row in comparison["rows"]
        for key, title in COMPARED.items()
        if row.get(key) is not None
    ]
    return pd.DataFrame(rows, columns=["target", "family", "measure", "value"])


def groups(evaluation: Evaluation) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Rows of the architectures by factor and group.

    The MLP ratio varies over layers: architectures are grouped in thirds of its mean over them.

    :return: factor to label to mask of shape (n,)
    """
    sample, space = evaluation.sample, evaluation.sample.space
    ratio = Encoding(space).mean_layer_choices(sample.matrix)[:, 0]
    low, high = np.quantile(ratio, (1 / 3, 2 / 3))
    depth = sample.matrix[:, NUM_LAYERS]
    return {
        "embed_dim": {str(e): sample.embed == k for k, e in enumerate(space.embed_dims)},
        "num_layers": {str(n): depth == k for k, n in enumerate(space.num_layers)},
        "mean mlp_ratio": {
            f"below {low:.2f}": ratio < low,
            "between": (ratio >= low) & (ratio <= high),
            f"above {high:.2f}": ratio > high,
        },
    }


def distribution_table(evaluation: Evaluation, targets: Sequence[str]) -> pd.DataFrame:
    """Empirical distributions of targets by embed_dim, num_layers and MLP ratio.

    :return: columns ``target``, ``factor``, ``group``, ``level``, and the quantiles at it of what
        was ``measured`` and of as many measurements drawn from the models (``predicted``)
    """
    predictor = evaluation.predictor(targets)
    drawn = predictor.measurements(evaluation.sample.matrix, np.zeros(1, dtype=np.uint64))
    by_factor = groups(evaluation)
    parts = []
    for j, name in enumerate(targets):
        values: Array = (
            evaluation.noisy[name] if name in evaluation.noisy else evaluation.exact[name][:, None]
        )
        known = np.isfinite(values).all(axis=1)
        for factor, labels in by_factor.items():
            for label, mask in labels.items():
                rows = mask & known
                if not rows.any():
                    continue
                parts.append(
                    pd.DataFrame(
                        {
                            "target": name,
                            "factor": factor,
                            "group": label,
                            "level": CURVE_LEVELS,
                            "measured": np.quantile(values[rows], CURVE_LEVELS),
                            "predicted": np.quantile(drawn[rows, j], CURVE_LEVELS),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)
