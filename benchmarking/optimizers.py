r"""The eight methods on the embedded blackboxes: normalised hypervolume and decision time.

    python benchmarking/optimizers.py --space s --objectives perplexity energy@rtx2080 \
        --methods RS RE NSGA2 LS --trials 1000 --seeds 10 [--noise]
    python benchmarking/optimizers.py --space l --methods EHVI --growth [--workers 64]

Search as the harness runs it (4 simulated workers); beside every figure the optimum of the same
surrogate, from its reference front. MOASHA is run on for as long, in simulated time, as RS takes
for the trials. ``--growth`` measures the time of a suggestion by the number of results instead:
those of one search by RE are told to the method, and twenty suggestions follow the first, in which
models are fitted. The versions of two commits compare in one run by ``PYTHONPATH``.
Times are processor time.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hwgpt_blackbox import load
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.scores import hypervolume
from hwgpt_blackbox.experiments.runs import SIMULATED_TIME, RunSettings, execute
from hwgpt_blackbox.fronts import reference_front
from hwgpt_blackbox.optimizers import METHODS, make_scheduler

VARIANTS = {"EHVI-plain": "optimizers:plain_ehvi"}
"""Variants of methods, by import path (this file's folder is on the path when it runs)."""

GROWTH = (50, 200, 1000, 5000)
WINDOW = 20  # suggestions over which the time is averaged


def plain_ehvi(config_space: Any, metrics: Any, **options: Any) -> Any:
    """EHVI whose kernel knows nothing of layers."""
    return make_scheduler("EHVI", config_space, metrics, kernel="plain", **options)


def run_for(run: RunSettings, seconds: float) -> pd.DataFrame:
    """The trials of a method that stops some of them, up to a simulated time."""
    trials = run.trials
    while True:
        settings = RunSettings(run.problem, run.method, run.seed, trials, run.workers, run.noise)
        frame = execute(settings)
        if frame[SIMULATED_TIME].max() >= seconds:
            return frame[frame[SIMULATED_TIME] <= seconds]
        trials *= 2


def measure(problem: Problem, method: str, args: argparse.Namespace) -> dict[str, Any]:
    """Mean, standard error, smallest mean objective and time of one method over the seeds."""
    scores, sums, spent = [], [], []
    stops = method in METHODS and METHODS[method].over_fidelity
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        name = VARIANTS.get(method, method)
        run = RunSettings(problem, name, seed, args.trials, args.workers, args.noise)
        budget = 0.0
        if stops:
            random = RunSettings(problem, "RS", seed, args.trials, args.workers, args.noise)
            budget = float(execute(random)[SIMULATED_TIME].max())
        start = time.process_time()
        frame = run_for(run, budget) if stops else execute(run)
        spent.append((time.process_time() - start) / len(frame) * 1e3)
        values = frame[[f"expected_{c.target}" for c in problem.objectives]].to_numpy()
        scores.append(hypervolume(problem, values))
        sums.append(float(problem.normalise(values).mean(axis=1).min()))
    return {
        "trials": args.trials,
        "hypervolume": float(np.mean(scores)),
        "standard_error": float(np.std(scores, ddof=1) / len(scores) ** 0.5) if scores[1:] else 0.0,
        "best_mean": float(np.mean(sums)),
        "cpu_ms_per_trial": float(np.mean(spent)),
        "hypervolumes": scores,
    }


def growth(method: str, args: argparse.Namespace) -> dict[int, tuple[float, float]]:
    """Mean and largest time of a suggestion in seconds, by number of results."""
    problem = Problem.parse(args.space, args.objectives)
    blackbox, metrics = load(args.space, problem.dataset), list(problem.attributes)

    def searcher(name: str) -> Any:
        options = {"canonical_form": blackbox.canonical_form, "random_seed": 0}
        make = plain_ehvi if name in VARIANTS else functools.partial(make_scheduler, name)
        return make(blackbox.configuration_space, metrics, **options).searcher

    def told(search: Any, trial: int, config: Any) -> None:
        values = problem.measure([config], 0) if args.noise else problem.expected([config])
        search.on_trial_complete(trial, config, values[0])

    source, results = searcher("RE"), []
    for trial in range(GROWTH[-1]):
        results.append(source.suggest())
        told(source, trial, results[-1])
    found = {}
    for count in GROWTH:
        search, spent = searcher(method), []
        for trial, config in enumerate(results[:count]):
            told(search, trial, config)
        running: deque[tuple[int, Any]] = deque()
        for trial in range(count, count + args.workers + WINDOW):
            start = time.process_time()
            running.append((trial, search.suggest()))
            spent.append(time.process_time() - start)
            search.on_trial_add(*running[-1])
            if len(running) == args.workers:
                told(search, *running.popleft())
        found[count] = float(np.mean(spent[-WINDOW:])), max(spent[-WINDOW:])
    return found


def print_growth(args: argparse.Namespace) -> dict[str, Any]:
    print(f"{args.space}: seconds of a suggestion, mean (largest), after so many results")
    report = {}
    for method in args.methods:
        report[method] = growth(method, args)
        cells = (f"{n}: {mean:.4f} ({top:.4f})" for n, (mean, top) in report[method].items())
        print(f"  {method:10}", "  ".join(cells), flush=True)
    return report


def print_quality(args: argparse.Namespace) -> dict[str, Any]:
    problem = Problem.parse(args.space, args.objectives)
    front = reference_front(args.space, args.objectives)
    optimum = front.hypervolume(problem.ideal, problem.nadir)
    best_mean = float(problem.normalise(front.objectives).mean(axis=1).min())
    report: dict[str, Any] = {"problem": problem.name, "optimum": optimum, "best_mean": best_mean}
    print(f"{problem.name}: optimum {optimum:.4f}, smallest mean objective {best_mean:.4f}")
    for method in args.methods:
        row = report[method] = measure(problem, method, args)
        print(
            f"  {method:10} {args.trials} trials: {row['hypervolume']:.4f} "
            f"± {row['standard_error']:.4f} s.e. (of optimum {row['hypervolume'] / optimum:.3f}), "
            f"smallest mean objective {row['best_mean']:.4f}, "
            f"{row['cpu_ms_per_trial']:.2f} ms per trial",
            flush=True,
        )
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="s")
    parser.add_argument("--objectives", nargs="+", default=["perplexity", "energy@rtx2080"])
    parser.add_argument("--methods", nargs="+", default=["RS", "RE", "NSGA2", "LS"])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--noise", action="store_true", help="search sees measurements")
    parser.add_argument("--growth", action="store_true", help="decision time by number of results")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report = print_growth(args) if args.growth else print_quality(args)
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
