"""Whether rare outliers are drawn at the rate at which they were measured.

    python benchmarking/outliers.py path/to/HW-GPT-Bench [--spaces s m l] [--held-out 42]
        [--sessions 4] [--warm-up] [--all] [--out FILE]

For every noisy target: the share of measurements beyond 0.5, 1.5, 2, 5, 10 and 100 times the median
of their architecture, with an interval that knows that repeats and neighbours go together, beside
the share of the model's draws for the same architectures. Judges the embedded artifacts on all
architectures; ``--held-out SEED`` fits without a random fifth and judges on it. ``--warm-up`` also
says how the first repeats of an architecture differ from the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.judging.holdouts import Split, Trial, in_sample, published_for, refit
from hwgpt_blackbox.convert.judging.outliers import (
    THRESHOLDS,
    OutlierRate,
    rates_about_own_median,
    rates_about_prediction,
    repeat_effects,
)
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.surrogates import read_surrogate

PREDICTED, OWN = "median predicted for the architecture", "median of the architecture's repeats"
ENOUGH = 5
"""Architectures with such a measurement from which on a ratio of rates means something."""


def rates(trial: Trial, sessions: int) -> dict[str, dict[str, list[OutlierRate]]]:
    """By kind of median and target."""
    found: dict[str, dict[str, list[OutlierRate]]] = {PREDICTED: {}, OWN: {}}
    for target, repeats in trial.noisy.items():
        found[PREDICTED][target] = rates_about_prediction(trial, target)
        if repeats.shape[1] > 1:
            found[OWN][target] = rates_about_own_median(trial, target, sessions=sessions)
    return found


def summary(rows: Sequence[OutlierRate]) -> list[dict[str, Any]]:
    """By threshold: targets with such measurements, model over measured, and how many disagree."""
    out = []
    for threshold in THRESHOLDS:
        own = [row for row in rows if row.threshold == threshold and row.architectures >= ENOUGH]
        logs = [np.log(max(row.drawn, 1e-9) / row.measured) for row in own]
        out.append(
            {
                "threshold": threshold,
                "targets": len(own),
                "drawn_over_measured": float(np.exp(np.mean(logs))) if own else None,
                "lowest": float(np.exp(np.min(logs))) if own else None,
                "highest": float(np.exp(np.max(logs))) if own else None,
                "outside_interval": sum(not row.agrees for row in own),
                "unmeasured_targets": sum(
                    row.threshold == threshold and not row.architectures for row in rows
                ),
                "drawn_where_unmeasured": max(
                    [r.drawn for r in rows if r.threshold == threshold and not r.architectures],
                    default=0.0,
                ),
            }
        )
    return out


def line(name: str, row: OutlierRate) -> str:
    """One comparison as text; a star marks what sampling does not explain."""
    ratio = row.drawn / row.measured if row.measured else float("nan")
    return (
        f"  {name:26}{row.threshold:>6g}{row.measured:>12.2e} [{row.low:.1e}, {row.high:.1e}]"
        f"{row.drawn:>12.2e}{ratio:>8.2f}{row.architectures:>7}{'' if row.agrees else ' *'}"
    )


def show_warm_up(data: Measurements, trial: Trial) -> dict[str, list[float]]:
    """Print and return how far each repeat is from the median of its architecture."""
    print(f"{data.space.name}: median of a repeat over the median of its architecture's, by number")
    shown = [0, 1, 2, 3, 4, 9, -1]
    print(f"  {'':26}" + "".join(f"{name:>8}" for name in (1, 2, 3, 4, 5, 10, "last")))
    found = {}
    for target, repeats in trial.noisy.items():
        if repeats.shape[1] > 1:
            effects = repeat_effects(repeats)
            found[target] = [float(x) for x in effects]
            print(f"  {target:26}" + "".join(f"{x:8.3f}" for x in effects[shown]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--spaces", nargs="+", default=["s", "m", "l"])
    parser.add_argument("--held-out", type=int, metavar="SEED")
    parser.add_argument("--sessions", type=int, default=4, help="drawn for each measured one")
    parser.add_argument("--warm-up", action="store_true")
    parser.add_argument("--all", action="store_true", help="also targets without such measurements")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    collected: dict[str, list[OutlierRate]] = {PREDICTED: [], OWN: []}
    report: dict[str, Any] = {}
    for space in args.spaces:
        checkout = Checkout(args.source, get_space(space, measured=True), lambda step: None)
        data = read_measurements(checkout)
        if args.held_out is None:
            trial = in_sample(data, read_surrogate(EMBEDDED / artifact_name(space)))
        else:
            split = Split("random", args.held_out)
            trial = refit(data, split, published=published_for(checkout, data))
        found = rates(trial, args.sessions)
        for kind, by_target in found.items():
            print(
                f"{space}, multiples of the {kind}: measured, interval, drawn, ratio, architectures"
            )
            for target, rows in by_target.items():
                collected[kind] += rows
                for row in rows:
                    if row.architectures or args.all:
                        print(line(target, row), flush=True)
        report[space] = {
            kind: {target: [asdict(row) for row in rows] for target, rows in by_target.items()}
            for kind, by_target in found.items()
        }
        if args.warm_up:
            report[space]["repeats over their median"] = show_warm_up(data, trial)
    report["summary"] = {kind: summary(rows) for kind, rows in collected.items()}
    print(json.dumps(report["summary"], indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
