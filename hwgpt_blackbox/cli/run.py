"""``hwgpt-blackbox run``: search in simulated time, store the results, draw the fronts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hwgpt_blackbox.devices import DEVICES
from hwgpt_blackbox.experiments.problems import DEFAULT_DEVICE, Problem
from hwgpt_blackbox.metrics import example_objectives
from hwgpt_blackbox.spaces import MEASURED_SPACES

if TYPE_CHECKING:
    import pandas as pd

_EXAMPLE = (
    "example: hwgpt-blackbox run --space s --objectives perplexity energy@rtx2080 --methods RS "
    "--trials 1000 --workers 4 --seeds 0 1 2 --out results"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EXAMPLE
    parser.add_argument("--space", required=True, help=", ".join(MEASURED_SPACES))
    parser.add_argument(
        "--objectives",
        required=True,
        nargs="+",
        metavar="OBJECTIVE",
        help=f"two or more of {', '.join(example_objectives())}; devices may differ",
    )
    parser.add_argument(
        "--device",
        help=f"of {', '.join(DEVICES)}: evaluates the architectures if no objective names a "
        f"device (default: {DEFAULT_DEVICE})",
    )
    parser.add_argument(
        "--methods", nargs="+", default=["RS"], metavar="METHOD", help="default: RS"
    )
    parser.add_argument("--trials", type=int, default=1000, help="per run (default: 1000)")
    parser.add_argument(
        "--workers", type=int, default=4, help="evaluations at a time, simulated (default: 4)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="default: 0")
    parser.add_argument(
        "--no-noise", action="store_true", help="let the methods see expected values"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: 1)")
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        help="folder of the results; one that holds some is completed",
    )


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then summarise and draw all runs of the folder."""
    problem = Problem.parse(args.space, args.objectives, device=args.device)

    from tqdm import tqdm

    from hwgpt_blackbox.experiments.analysis import summarise, write_summary
    from hwgpt_blackbox.experiments.figures import draw_front, front_table, save_figure
    from hwgpt_blackbox.experiments.grid import make_runs, read_all
    from hwgpt_blackbox.experiments.runs import RunSettings, check_methods
    from hwgpt_blackbox.experiments.store import ResultStore

    runs = [
        RunSettings(problem, method, seed, args.trials, args.workers, not args.no_noise)
        for method in args.methods
        for seed in args.seeds
    ]
    check_methods(args.methods)
    store = ResultStore(args.out)
    store.prepare()
    total = sum(settings.trials for settings in runs)
    with tqdm(total=total, unit="trial", desc=f"{len(runs)} runs", disable=None) as bar:
        new = make_runs(runs, store, jobs=args.jobs, progress=bar.update)
    results = read_all(store)
    table = summarise(results)
    paths = write_summary(table, args.out)
    mine = [r for r in results if r.run.problem.name == problem.name]
    figure = draw_front(problem, front_table(problem, mine))
    paths += save_figure(figure, args.out / f"front-{problem.name}")
    if len(new) < len(runs):
        print(f"{len(runs) - len(new)} of {len(runs)} runs were complete already")
    print(_shown(table))
    print(f"\n{len(store.paths())} result files in {args.out / 'runs'}, and")
    print("\n".join(f"  {path}" for path in paths))
    return 0


def _shown(table: pd.DataFrame) -> str:
    """The summary as text."""
    rounded = table.assign(
        hypervolume=table["hypervolume"].map("{:.4f}".format),
        simulated_hours=table["simulated_hours"].map("{:.2f}".format),
    )
    return str(rounded.to_string(index=False))
