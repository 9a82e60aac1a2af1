"""How many architectures are enough for a device of your own: error against number profiled.

    python benchmarking/learning_curve.py path/to/HW-GPT-Bench [--space s] [--seeds 0 1 2] [--out F]
        [--choose stretch random design] [--simulated]

Takes published devices as if they were new: fits as ``convert --device`` does on n of the measured
architectures, and measures on 20 % of all that no fit has seen. The n are the first that were
profiled after a random moment (``stretch``: a user's machine drifts too), or random ones of the
whole profiling (``random``), or those of them that the design of ``profile`` chooses (``design``).

``--simulated`` measures on the shipped models, with their noise and without drift, so that the
design may choose among its own candidates, and errors are known at the predicted front too.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import hwgpt_blackbox
from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.fitting.expected_value import fewest_architectures
from hwgpt_blackbox.convert.fitting.user_models import fit_user
from hwgpt_blackbox.convert.judging.measures import location_measures, random_split
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.set_reader import join
from hwgpt_blackbox.convert.source.table_measurements import TableMeasurements
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.profiling.design import d_optimal, design

SIZES = (60, 100, 200, 300, 500, 1000, 2000, 5000)
THREE = ("rtx2080", "a100", "cpu_xeon_gold")

STRETCH, RANDOM, DESIGN = "stretch", "random", "design"
POOL = 3000
"""Measured architectures that the design chooses from."""

TEST, REPEATS = 2000, 10
"""Of a simulated device: random architectures that errors are of, and repeats of a visit."""


def chosen_order(data: Measurements, learn: Any, choose: str, seed: int, most: int) -> Any:
    """Rows to learn from, in the order in which more of them are taken."""
    rng = np.random.default_rng(seed)
    if choose == STRETCH:
        return np.roll(learn, -int(rng.integers(len(learn))))
    if choose == RANDOM:
        return rng.permutation(learn)
    pool = np.sort(rng.permutation(learn)[:POOL])
    return pool[list(islice(d_optimal(data.space, data.matrix[pool]), most))]


def simulated(device: str, choose: str, sizes: list[int], seed: int) -> list[dict[str, Any]]:
    """Errors of fits to draws of a shipped model, on random architectures and on its front."""
    truth = hwgpt_blackbox.load("s", device)
    space, rng = truth.encoding.space, np.random.default_rng(seed)
    if choose == DESIGN:
        order = np.array(list(islice(design(space, seed), max(sizes))))
    else:
        order = truth.encoding.sample(max(sizes), rng)
    front = hwgpt_blackbox.reference_front("s", ("perplexity", f"latency@{device}"))
    judged = {"": truth.encoding.sample(TEST, np.random.default_rng(99)), " front": front.matrix}
    metrics = {m: truth.objectives_names.index(f"metric_{m}") for m in ("latency", "energy")}
    draws = np.stack([truth.measurements(order, seed=k) for k in range(REPEATS)], axis=1)
    rows = []
    for size in sizes:
        part = rng.permutation(size)
        values = {metric: draws[part, :, j] for metric, j in metrics.items()}
        mine = TableMeasurements(space, order[part], values, {"files": {}})
        try:
            surrogate, _ = fit_user(join(space, {"mine": mine}))
        except DataError as error:
            print(f"  {size} architectures: {error}")
            continue
        predictor = Predictor(surrogate, [Column(metric, "mine") for metric in metrics])
        for name, matrix in judged.items():
            predicted, expected = predictor.expected(matrix), truth.expected_values(matrix)
            for i, (metric, j) in enumerate(metrics.items()):
                found = location_measures(expected[:, j], predicted[:, i])
                row = {"device": device, "metric": metric + name, "architectures": size}
                row |= {"choose": choose, "seed": seed, **found}
                rows.append({**row, "mae_over_mean": found["mae"] / found["mean"]})
    return rows


def curve(
    data: Measurements, device: str, sizes: list[int], seed: int, choose: str = STRETCH
) -> list[dict[str, Any]]:
    """Errors by number of architectures."""
    learn, held = random_split(len(data))
    order = chosen_order(data, learn, choose, seed, max(sizes))
    index = list(DEVICES).index(device)
    repeats = {
        "latency": data.latency[index][:, : data.latency_repeats[device]],
        "energy": data.energy[index][:, : data.energy_repeats[device]],
    }
    rows = []
    for size in sizes:
        chosen = order[:size] if choose == STRETCH else np.sort(order[:size])
        values = {metric: v[chosen] for metric, v in repeats.items()}
        begin = time.process_time()
        try:
            mine = TableMeasurements(data.space, data.matrix[chosen], values, {"files": {}})
            surrogate, _ = fit_user(join(data.space, {"mine": mine}))
        except DataError as error:
            print(f"  {size} architectures: {error}")
            continue
        seconds = time.process_time() - begin
        columns = [Column(metric, "mine") for metric in repeats]
        predicted = Predictor(surrogate, columns).expected(data.matrix[held])
        for j, (metric, v) in enumerate(repeats.items()):
            found = location_measures(v[held].mean(axis=1), predicted[:, j])
            found["mae_over_mean"] = found["mae"] / found["mean"]
            row = {"device": device, "metric": metric, "architectures": size}
            row |= {"choose": choose, "seed": seed}
            rows.append({**row, "fit_seconds": seconds, **found})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """MAE as a percentage of the mean, and Kendall's tau: medians over seeds."""
    sizes = sorted({row["architectures"] for row in rows})
    lines = [" " * 34 + "".join(f"{size:>14}" for size in sizes)]
    keys = ("device", "metric", "choose")
    for kind in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        cells = []
        for size in sizes:
            own = [r for r in rows if tuple(r[key] for key in keys) == kind]
            own = [r for r in own if r["architectures"] == size]
            if not own:
                cells.append(" " * 14)
                continue
            error = 100 * float(np.median([r["mae_over_mean"] for r in own]))
            tau = float(np.median([r["kendall_tau"] for r in own]))
            cells.append(f"{error:6.2f}% {tau:6.3f}")
        lines.append(f"{' '.join(kind):34}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--space", default="s")
    parser.add_argument("--devices", nargs="+", default=list(THREE))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--choose", nargs="+", default=[STRETCH], choices=[STRETCH, RANDOM, DESIGN])
    parser.add_argument("--simulated", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    if not args.simulated:
        data = read_measurements(Checkout(args.source, get_space(args.space, measured=True)))
    with threadpool_limits(1):
        for device in args.devices:
            for choose in args.choose:
                for seed in args.seeds:
                    if args.simulated:
                        rows += simulated(device, choose, args.sizes, seed)
                    else:
                        rows += curve(data, device, args.sizes, seed, choose)
    least = fewest_architectures(get_space(args.space))
    print(f"space {args.space}; MAE over mean, Kendall tau; at least {least} needed")
    print(table(rows))
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
