"""Cumulative hypervolume: ours against Syne Tune's own function.

    python benchmarking/hypervolume.py [--results 80000] [--compared 2000]

CPU seconds on one core for results in three objectives: uniform ones, those of a search that
improves, whose front grows, and some of which none dominates another, the hardest. Syne Tune's
function is timed on fewer: it takes the hypervolume of every beginning anew.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray
from syne_tune.optimizer.schedulers.multiobjective.utils import hypervolume_cumulative

from hwgpt_blackbox.experiments.results.cumulative_hypervolume import cumulative
from hwgpt_blackbox.models.ideal_and_nadir import REFERENCE_POINT


def uniform(n: int) -> NDArray[np.float64]:
    """Points of random search, shape (n, 3)."""
    return np.random.default_rng(0).random((n, 3))


def search(n: int) -> NDArray[np.float64]:
    """Points that come closer to a curved front, shape (n, 3)."""
    rng = np.random.default_rng(0)
    directions = np.abs(rng.normal(size=(n, 3)))
    front = 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    return front * np.linspace(1.3, 1.0, n)[:, None] * (1 + 0.05 * rng.random((n, 1)))


def front(n: int) -> NDArray[np.float64]:
    """Points of which none dominates another, shape (n, 3)."""
    directions = np.abs(np.random.default_rng(0).normal(size=(n, 3)))
    return np.asarray(1 - directions / np.linalg.norm(directions, axis=1, keepdims=True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=int, default=80_000)
    parser.add_argument("--compared", type=int, default=2_000)
    args = parser.parse_args()
    for make in (uniform, search, front):
        begun = time.process_time()
        cumulative(make(args.results), REFERENCE_POINT)
        print(f"{make.__name__}: {args.results} results in {time.process_time() - begun:.2f} s")
        points = make(args.compared)
        begun = time.process_time()
        ours = cumulative(points, REFERENCE_POINT)
        middle = time.process_time()
        theirs = hypervolume_cumulative(points, reference_point=np.full(3, REFERENCE_POINT))
        ended = time.process_time()
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)
        mine, others = middle - begun, ended - middle
        print(
            f"  {args.compared} results: {mine:.3f} s, Syne Tune {others:.1f} s: "
            f"{others / mine:.0f} times as long"
        )


if __name__ == "__main__":
    main()
