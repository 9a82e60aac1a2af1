"""A search whose trials are evaluated for real on this machine, against what a blackbox promised.

Perplexity comes from a supernet and latency from the profiler, one trial at a time, by Syne Tune's
PythonBackend. The blackbox of the same space, fitted on measurements of this machine, then says
what it expected of the same architectures.

python examples/live_search.py net/ --text net/validation.npy --space mine --device mylaptop
"""

from __future__ import annotations

import argparse
import logging

import numpy as np
import pandas as pd
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import PythonBackend
from syne_tune.experiments import load_experiment

import hwgpt_blackbox
from hwgpt_blackbox.network import live_objective
from hwgpt_blackbox.optimizers import make_scheduler

OBJECTIVES = ["metric_perplexity", "metric_latency"]


def search(method: str, args: argparse.Namespace, config_space: dict) -> pd.DataFrame:
    """The trials of one method, in the order in which they ended."""
    objective = live_objective(
        args.supernet,
        args.text,
        sequences=args.sequences,
        batch=args.batch,
        length=args.length,
        threads=args.threads,
    )
    tuner = Tuner(
        trial_backend=PythonBackend(tune_function=objective, config_space=config_space),
        scheduler=make_scheduler(method, config_space, OBJECTIVES, random_seed=args.seed),
        stop_criterion=StoppingCriterion(max_num_trials_finished=args.trials),
        n_workers=1,  # a second trial would slow the first
        sleep_time=0.1,
        save_tuner=False,
    )
    tuner.run()
    return load_experiment(tuner.name).results.drop_duplicates("trial_id")


def main() -> None:
    """Search, and compare with the blackbox."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("supernet", help="folder of a supernet")
    parser.add_argument("--text", required=True, help="on which it was not trained")
    parser.add_argument("--space", required=True, help="name of the space")
    parser.add_argument("--device", required=True, help="name of this machine in the measurements")
    parser.add_argument("--methods", nargs="+", default=["RE", "EHVI"])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sequences", type=int, default=64, help="of the text")
    parser.add_argument("--batch", type=int, help="of a forward pass that is measured")
    parser.add_argument("--length", type=int, help="tokens of each of its sequences")
    parser.add_argument("--threads", type=int, help="as in the profile of the device")
    args = parser.parse_args()
    logging.getLogger().setLevel(logging.WARNING)

    blackbox = hwgpt_blackbox.load(args.space, args.device, noise=False)
    config_space = blackbox.configuration_space
    columns = [blackbox.objectives_names.index(name) for name in OBJECTIVES]
    for method in args.methods:
        found = search(method, args, config_space)
        configurations = [
            {name: row[f"config_{name}"] for name in config_space} for _, row in found.iterrows()
        ]
        promised = blackbox.expected_values(configurations)[:, columns]
        measured = found[OBJECTIVES].to_numpy(float)
        print(f"{method}: {len(found)} trials")
        for j, name in enumerate(OBJECTIVES):
            ratio = np.median(measured[:, j] / promised[:, j])
            ranks = pd.Series(measured[:, j]).corr(pd.Series(promised[:, j]), method="kendall")
            print(f"  {name}: measured / promised {ratio:.3f}, Kendall tau {ranks:.3f}")
        best = measured[:, 0].argmin()
        print(f"  lowest perplexity {measured[best, 0]:.4g} at {measured[best, 1]:.4g} ms")


if __name__ == "__main__":
    main()
