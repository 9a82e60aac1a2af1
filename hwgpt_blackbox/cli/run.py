"""``hwgpt-blackbox run``: search in simulated time, store the results, draw the fronts."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.cli.best import SPACE_HELP
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import example_objectives
from hwgpt_blackbox.errors import InputError, printable

if TYPE_CHECKING:
    import pandas as pd

    from hwgpt_blackbox.experiments.grid_definition import Grid
    from hwgpt_blackbox.experiments.problems import Problem
    from hwgpt_blackbox.experiments.results.run_file import StoredRun
    from hwgpt_blackbox.experiments.results.store import ResultStore
    from hwgpt_blackbox.experiments.runs import RunSettings

_EXAMPLES = """examples:
  hwgpt-blackbox run --space s --objectives perplexity energy@rtx2080 --methods RS \\
      --trials 1000 --workers 4 --seeds 0 1 2 --out results
  hwgpt-blackbox run --space s m --devices a100 h100 --objectives perplexity latency \\
      --objectives perplexity energy --methods RS NSGA2 mypackage.module:factory --out results
  hwgpt-blackbox run --suite paper-two-objectives-s --jobs 2 --out results
  hwgpt-blackbox run --experiment mine.toml --cluster tcp://10.0.0.1:8786 --out s3://bucket/mine
"""

METHODS = ("RS", "RE", "NSGA2", "LS", "RSBO", "LSBO", "EHVI", "MOASHA")
"""Names for the help; the optimizers' own table takes half a second to import."""

MAX_DRAWN, MAX_LINES = 4, 40
"""Problems up to which their fronts are drawn, and runs up to which they are listed."""

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} trials [{elapsed}, {remaining} left]"


class _ListSuites(argparse.Action):
    """Prints the suites and leaves."""

    def __call__(self, parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        from hwgpt_blackbox.experiments.suites import describe_suites

        print(describe_suites())
        parser.exit()


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    what = parser.add_argument_group("what to run")
    what.add_argument("--space", "--spaces", dest="spaces", nargs="+", help=SPACE_HELP)
    what.add_argument(
        "--objectives",
        action="append",
        nargs="+",
        metavar="OBJECTIVE",
        help=f"two or more of {', '.join(example_objectives())}; devices may differ; without "
        "@DEVICE they are those of --devices; may be given several times",
    )
    what.add_argument(
        "--device",
        "--devices",
        dest="devices",
        nargs="+",
        help=f"of {', '.join(DEVICES)}: for objectives without @DEVICE; the first evaluates "
        "architectures if no objective depends on the device (default: rtx2080)",
    )
    what.add_argument("--experiment", type=Path, metavar="FILE", help="TOML or YAML that says so")
    what.add_argument("--suite", nargs="+", metavar="NAME", help="shipped experiments")
    what.add_argument("--list-suites", action=_ListSuites, nargs=0, help="print them and leave")
    what.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help=f"of {', '.join(METHODS)}, or module:factory of your own (default: RS)",
    )
    what.add_argument("--trials", type=int, help="per run (default: 1000)")
    what.add_argument("--workers", type=int, help="evaluations at a time, simulated (default: 4)")
    what.add_argument("--seeds", type=int, nargs="+", help="default: 0")
    what.add_argument("--no-noise", action="store_true", help="let the methods see expected values")
    how = parser.add_argument_group("how to run it")
    how.add_argument(
        "--jobs",
        type=int,
        help="runs at a time (default: 1, or the cores at hand from 3,000 trials in all on)",
    )
    how.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="a Dask cluster instead: tcp://HOST:PORT, or its scheduler file",
    )
    how.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="folder or URL (s3://…) of the results; one that holds some is completed",
    )
    how.add_argument(
        "--extend",
        action="store_true",
        help="make stored runs that have fewer trials than --trials anew, from the first trial on; "
        "each takes the place of the shorter one when it is complete",
    )


def run(args: argparse.Namespace) -> int:
    """Run what is missing, then summarise and draw all runs of the folder."""
    if os.getcwd() not in sys.path:  # noqa: PTH109  (modules of users' methods)
        sys.path.append(os.getcwd())  # noqa: PTH109

    from hwgpt_blackbox.experiments.grid_definition import all_runs
    from hwgpt_blackbox.experiments.grid_execution import (
        FailedRunsError,
        check_runs,
        default_jobs,
        make_runs,
        read_all,
    )
    from hwgpt_blackbox.experiments.results.store import ResultStore

    grids = _grids(args)
    runs = all_runs(grids)
    jobs = default_jobs(runs) if args.jobs is None else args.jobs
    check_runs(runs, jobs=jobs, cluster=args.cluster)
    store = ResultStore(args.out)
    store.prepare()
    failed: FailedRunsError | None = None
    with _terminable(), _logged(), _progress(runs) as progress:
        try:
            new = make_runs(
                runs,
                store,
                jobs=jobs,
                cluster=args.cluster,
                extend=args.extend,
                progress=progress,
            )
        except FailedRunsError as error:
            failed, new = error, []
    with _logged():
        results = read_all(store, set_aside=True)
    if failed is None and len(new) < len(runs):
        print(f"{len(runs) - len(new)} of {len(runs)} runs were complete already")
    if results:
        problems = {run.problem.name: run.problem for run in runs}
        _report(store, list(problems.values()), results)
    if len({run.seed for run in runs}) == 1:
        print(
            "note: one seed only, so there is no spread to compare methods by; add seeds with: "
            "--seeds 0 1 2 3 4"
        )
    for path in store.broken:
        print(f"broken and set aside: {printable(path)}")
    if failed is not None:
        raise failed
    return 0


