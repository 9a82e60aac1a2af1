"""Held-out accuracy and calibration against plain least squares and the noise floor, in one run.

    python benchmarking/accuracy.py path/to/HW-GPT-Bench [--spaces s m l] [--seeds 42] [--out FILE]
        [--blocks | --share 0.1 | --rows FILE] [--targets energy@rtx2080 ...] [--without-drift]

Fits without the architectures that a split holds out, for every seed, and compares with the least
squares of each (embed_dim, bias) on counts of the nine (mlp_ratio, num_heads) pairs: MAE and RMSE
in ms and Wh, their ratios to least squares, how they stand to the error that repeats and drift
alone cause, and calibration of the noise. Any source in the layout of HW-GPT-Bench will do. Splits:
a random fifth as in the paper (``train_test_split(test_size=0.2, random_state=seed)``; the paper's
seed is 42), another share, stretches of the profiling (``--blocks``: seeds are folds, 0 to 4), or
the rows that a file names, one number from 0 in each line.

``--without-drift`` fits again with drift left in, and compares the errors of effects of
architectures: what is left of errors after the same drift has been taken from both.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
from given_splits import read_split, share_split
from noise_floor import effect_errors, noise_floor

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.fitting.expected_value import WITHOUT_DRIFT
from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.fitting.whole_space import noisy_targets
from hwgpt_blackbox.convert.judging.cards.card import Measures, measure, summary
from hwgpt_blackbox.convert.judging.holdouts import (
    Evaluation,
    Split,
    predictor_of,
    published_for,
    refit,
)
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.models.surrogate import Surrogate

COLUMNS = {
    "MAE": ("mae", ".4g"),
    "RMSE": ("rmse", ".4g"),
    "R2": ("r2", ".4f"),
    "MAE/ls": ("mae_ratio", ".4f"),
    "RMSE/ls": ("rmse_ratio", ".4f"),
    "MAE/floor": ("mae_over_floor", ".2f"),
    "RMSE/floor": ("rmse_over_floor", ".2f"),
    "CRPS/mean": ("crps_over_mean", ".4f"),
    "area": ("miscalibration_area", ".4f"),
}
"""What is printed of each target; ls: least squares."""

FLOOR_LIMITS = (1.05, 1.25, 2.0, 5.0)
"""Errors over their floor below which targets are counted."""


def splits_of(args: argparse.Namespace, n: int) -> list[Split]:
    """The splits that were asked for, of a source of ``n`` architectures."""
    if args.rows:
        return [read_split(args.rows)]
    if args.share:
        return [share_split(n, args.share, seed) for seed in args.seeds]
    return [Split("blocks" if args.blocks else "random", seed) for seed in args.seeds]


def judge(data: Measurements, evaluation: Evaluation, targets: list[str]) -> Measures:
    """Measures of every target, with the noise floor and the errors of effects of noisy ones.

    :param targets: only these, and perplexity; empty: all
    """
    found = measure(evaluation)
    everything, names = noisy_targets(data), list(evaluation.noisy)
    _, held = evaluation.split.rows(len(data)) if evaluation.split else (None, np.arange(len(data)))
    embed = Architectures(data.space, data.matrix).embed
    predicted = evaluation.predictor(names).expected(data.matrix)
    plain = Surrogate(data.space, evaluation.floor, evaluation.surrogate.levels, {})
    least_squares = predictor_of(plain, names).expected(evaluation.sample.matrix)
    for j, name in enumerate(names):
        row = found[name]
        row |= noise_floor(everything[name], predicted[:, j], embed, held)
        for key in ("mae", "rmse"):
            floor = row[f"{key}_floor"]  # 0: one repeat was published, and no drift was found
            row[f"{key}_over_floor"] = row[key] / floor if floor > 0.0 else float("nan")
        row |= effects(evaluation, name, held, predicted[held, j])
        base = effects(evaluation, name, held, least_squares[:, j])
        row |= {f"{key}_ratio": row[key] / base[key] for key in base}
    return {name: row for name, row in found.items() if not targets or name in targets}


def effects(evaluation: Evaluation, name: str, held: Any, predicted: Any) -> dict[str, float]:
    """Errors of the effects of architectures, drift taken out."""
    return effect_errors(
        evaluation.noisy[name].mean(axis=1), predicted, held, evaluation.sample.embed
    )


def against_drift_left_in(
    found: Measures, evaluation: Evaluation, other: Evaluation, held: Any
) -> None:
    """Add to measures how errors of effects stand to those of a fit with drift left in."""
    names = list(evaluation.noisy)
    predicted = other.expected(names)
    for j, name in enumerate(names):
        if name in found:
            base = effects(other, name, held, predicted[:, j])
            for key in base:
                found[name][f"{key}_over_drift_left_in"] = found[name][key] / base[key]
            found[name]["drift_removed"] = float(
                "drift removed" in evaluation.notes[name]["design"]
            )


def drift_summary(rows: list[Measures]) -> dict[str, Any]:
    """Errors of effects with drift removed over those with drift left in; below 1: better.

    Geometric means over splits, then over the targets for which removing drift was chosen in all.
    """
    names = sorted(n for n in rows[0] if all(r[n].get("drift_removed") for r in rows))
    out: dict[str, Any] = {"targets_with_drift_removed": len(names)}
    for key in ("mae_effects", "rmse_effects"):
        logs = [
            np.mean([np.log(row[n][f"{key}_over_drift_left_in"]) for row in rows]) for n in names
        ]
        if logs:
            ratios = np.exp(logs)
            out[f"{key}_ratio"] = float(np.exp(np.mean(logs)))
            out[f"{key}_lower_on"] = int((ratios < 1.0).sum())
            out[f"{key}_best"], out[f"{key}_worst"] = float(ratios.min()), float(ratios.max())
    return out


def floor_summary(rows: list[Measures]) -> dict[str, Any]:
    """How far above the floor errors are: numbers of targets, from means over splits."""
    names = sorted(n for n in rows[0] if "mae_floor" in rows[0][n])
    out = {}
    for key in ("mae_over_floor", "rmse_over_floor"):
        mean = np.array([np.exp(np.mean([np.log(row[n][key]) for row in rows])) for n in names])
        mean = mean[np.isfinite(mean)]
        counts = {f"at most {limit}": int((mean <= limit).sum()) for limit in FLOOR_LIMITS}
        middle = float(np.median(mean)) if len(mean) else float("nan")
        out[key] = {"targets": len(mean), "median": middle, **counts}
    return out


def table(rows: Measures) -> str:
    """Measures of noisy targets as text."""
    lines = [f"  {'':24}" + "".join(f"{title:>11}" for title in COLUMNS) + "  design"]
    for name, row in rows.items():
        if "mae_floor" in row:
            cells = "".join(f"{format(row[key], spec):>11}" for key, spec in COLUMNS.values())
            lines.append(f"  {name:24}{cells}  {row['design']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--spaces", nargs="+", default=["s", "m", "l"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--blocks", action="store_true", help="seeds are folds of blocks, 0 to 4")
    which.add_argument("--share", type=float, help="hold out this share of the architectures")
    which.add_argument("--rows", type=Path, help="hold out the rows that this file names")
    parser.add_argument("--targets", nargs="+", default=[], help="report on these: energy@rtx2080")
    parser.add_argument("--without-drift", action="store_true", help="also fit with drift left in")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    report: dict[str, Any] = {}
    by_split: dict[str, Measures] = {}
    for space in args.spaces:
        checkout = Checkout(args.source, get_space(space, measured=True), lambda step: None)
        data = read_measurements(checkout)
        for split in splits_of(args, len(data)):
            network = published_for(checkout, data)
            evaluation = refit(data, split, published=network)
            found = judge(data, evaluation, args.targets)
            if args.without_drift:
                other = refit(data, split, published=network, designs=WITHOUT_DRIFT)
                against_drift_left_in(found, evaluation, other, split.rows(len(data))[1])
            shown = {n: row | {"design": _design(evaluation, n)} for n, row in found.items()}
            fitted, judged = evaluation.fitted, len(evaluation.sample)
            print(f"{space}, {split}, fitted to {fitted}, judged on {judged}")
            print(table(shown), flush=True)
            report[f"{space}/{split}"] = shown
            by_split.setdefault(str(split), {}).update(
                {f"{space}/{name}": row for name, row in found.items()}
            )
    rows = list(by_split.values())
    report["summary"] = summary(rows) | {"floor": floor_summary(rows)}
    if args.without_drift:
        report["summary"]["drift"] = drift_summary(rows)
    print(json.dumps(report["summary"], indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def _design(evaluation: Evaluation, name: str) -> str:
    return str(evaluation.notes.get(name, {}).get("design", ""))


if __name__ == "__main__":
    main()
