"""The report card of a space: how good its models are on architectures they have not seen.

Every section of a card judges models on measured architectures: those that were held out, after the
fit was repeated without them, beside plain least squares on the same rows; and, in sample, the
artifact's own models on everything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.convert.design import Array
from hwgpt_blackbox.convert.evaluation import evaluate, location_measures
from hwgpt_blackbox.convert.holdout import (
    DEFAULT_SPLITS,
    IN_SAMPLE,
    PERPLEXITY,
    SPLIT_KINDS,
    Say,
    Split,
    Trial,
    in_sample,
    predictor_of,
    published_for,
    refit,
)
from hwgpt_blackbox.convert.layout import Checkout
from hwgpt_blackbox.convert.measurements import Measurements
from hwgpt_blackbox.encoding import IntMatrix
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.surrogate import Surrogate

REPORT_VERSION = 1
"""Version of the card's form that this code writes, and the newest that it reads."""

DRAWS = 1_000_000
"""Measurements drawn from the models for a section, over all noisy targets together."""

Measures = dict[str, dict[str, float]]


def repeats_drawn(architectures: int, targets: int, draws: int = DRAWS) -> int:
    """Repeats of every architecture and target that make at least ``draws`` together."""
    return max(1, -(-draws // max(1, architectures * targets)))


def shares_non_positive(
    surrogate: Surrogate, matrix: IntMatrix, targets: Sequence[str], repeats: int
) -> dict[str, float]:
    """Share of drawn measurements that are not above zero, by target.

    :param matrix: choice indices, shape (n, hyperparameters)
    :param repeats: draws of every architecture and target, keyed as those of queries
    """
    predictor = predictor_of(surrogate, targets)
    bad = np.zeros(len(targets))
    for repeat in range(repeats):
        values = predictor.measurements(matrix, np.array([repeat], dtype=np.uint64))
        bad += (~(values > 0.0)).sum(axis=0)
    return dict(zip(targets, (bad / (repeats * len(matrix))).tolist(), strict=True))


def measure(trial: Trial, *, draws: int = DRAWS) -> Measures:
    """Measures of every target; those with a floor also have its own, and the ratio to it.

    :param draws: measurements to draw, over all noisy targets
    :return: by target; see ``evaluation`` for the measures
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    found = evaluate(trial.surrogate, trial.sample, trial.exact, trial.noisy)
    noisy = list(trial.noisy)
    repeats = repeats_drawn(len(trial.sample), len(noisy), draws)
    shares = shares_non_positive(trial.surrogate, trial.sample.matrix, noisy, repeats)
    for name, share in shares.items():
        found[name]["share_non_positive"] = share
    plain = Surrogate(trial.sample.space, trial.floor, trial.surrogate.levels, {})
    for name in trial.floor:
        if name not in found:
            continue
        values = trial.noisy[name].mean(axis=1) if name in trial.noisy else trial.exact[name]
        known = np.isfinite(values)
        predicted = predictor_of(plain, [name]).expected(trial.sample.matrix[known])[:, 0]
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

    def over(key: str) -> Array:
        return np.array([np.mean([row[n][key] for row in rows if n in row]) for n in names])

    r2, area = over("r2"), over("miscalibration_area")
    worst = int(np.argmin(np.where(np.isnan(r2), -np.inf, r2)))
    tau = [row[n]["kendall_tau"] for row in rows for n in row if n.endswith(PERPLEXITY)]
    found: dict[str, Any] = {
        "targets": len(names),
        "mean_r2": float(r2.mean()),
        "worst_target": names[worst],
        "worst_r2": float(r2[worst]),
        "mean_crps_over_mean": float(over("crps_over_mean").mean()),
        "mean_miscalibration_area": float(area.mean()),
        "largest_miscalibration_area": float(area.max()),
        "perplexity_kendall_tau": float(np.mean(tau)) if tau else float("nan"),
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


def section(trial: Trial, measures: Measures, *, draws: int = DRAWS) -> dict[str, Any]:
    """One section of a card: plain values, six significant digits, None for what is undefined."""
    repeats = repeats_drawn(len(trial.sample), len(trial.noisy), draws)
    return {
        "split": trial.split.kind if trial.split else IN_SAMPLE,
        "seed": trial.split.seed if trial.split else None,
        "fitted": trial.fitted,
        "judged": len(trial.sample),
        "perplexities_judged": int(np.isfinite(trial.exact[PERPLEXITY]).sum()),
        "draws_per_target": repeats * len(trial.sample),
        "perplexity": dict(trial.notes.get(PERPLEXITY, {})),
        "summary": _plain(summary([measures])),
        "targets": {name: _plain(row) for name, row in measures.items()},
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _rounded(v) if isinstance(v, float) else v for key, v in row.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def make_card(
    surrogate: Surrogate, data: Measurements, sections: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A card of the artifact that a surrogate was read from.

    :param sections: see :func:`section`
    """
    import scipy

    files = surrogate.manifest.get("files", {})
    return {
        "report_version": REPORT_VERSION,
        "space": data.space.name,
        "architectures": len(data),
        "arrays": {name: entry["sha256"] for name, entry in files.items() if name.endswith("npz")},
        "source": {
            name: row["sha256"]
            for name, row in data.source.get("files", {}).items()
            if name.endswith("stats.pkl")
        },
        "splits": {kind: row.description for kind, row in SPLIT_KINDS.items()},
        "versions": {
            "hwgpt-blackbox": __version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "sections": list(sections),
    }


def judge(
    checkout: Checkout,
    data: Measurements,
    surrogate: Surrogate,
    splits: Sequence[Split] = DEFAULT_SPLITS,
    *,
    draws: int = DRAWS,
    progress: Say | None = None,
) -> tuple[dict[str, Any], list[Trial]]:
    """The report card of an artifact against its source, and what it was computed from.

    :param checkout: the source
    :param data: its measurements
    :param surrogate: the models of the artifact, as read from it
    :param splits: hold-outs; each repeats the fit, which takes about 35 s
    :param progress: called with the name of each step
    :return: the card, and its trials: in sample first, then one per split
    :raises DataError: too few architectures or perplexities
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    say = progress or (lambda step: None)
    say("report: in sample")
    trials = [in_sample(data, surrogate)]
    network = published_for(checkout, data)
    for split in splits:
        step = partial(_say_of, say, split)
        trials.append(refit(data, split, published=network, progress=step))
    sections = [section(trial, measure(trial, draws=draws), draws=draws) for trial in trials]
    return make_card(surrogate, data, sections), trials


def _say_of(say: Say, split: Split, step: str) -> None:
    say(f"report: {split}: {step}")
