"""How many architectures are enough for a device of your own: error against number profiled.

    python benchmarking/learning_curve.py path/to/HW-GPT-Bench [--space s] [--seeds 0 1 2] [--out F]

Takes published devices as if they were new: fits as ``convert --device`` does on the first n
architectures that were profiled after a random moment (a user's machine drifts too), and measures
on 20 % of all that no fit has seen.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.fitting.user_models import fit_user
from hwgpt_blackbox.convert.judging.measures import location_measures, random_split
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.set_reader import join
from hwgpt_blackbox.convert.source.user_measurements import TableMeasurements
from hwgpt_blackbox.convert.user_device import MIN_ARCHITECTURES
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.prediction import Predictor

SIZES = (60, 100, 200, 300, 500, 1000, 2000, 5000)
THREE = ("rtx2080", "a100", "cpu_xeon_gold")


def curve(data: Measurements, device: str, sizes: list[int], seed: int) -> list[dict[str, Any]]:
    """Errors by number of architectures, on one stretch of the profiling."""
    learn, held = random_split(len(data))
    start = int(np.random.default_rng(seed).integers(len(learn)))
    learn = np.roll(learn, -start)
    index = list(DEVICES).index(device)
    repeats = {
        "latency": data.latency[index][:, : data.latency_repeats[device]],
        "energy": data.energy[index][:, : data.energy_repeats[device]],
    }
    rows = []
    for size in sizes:
        chosen = learn[:size]
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
            row = {"device": device, "metric": metric, "architectures": size, "seed": seed}
            rows.append({**row, "fit_seconds": seconds, **found})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """MAE as a percentage of the mean, and Kendall's tau: medians over seeds."""
    sizes = sorted({row["architectures"] for row in rows})
    lines = [" " * 22 + "".join(f"{size:>14}" for size in sizes)]
    for device, metric in dict.fromkeys((row["device"], row["metric"]) for row in rows):
        cells = []
        for size in sizes:
            own = [r for r in rows if (r["device"], r["metric"]) == (device, metric)]
            own = [r for r in own if r["architectures"] == size]
            error = 100 * float(np.median([r["mae_over_mean"] for r in own]))
            tau = float(np.median([r["kendall_tau"] for r in own]))
            cells.append(f"{error:6.2f}% {tau:6.3f}")
        lines.append(f"{device + ' ' + metric:22}" + "".join(cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--space", default="s")
    parser.add_argument("--devices", nargs="+", default=list(THREE))
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    data = read_measurements(Checkout(args.source, get_space(args.space, measured=True)))
    rows: list[dict[str, Any]] = []
    for device in args.devices:
        for seed in args.seeds:
            rows += curve(data, device, args.sizes, seed)
    print(f"space {args.space}; MAE over mean, Kendall tau; at least {MIN_ARCHITECTURES} needed")
    print(table(rows))
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
