"""1,000 random-search trials with our blackbox against one that returns constants.

    python benchmarking/tuner.py [--trials 1000] [--repeats 9]

CPU seconds (the least of interleaved repeats) of the same tuner loop: Syne Tune's own with its
``SimulatorCallback``, and the lean one of ``hwgpt-blackbox run``. The constant blackbox lets
evaluations take differing times, as ours do: if all ended at once, the tuner would poll less.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback

from hwgpt_blackbox import SimulatedBackend
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.experiments.lean_tuner import problem_blackbox
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings, execute, search
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.optimizers import make_scheduler
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.surrogates import read_surrogate


def constant(blackbox: HWGPTBlackbox) -> HWGPTBlackbox:
    """The blackbox with its answer replaced by constants, elapsed time by a cheap sequence."""
    values = np.ones((1, len(blackbox.objectives_names)))
    state = [0.3]

    def answer(configuration: Any, fidelity: Any = None, seed: Any = None) -> Any:
        state[0] = (state[0] * 1.37) % 1.0 + 0.31
        values[0, -1] = 10.0 + state[0]
        return values.copy()

    blackbox.objective_function = answer  # type: ignore[method-assign]
    return blackbox


def own_loop(run: RunSettings, blackbox: HWGPTBlackbox) -> None:
    """Syne Tune's tuner as its users call it, printing into a buffer."""
    scheduler = make_scheduler(
        run.method, blackbox.configuration_space, list(run.problem.attributes), random_seed=0
    )
    stop = StoppingCriterion(max_num_trials_completed=run.trials - 1)
    with contextlib.redirect_stdout(io.StringIO()):
        Tuner(
            SimulatedBackend(blackbox, seed=0),
            scheduler,
            stop,
            run.workers,
            sleep_time=0,
            callbacks=[SimulatorCallback()],
            save_tuner=False,
            tuner_name="benchmark",
        ).run()


def cpu_seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args()
    os.environ["SYNETUNE_FOLDER"] = tempfile.mkdtemp()
    for space in ("s", "l"):
        problem = Problem.parse(space, ["perplexity", "energy@rtx2080"])
        surrogate = read_surrogate(find(artifact_name(space)).path)
        for workers in (1, 4):
            run = RunSettings(problem, "RS", 0, args.trials, workers)

            def ours(problem: Problem = problem, surrogate: Surrogate = surrogate) -> Any:
                return problem_blackbox(problem, surrogate)

            cases: dict[str, Callable[[], Any]] = {
                "Syne Tune's loop, ours": lambda run=run, ours=ours: own_loop(run, ours()),
                "Syne Tune's loop, constant": lambda run=run, ours=ours: own_loop(
                    run, constant(ours())
                ),
                "lean loop, ours": lambda run=run, ours=ours: search(run, ours(), {}),
                "lean loop, constant": lambda run=run, ours=ours: search(run, constant(ours()), {}),
                "run with expected values": lambda run=run: execute(run),
            }
            times: dict[str, list[float]] = {name: [] for name in cases}
            for _ in range(args.repeats):
                for name, case in cases.items():
                    times[name].append(cpu_seconds(case))
            least = {name: min(values) for name, values in times.items()}
            print(f"{space}, {workers} workers, {args.trials} trials:")
            for name, value in least.items():
                print(f"  {name:28} {value:.3f} s")
            for loop in ("Syne Tune's loop", "lean loop"):
                ratio = least[f"{loop}, ours"] / least[f"{loop}, constant"]
                print(f"  {loop}: ours / constant {ratio:.3f}")


if __name__ == "__main__":
    main()
