r"""The eight methods on the embedded blackboxes: normalised hypervolume and decision time.

    python benchmarking/optimizers.py --space s --objectives perplexity energy@rtx2080 \
        --methods RS RE NSGA2 LS --trials 1000 --seeds 10 [--noise]

Search as the harness runs it (4 simulated workers); beside every figure the exact optimum of the
same surrogate, from its reference front.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.experiments.analysis import hypervolume
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings, execute
from hwgpt_blackbox.fronts import reference_front
from hwgpt_blackbox.optimizers import make_scheduler

EXTRA = {"EHVI-additive": "optimizers:additive_ehvi"}
"""Variants of methods, by import path (this file's folder is on the path when it runs)."""


def additive_ehvi(config_space: Any, metrics: Any, **options: Any) -> Any:
    """EHVI whose kernel knows sums over layers."""
    return make_scheduler("EHVI", config_space, metrics, kernel="additive", **options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", default="s")
    parser.add_argument("--objectives", nargs="+", default=["perplexity", "energy@rtx2080"])
    parser.add_argument("--methods", nargs="+", default=["RS", "RE", "NSGA2", "LS"])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--noise", action="store_true", help="search sees measurements")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    problem = Problem.parse(args.space, args.objectives)
    front = reference_front(args.space, args.objectives)
    points = problem.normalise(front.objectives)
    optimum = front.hypervolume(problem.ideal, problem.nadir)
    best_sum = float(points.mean(axis=1).min())
    report: dict[str, Any] = {"problem": problem.name, "optimum": optimum, "best_sum": best_sum}
    print(f"{problem.name}: optimum {optimum:.4f}, smallest mean objective {best_sum:.4f}")
    for method in args.methods:
        scores, sums, spent = [], [], []
        for seed in range(args.seeds):
            run = RunSettings(
                problem, EXTRA.get(method, method), seed, args.trials, args.workers, args.noise
            )
            start = time.process_time()
            frame = execute(run)
            spent.append((time.process_time() - start) / args.trials * 1e3)
            values = frame[[f"expected_{c.target}" for c in problem.objectives]].to_numpy()
            scores.append(hypervolume(problem, values))
            sums.append(float(problem.normalise(values).mean(axis=1).min()))
        report[method] = {
            "trials": args.trials,
            "hypervolume": float(np.mean(scores)),
            "sd": float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0,
            "best_sum": float(np.mean(sums)),
            "cpu_ms_per_trial": float(np.mean(spent)),
        }
        row = report[method]
        print(
            f"  {method:6} {args.trials} trials: {row['hypervolume']:.4f} ± {row['sd']:.4f} "
            f"(of optimum {row['hypervolume'] / optimum:.3f}), best mean objective "
            f"{row['best_sum']:.4f}, {row['cpu_ms_per_trial']:.2f} ms per trial",
            flush=True,
        )
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
