"""The report card of a space: how good its models are on architectures they have not seen.

Every section of a card judges models on measured architectures: those that were held out, after the
fit was repeated without them, beside plain least squares on the same rows; and, in sample, the
artifact's own models on everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.judging.cards.drift import drift_of
from hwgpt_blackbox.convert.judging.holdouts import (
    DEFAULT_SPLITS,
    IN_SAMPLE,
    PERPLEXITY,
    SPLIT_KINDS,
    Evaluation,
    Split,
    in_sample,
    published_for,
    refit,
    steps_of,
)
from hwgpt_blackbox.convert.judging.measures import evaluate, location_measures, predictor_of
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements
from hwgpt_blackbox.convert.source.user_measurements import DRIFT
from hwgpt_blackbox.domain.encoding import IntMatrix
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.models.surrogate import ERROR, Surrogate

REPORT_VERSION = 1
"""Version of the card's form that this code writes, and the newest that it reads."""

DRAWS = 1_000_000
"""Measurements drawn from the models for a section, over all noisy targets together."""

_ROWS = 20_000
"""Architectures that are drawn for at once, about."""

Measures = dict[str, dict[str, float]]


def repeats_drawn(architectures: int, targets: int, draws: int | None = None) -> int:
    """Repeats of every architecture and target that make at least ``draws`` together.

    :param draws: default: ``DRAWS``
    """
    return max(1, -(-(DRAWS if draws is None else draws) // max(1, architectures * targets)))


def shares_non_positive(
    surrogate: Surrogate, matrix: IntMatrix, targets: Sequence[str], repeats: int
) -> dict[str, float]:
    """Share of drawn measurements that are not above zero, by target.

    :param matrix: choice indices, shape (n, hyperparameters)
    :param repeats: draws of every architecture and target, keyed as those of queries
    """
    if not targets:
        return {}
    predictor = predictor_of(surrogate, targets)
    bad = np.zeros(len(targets))
    together = max(1, _ROWS // len(matrix))
    for first in range(0, repeats, together):
        numbers = np.arange(first, min(first + together, repeats), dtype=np.uint64)
        rows = np.tile(matrix, (len(numbers), 1))
        values = predictor.measurements(rows, np.repeat(numbers, len(matrix)))
        bad += (~(values > 0.0)).sum(axis=0)
    return dict(zip(targets, (bad / (repeats * len(matrix))).tolist(), strict=True))


def measure(evaluation: Evaluation, *, draws: int | None = None) -> Measures:
    """Measures of every target; those with a floor also have its own, and the ratio to it.

    :param draws: measurements to draw, over all noisy targets
    :return: by target; see ``evaluation`` for the measures
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    found = evaluate(
        evaluation.surrogate,
        evaluation.sample,
        evaluation.exact,
        evaluation.noisy,
        evaluation.networks,
    )
    noisy = list(evaluation.noisy)
    repeats = repeats_drawn(len(evaluation.sample), len(noisy), draws)
    shares = shares_non_positive(evaluation.surrogate, evaluation.sample.matrix, noisy, repeats)
    for name, share in shares.items():
        found[name]["share_non_positive"] = share
    plain = Surrogate(evaluation.sample.space, evaluation.floor, evaluation.surrogate.levels, {})
    for name in evaluation.floor:
        if name not in found:
            continue
        values = (
            evaluation.noisy[name].mean(axis=1)
            if name in evaluation.noisy
            else evaluation.exact[name]
        )
        known = np.isfinite(values)
        predicted = predictor_of(plain, [name]).expected(evaluation.sample.matrix[known])[:, 0]
        base = location_measures(values[known], predicted)
        for key in ("mae", "rmse"):
            found[name][f"{key}_ratio"] = found[name][key] / base[key]
        for key in ("mae", "rmse", "medae", "r2", "kendall_tau"):
            found[name][f"{key}_least_squares"] = base[key]
    return found


def summary(rows: Sequence[Measures]) -> dict[str, Any]:
    """What measures say over noisy targets; each target's own is its mean over splits.

    Ratios to least squares are averaged geometrically, over splits and targets.

    :param rows: measures of one or more splits, of the same targets
    """
    names = sorted({n for row in rows for n in row if "crps_over_mean" in row[n]})
    tau = [row[n]["kendall_tau"] for row in rows for n in row if n.endswith(PERPLEXITY)]
    found: dict[str, Any] = {"targets": len(names)}
    if tau:
        found["perplexity_kendall_tau"] = float(np.mean(tau))
    return found | _over_noisy(rows, names) if names else found


def _over_noisy(rows: Sequence[Measures], names: Sequence[str]) -> dict[str, Any]:
    """The part of a summary that is of noisy targets, of which there are some."""

    def over(key: str) -> Array:
        return np.array([np.mean([row[n][key] for row in rows if n in row]) for n in names])

    r2, area = over("r2"), over("miscalibration_area")
    worst = int(np.argmin(np.where(np.isnan(r2), -np.inf, r2)))
    found: dict[str, Any] = {
        "mean_r2": float(r2.mean()),
        "worst_target": names[worst],
        "worst_r2": float(r2[worst]),
        "mean_crps_over_mean": float(over("crps_over_mean").mean()),
        "mean_miscalibration_area": float(area.mean()),
        "largest_miscalibration_area": float(area.max()),
    }
    if all("mae_ratio" in row[n] for row in rows for n in names if n in row):
        mae, rmse = (
            np.exp(
                [np.mean([np.log(row[n][key]) for row in rows if n in row]) for n in names],
            )
            for key in ("mae_ratio", "rmse_ratio")
        )
        found |= {
            "mae_ratio": float(np.exp(np.log(mae).mean())),
            "rmse_ratio": float(np.exp(np.log(rmse).mean())),
            "both_lower": int(((mae < 1) & (rmse < 1)).sum()),
            "worst_mae_ratio": float(mae.max()),
            "worst_rmse_ratio": float(rmse.max()),
        }
    return found


def section(
    evaluation: Evaluation, measures: Measures, *, draws: int | None = None
) -> dict[str, Any]:
    """One section of a card: plain values, six significant digits, None for what is undefined."""
    repeats = (
        repeats_drawn(len(evaluation.sample), len(evaluation.noisy), draws)
        if evaluation.noisy
        else 0
    )
    judged = {
        f"{plural}_judged": int(np.isfinite(values).sum()) if values is not None else None
        for plural, values in (
            ("perplexities", evaluation.exact.get(PERPLEXITY)),
            ("errors", evaluation.exact.get(ERROR)),
        )
    }
    return {
        "split": evaluation.split.kind if evaluation.split else IN_SAMPLE,
        "seed": evaluation.split.seed if evaluation.split else None,
        "fitted": evaluation.fitted,
        "judged": len(evaluation.sample),
        **judged,
        "draws_per_target": repeats * len(evaluation.sample),
        "perplexity": dict(evaluation.notes.get(PERPLEXITY, {})),
        "summary": plain_row(summary([measures])),
        "targets": {name: plain_row(row) for name, row in measures.items()},
    }


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for JSON: six significant digits, None for what is undefined."""
    return {key: _rounded(v) if isinstance(v, float) else v for key, v in row.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def make_card(
    manifest: Mapping[str, Any],
    data: Measurements | UserMeasurements,
    evaluations: Sequence[Evaluation],
    *,
    draws: int | None = None,
) -> dict[str, Any]:
    """The card of an artifact.

    :param manifest: of the artifact
    :param data: what it was judged by
    :param evaluations: of its models
    :param draws: see :func:`measure`
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    import scipy

    sections = [
        section(evaluation, measure(evaluation, draws=draws), draws=draws)
        for evaluation in evaluations
    ]
    files = manifest.get("files", {})
    read = data.source.get("files", {})
    main = [name for name in read if name.endswith("stats.pkl")] or list(read)
    drift = drift_of(data) if isinstance(data, UserMeasurements) else {}
    return {
        "report_version": REPORT_VERSION,
        "space": data.space.name,
        "architectures": len(data),
        "arrays": {name: entry["sha256"] for name, entry in files.items() if name.endswith("npz")},
        "source": {name: read[name]["sha256"] for name in main},
        "splits": {kind: row.description for kind, row in SPLIT_KINDS.items()},
        "versions": {
            "hwgpt-blackbox": __version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        **({DRIFT: drift} if drift else {}),
        "sections": sections,
    }


def judge(
    checkout: Checkout,
    data: Measurements,
    surrogate: Surrogate,
    splits: Sequence[Split] = DEFAULT_SPLITS,
    *,
    draws: int | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], list[Evaluation]]:
    """The report card of an artifact against its source, and what it was computed from.

    :param checkout: the source
    :param data: its measurements
    :param surrogate: the models of the artifact, as read from it
    :param splits: hold-outs; each repeats the fit, which takes about 35 s
    :param progress: called with the name of each step
    :return: the card, and the evaluations: in sample first, then one for each split
    :raises DataError: too few architectures or perplexities
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    progress("report: in sample")
    evaluations = [in_sample(data, surrogate)]
    network = published_for(checkout, data)
    for split in splits:
        step = steps_of(split, progress)
        evaluations.append(refit(data, split, published=network, progress=step))
    return make_card(surrogate.manifest, data, evaluations, draws=draws), evaluations
