"""A long run of many workers: does a trial cost the same at the end as at the beginning?

    nice python benchmarking/soak.py [--trials 100000] [--workers 64] [--out DIR] [--trace]

Writes ``soak.csv`` (CPU time and memory of the process by trials ended) and ``soak.svg``, and
prints their slopes. Peaks of time are full collections of Python's garbage collector, which come at
ever longer distances. ``--trace`` says instead which files hold the memory that grows (slower).
"""

from __future__ import annotations

import argparse
import gc
import os
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings, execute

OBJECTIVES = ["perplexity", "energy@rtx2080"]
MIB = 1 << 20


@dataclass
class Curve:
    """CPU time and memory of this process at every ``step`` trials.

    :param step: trials between two points
    """

    step: int
    rows: list[tuple[int, float, float]] = field(default_factory=list)
    ended: int = 0
    process: psutil.Process = field(default_factory=psutil.Process)

    def __call__(self, trials: int) -> None:
        """Called with the number of trials that have just ended."""
        self.ended += trials
        if self.ended % self.step == 0:
            memory = self.process.memory_info().rss / MIB
            self.rows.append((self.ended, time.process_time(), memory))

    def table(self) -> pd.DataFrame:
        """Columns ``trials``, ``us_per_trial`` (CPU, since the point before), ``memory_mib``."""
        frame = pd.DataFrame(self.rows, columns=["trials", "cpu_s", "memory_mib"])
        frame["us_per_trial"] = frame["cpu_s"].diff() / self.step * 1e6
        return frame[["trials", "us_per_trial", "memory_mib"]]


def run(run: RunSettings, progress: Callable[[int], None]) -> None:
    """What ``hwgpt-blackbox run`` does for one run, results and all."""
    frame = execute(run, progress)
    if len(frame) != run.trials:
        raise AssertionError(f"{len(frame)} rows of {run.trials} trials")


def summary(table: pd.DataFrame) -> str:
    """Slopes of the curves: time by the tenths of the run, memory by least squares."""
    times = table["us_per_trial"].dropna().to_numpy()
    tenth = max(1, len(times) // 10)
    first, last = np.median(times[:tenth]), np.median(times[-tenth:])
    half = table.iloc[len(table) // 2 :]
    slope = np.polyfit(half["trials"], half["memory_mib"], 1)[0] * MIB
    return (
        f"CPU time of a trial: median {np.median(times):.0f} us, "
        f"first tenth {first:.0f}, last tenth {last:.0f} ({last / first - 1:+.1%})\n"
        f"memory: {table['memory_mib'].iloc[0]:.0f} MiB to {table['memory_mib'].iloc[-1]:.0f} MiB, "
        f"{slope:.0f} bytes a trial in the second half"
    )


def draw(table: pd.DataFrame, path: Path, title: str) -> None:
    """Time of a trial and memory over trials, both from zero."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 2.8), layout="constrained")
    figure.suptitle(title, fontsize=10)
    for axes, column, label in zip(
        figure.subplots(1, 2),
        ("us_per_trial", "memory_mib"),
        ("CPU time of a trial [µs]", "memory of the process [MiB]"),
        strict=True,
    ):
        axes.plot(table["trials"] / 1000, table[column], color="#0072b2", linewidth=1.2)
        axes.set(xlabel="trials [thousands]", ylabel=label, ylim=(0, 1.25 * table[column].max()))
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None})


def trace(settings: RunSettings) -> None:
    """Print who holds the memory that grows in the second half of a run, in bytes a trial."""
    half, seen = settings.trials // 2, Counter[str]()
    shots: list[tracemalloc.Snapshot] = []

    def progress(trials: int) -> None:
        seen["ended"] += trials
        if seen["ended"] in (half, settings.trials - 1):
            gc.collect()
            shots.append(tracemalloc.take_snapshot())

    tracemalloc.start(1)
    run(settings, progress)
    growth = shots[1].compare_to(shots[0], "filename")
    for entry in growth[:15]:
        print(f"{entry.size_diff / half:8.1f} bytes a trial  {entry.traceback[0].filename}")
    print(f"{sum(e.size_diff for e in growth) / half:8.1f} bytes a trial in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--method", default="RS")
    parser.add_argument("--out", type=Path, default=Path("results/soak"))
    parser.add_argument("--trace", action="store_true")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    settings = RunSettings(
        Problem.parse("s", OBJECTIVES), args.method, trials=args.trials, workers=args.workers
    )
    if args.trace:
        trace(settings)
        return
    curve = Curve(max(1, args.trials // 200))
    run(settings, curve)
    table = curve.table()
    args.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(args.out / "soak.csv", index=False, float_format="%.3f")
    title = f"{args.method}, {args.workers} workers, {args.trials:,} trials"
    draw(table, args.out / "soak.svg", title)
    print(f"{title}\n{summary(table)}\n{args.out / 'soak.csv'}, {args.out / 'soak.svg'}")


if __name__ == "__main__":
    main()