def _grids(args: argparse.Namespace) -> list[Grid]:
    """The grids of a suite or a file, changed by options; or those of the options alone."""
    from hwgpt_blackbox.experiments.grid_definition import Grid, override, read_experiment
    from hwgpt_blackbox.experiments.suites import get_suite

    objectives = args.objectives and tuple(map(tuple, args.objectives))
    changes: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(args).items()
        if name in ("spaces", "devices", "methods", "seeds", "trials", "workers")
    }
    changes |= {"objectives": objectives, "noise": False if args.no_noise else None}
    if args.suite and args.experiment:
        raise InputError("--suite and --experiment are given; name one of them")
    if args.suite:
        grids = [grid for name in args.suite for grid in get_suite(name).grids]
    elif args.experiment:
        grids = read_experiment(args.experiment)
    elif args.spaces and objectives:
        grids = [Grid(tuple(args.spaces), objectives)]
    else:
        raise InputError(
            "there is nothing to run; name --space and --objectives, or --suite, or --experiment"
        )
    return [override(grid, changes) for grid in grids]


@contextmanager
def _progress(runs: Sequence[RunSettings]) -> Iterator[Callable[[int], None]]:
    """A bar over the trials of all runs; what was found done does not count for its speed.

    The first call says what was found done. Before it the bar is not shown: what was asked for may
    be refused.
    """
    from tqdm import tqdm

    total = sum(run.trials for run in runs)
    bars: list[Any] = []
    with ExitStack() as stack:

        def update(trials: int) -> None:
            if bars:
                bars[0].update(trials)
                return
            bar = tqdm(
                total=total,
                initial=trials,
                desc=f"{len(runs)} runs",
                disable=None,
                smoothing=0,
                bar_format=_BAR,
            )
            bars.append(stack.enter_context(bar))

        yield update


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, which batch systems send, end the command as an interrupt does.

    Both say that nothing complete is lost.
    """
    from hwgpt_blackbox.storage.atomic_writes import terminate_as_exit

    kept = "complete runs are kept, and the same command goes on"
    try:
        with terminate_as_exit():
            yield
    except SystemExit:
        print(f"hwgpt-blackbox: terminated; {kept}", file=sys.stderr)
        raise
    except KeyboardInterrupt:
        print(f"hwgpt-blackbox: {kept}", file=sys.stderr)
        raise


@contextmanager
def _logged() -> Iterator[None]:
    """Show warnings of the package above the bar."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    with logging_redirect_tqdm([logging.getLogger("hwgpt_blackbox")]):
        yield


def _report(store: ResultStore, problems: list[Problem], results: list[StoredRun]) -> None:
    """Write the summary, draw the fronts of a few problems, and print both.

    Without the libraries for that, say so: the results are what took time.
    """
    from hwgpt_blackbox.experiments.figures import draw_front, front_table
    from hwgpt_blackbox.experiments.results.scores import labelled, summarise, write_summary
    from hwgpt_blackbox.plotting.style import save_figure

    results = labelled(results)
    missing = [name for name in ("moocore", "matplotlib") if find_spec(name) is None]
    drawn = problems if len(problems) <= MAX_DRAWN and not missing else []
    with store.outputs() as folder:
        paths = []
        if "moocore" not in missing:
            table = summarise(results)
            paths += write_summary(table, folder)
            print(_shown(table))
        for problem in drawn:
            mine = [r for r in results if r.run.problem.name == problem.name]
            figure = draw_front(problem, front_table(problem, mine))
            paths += save_figure(figure, folder / f"front-{problem.name}")
    print(f"\n{len(store.paths())} result files in {store.folder / 'runs'}{', and' * bool(paths)}")
    for path in paths:
        print(f"  {store.folder / path.name}")
    if missing:
        print(
            f"note: {' and '.join(missing)} for hypervolumes and figures are not installed: "
            "pip install 'hwgpt-blackbox[analysis]', then run the same command again"
        )
    elif not drawn:
        print(f"draw them with: hwgpt-blackbox report {quote(str(store.folder))} --out DIR")


def _shown(table: pd.DataFrame) -> str:
    """The summary as text: a line per run, or per problem and method if there are many."""
    if len(table) > MAX_LINES:
        groups = table.groupby(["problem", "method"], as_index=False)
        table = groups.agg(
            seeds=("seed", "nunique"),
            hypervolume=("hypervolume", "median"),
            simulated_hours=("simulated_hours", "median"),
        )
    rounded = table.assign(
        hypervolume=table["hypervolume"].map("{:.4f}".format),
        simulated_hours=table["simulated_hours"].map("{:.2f}".format),
    )
    return str(rounded.to_string(index=False))
