"""Held-out accuracy and calibration against plain least squares, in the same run.

    python benchmarking/accuracy.py path/to/HW-GPT-Bench [--spaces s m l] [--seeds 42] [--out FILE]

Fits on 80 % of the architectures, for every seed, and compares with the least squares of each
(embed_dim, bias) on counts of the nine (mlp_ratio, num_heads) pairs: ratios of MAE and RMSE per
target, and calibration of the noise. ``--blocks`` holds out stretches of the profiling instead.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.holdout import Split, published_for, refit
from hwgpt_blackbox.convert.layout import Checkout
from hwgpt_blackbox.convert.report_card import Measures, measure, summary
from hwgpt_blackbox.spaces import get_space


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--spaces", nargs="+", default=["s", "m", "l"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--blocks", action="store_true", help="seeds are folds of blocks, 0 to 4")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    kind = "blocks" if args.blocks else "random"
    splits = [Split(kind, seed) for seed in args.seeds]
    report: dict[str, Any] = {}
    by_split: list[Measures] = [{} for _ in splits]
    for space in args.spaces:
        checkout = Checkout(args.source, get_space(space, measured=True), lambda step: None)
        data = read_measurements(checkout)
        for k, split in enumerate(splits):
            trial = refit(data, split, published=published_for(checkout, data))
            for name in trial.noisy:
                print(f"  {name:24} {trial.notes[name]['design']}", flush=True)
            found = measure(trial)
            report[f"{space}/{split.seed}"] = found
            by_split[k] |= {f"{space}/{name}": row for name, row in found.items()}
            print(space, split.seed, summary([found]), flush=True)
    report["summary"] = summary(by_split)
    print(json.dumps(report["summary"], indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
