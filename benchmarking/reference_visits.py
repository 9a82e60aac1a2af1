"""What visits of a reference architecture are worth, on a machine that drifts.

    python benchmarking/reference_visits.py [--devices rtx3080 cpu_amd_7502] [--architectures 100]

The shipped models of published devices of space s measure the architectures of a design, with their
noise and with a drift that is added. The fit is repeated with and without the visits, and judged by
the expected values of random architectures, the level of the machine taken out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import hwgpt_blackbox
from hwgpt_blackbox.convert.fitting.reference_visits import drift_curve
from hwgpt_blackbox.convert.fitting.user_models import fit_user
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.source.set_reader import join
from hwgpt_blackbox.convert.source.user_measurements import TableMeasurements
from hwgpt_blackbox.profiling.design import design, reference_architecture

Array = NDArray[np.float64]

DRIFTS: dict[str, Callable[[Array], Array]] = {
    "none": lambda t: 0.0 * t,
    "waves": lambda t: 0.15 * np.sin(2.6 * np.pi * t),
    "step": lambda t: 0.15 * (t > 0.45),
    "ramp": lambda t: 0.2 * t,
}
"""Log of the factor by which latencies are larger, at times from 0 to 1."""

BETWEEN, REPEATS, TEST = 10, 10, 2000
"""Architectures between two visits, repeats of a visit, and random architectures of the test."""


def errors(device: str, drift: Callable[[Array], Array], number: int, seed: int) -> list[float]:
    """MAE over the mean and Kendall's tau, without the visits and with them."""
    truth = hwgpt_blackbox.load("s", device)
    space, column = truth.encoding.space, truth.objectives_names.index("metric_latency")
    chosen = np.array(list(islice(design(space, seed), number)))
    chosen = chosen[np.random.default_rng(seed).permutation(number)]
    matrix = np.insert(chosen, np.arange(0, number, BETWEEN), reference_architecture(space), axis=0)
    matrix = np.concatenate([matrix, matrix[:1]])
    reference = (matrix == matrix[0]).all(axis=1)
    times = np.arange(len(matrix)) / len(matrix)
    values = np.array(
        [
            [
                truth.measurements(row[None], seed=7000 * seed + 100 * i + k)[0, column]
                for k in range(REPEATS)
            ]
            for i, row in enumerate(matrix)
        ]
    )
    values *= np.exp(drift(times))[:, None]
    curve = drift_curve(values, reference, 600.0 * times)
    steady = values if curve is None else values * np.exp(-curve.at(600.0 * times))[:, None]
    test = truth.encoding.sample(TEST, np.random.default_rng(99))
    expected, found = truth.expected_values(test)[:, column], []
    for measured in (values, steady):
        table = TableMeasurements(
            space, matrix[~reference], {"latency": measured[~reference]}, {"files": {}}
        )
        surrogate, _ = fit_user(join(space, {"mine": table}))
        predicted = predictor_of(surrogate, ["latency@mine"]).expected(test)[:, 0]
        row = location_measures(expected, predicted * (expected / predicted).mean())
        found += [row["mae"] / row["mean"], row["kendall_tau"]]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", nargs="+", default=["rtx3080", "cpu_amd_7502"])
    parser.add_argument("--architectures", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    print(f"{'':22}{'without':>16}{'with':>16}")
    with threadpool_limits(1):
        for device in args.devices:
            for name, drift in DRIFTS.items():
                rows = [errors(device, drift, args.architectures, seed) for seed in args.seeds]
                mean = np.mean(rows, axis=0)
                cells = [f"{100 * mean[i]:7.2f}% {mean[i + 1]:6.3f}" for i in (0, 2)]
                print(f"{device:15}{name:7}" + "".join(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
