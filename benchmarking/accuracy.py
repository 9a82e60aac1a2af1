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

import numpy as np

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.design import Sample
from hwgpt_blackbox.convert.evaluation import (
    block_split,
    evaluate,
    location_measures,
    random_split,
)
from hwgpt_blackbox.convert.fit import MEMORIES, fit_least_squares, fit_models, noisy_targets
from hwgpt_blackbox.convert.layout import Checkout
from hwgpt_blackbox.metrics import Column
from hwgpt_blackbox.predictor import Predictor
from hwgpt_blackbox.spaces import get_space
from hwgpt_blackbox.surrogate import Surrogate


def compare(data: Any, train: Any, test: Any) -> dict[str, dict[str, float]]:
    """Measures of every target, and the ratio to least squares of noisy ones."""
    surrogate, notes = fit_models(data, train)
    sample = Sample(data.space, data.matrix[test])
    exact = {"perplexity": data.perplexity[test]}
    exact |= {name: getattr(data, name)[test] for name in MEMORIES}
    noisy = noisy_targets(data)
    found = evaluate(surrogate, sample, exact, {name: y[test] for name, y in noisy.items()})
    learn = Sample(data.space, data.matrix[train])
    floor = {name: fit_least_squares(learn, y[train].mean(axis=1)) for name, y in noisy.items()}
    plain = Surrogate(data.space, floor, surrogate.levels, {})
    predictor = Predictor(plain, [Column(*name.split("@")) for name in noisy])
    predicted = predictor.expected(sample.matrix)
    for j, (name, y) in enumerate(noisy.items()):
        base = location_measures(y[test].mean(axis=1), predicted[:, j])
        found[name] |= {f"{key}_ratio": found[name][key] / base[key] for key in ("mae", "rmse")}
        found[name] |= {"r2_least_squares": base["r2"]}
        print(f"  {name:24} {notes[name]['design']}", flush=True)
    return found


def summary(rows: list[dict[str, dict[str, float]]]) -> dict[str, float]:
    """Over targets, each a geometric mean over splits."""
    names = sorted({(i, n) for i, row in enumerate(rows) for n in row if "mae_ratio" in row[n]})
    targets = sorted({n for _, n in names})
    mae, rmse = (
        np.array([np.exp(np.mean([np.log(r[n][key]) for r in rows if n in r])) for n in targets])
        for key in ("mae_ratio", "rmse_ratio")
    )
    area = [np.mean([r[n]["miscalibration_area"] for r in rows if n in r]) for n in targets]
    score = [np.mean([r[n]["crps_over_mean"] for r in rows if n in r]) for n in targets]
    return {
        "targets": len(targets),
        "mae_ratio": float(np.exp(np.log(mae).mean())),
        "rmse_ratio": float(np.exp(np.log(rmse).mean())),
        "both_lower": int(((mae < 1) & (rmse < 1)).sum()),
        "worst_mae_ratio": float(mae.max()),
        "worst_rmse_ratio": float(rmse.max()),
        "mean_miscalibration_area": float(np.mean(area)),
        "largest_miscalibration_area": float(np.max(area)),
        "mean_crps_over_mean": float(np.mean(score)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--spaces", nargs="+", default=["s", "m", "l"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--blocks", action="store_true", help="seeds are folds of blocks, 0 to 4")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    split = block_split if args.blocks else random_split
    report: dict[str, Any] = {}
    by_seed: list[dict[str, dict[str, float]]] = [{} for _ in args.seeds]
    for space in args.spaces:
        checkout = Checkout(args.source, get_space(space, measured=True), lambda step: None)
        data = read_measurements(checkout)
        for k, seed in enumerate(args.seeds):
            found = compare(data, *split(len(data), seed))
            report[f"{space}/{seed}"] = found
            by_seed[k] |= {f"{space}/{name}": row for name, row in found.items()}
            print(space, seed, "perplexity tau", found["perplexity"]["kendall_tau"])
            print(space, seed, summary([found]), flush=True)
    report["summary"] = summary(by_seed)
    print(json.dumps(report["summary"], indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
