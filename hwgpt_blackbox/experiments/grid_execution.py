"""Many runs: what is done already is skipped, what is missing is run and stored one by one."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

from hwgpt_blackbox.errors import DataError, HWGPTError, InputError
from hwgpt_blackbox.experiments.dask_cluster import check_cluster, on_cluster
from hwgpt_blackbox.experiments.methods import get_method
from hwgpt_blackbox.experiments.results.files import AnyPath
from hwgpt_blackbox.experiments.results.run_file import OtherVersionError, StoredRun
from hwgpt_blackbox.experiments.results.store import ResultStore, UnreadableError, read
from hwgpt_blackbox.experiments.run_task import RunOutcome, attempt, in_processes, make_task
from hwgpt_blackbox.experiments.runs import SIMULATED_TIME, RunSettings

logger = logging.getLogger(__name__)

Progress = Callable[[int], None]

_SHOWN = 5
_FEW_TRIALS = 3000  # in all, below which starting a second process costs more than it brings


class FailedRunsError(HWGPTError, RuntimeError):
    """Some runs failed; all others are complete.

    :param failures: reason by name of the run
    """

    def __init__(self, failures: dict[str, str]) -> None:
        self.failures = failures
        lines = [f"  {name}: {reason}" for name, reason in list(failures.items())[:_SHOWN]]
        if len(failures) > _SHOWN:
            lines.append(f"  and {len(failures) - _SHOWN} more")
        noun = "run" if len(failures) == 1 else "runs"
        super().__init__(
            f"{len(failures)} {noun} failed, all others are kept:\n" + "\n".join(lines)
        )


def default_jobs(runs: Sequence[RunSettings]) -> int:
    """Local processes at a time: the cores at hand where there is work for them.

    Starting a process takes some seconds. Without joblib there is one.
    """
    if find_spec("joblib") is None or sum(run.trials for run in runs) < _FEW_TRIALS:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_runs(runs: Sequence[RunSettings], *, jobs: int = 1, cluster: str | None = None) -> None:
    """Check what :func:`make_runs` is asked for, without looking at a store.

    :raises InputError: unknown method, runs of one name, a bad number of jobs, or no cluster
    :raises MissingExtraError: what a method needs is not installed
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise InputError(f"jobs is {jobs!r}; expected an integer from 1")
    if cluster is not None:
        check_cluster(cluster)
    for name, times in Counter(run.name for run in runs).items():
        if times > 1:
            raise InputError(f"run {name} is asked for twice; ask for it once")
    for method in dict.fromkeys(run.method for run in runs):
        get_method(method)


def make_runs(
    runs: Sequence[RunSettings],
    store: ResultStore,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    extend: bool = False,
    progress: Progress | None = None,
) -> list[RunSettings]:
    """Run what the store lacks. An interrupt or a crash loses only the runs that are under way.

    The results are the same for every number of jobs, and on a cluster. A broken file of one of
    the runs is set aside (``store.broken``) and the run made anew.

    :param runs: runs with different names
    :param store: prepared
    :param jobs: local processes at a time
    :param cluster: a Dask cluster to run on instead: ``tcp://host:8786`` or a scheduler file
    :param extend: make stored runs that have fewer trials than asked for anew, from the first trial
        on; each replaces the shorter one when it is complete, and equals one made at once
    :param progress: called first with the number of trials found done, then whenever some ended
    :return: the runs that were missing
    :raises InputError: unknown method, runs of one name, or a stored run with other settings;
        nothing is run then
    :raises DataError: a file of one of the runs is of another version; nothing is run then
    :raises MissingExtraError: what a method needs is not installed; nothing is run then
    :raises OutputError: a result cannot be written
    :raises ClusterError: the cluster is not there, or was lost
    :raises FailedRunsError: some runs failed, and all others are complete
    """
    check_runs(runs, jobs=jobs, cluster=cluster)
    missing = _missing(runs, store, extend)
    if progress is not None:
        progress(sum(run.trials for run in runs) - sum(run.trials for run in missing))
    failures: dict[str, str] = {}
    for outcome in _outcomes(missing, store, jobs, cluster, progress):
        if outcome.failure is not None:
            failures[outcome.run.name] = outcome.failure
            logger.error("%s failed: %s", outcome.run.name, outcome.failure)
        elif outcome.data is not None:
            store.put(outcome.run, outcome.data)
    if failures:
        raise FailedRunsError(failures)
    return missing


def _missing(runs: Sequence[RunSettings], store: ResultStore, extend: bool) -> list[RunSettings]:
    """The runs that the store does not hold; a broken file is set aside."""
    missing: list[RunSettings] = []
    broken: list[tuple[AnyPath, DataError]] = []
    for run in runs:
        try:
            if store.holds(run, extend=extend):
                continue
        except (OtherVersionError, UnreadableError):
            raise
        except DataError as error:
            broken.append((store.path(run), error))
        missing.append(run)
    for path, reason in broken:  # after all have been checked: a clash changes nothing
        store.set_aside(path, reason)
    return missing


def _outcomes(
    missing: Sequence[RunSettings],
    store: ResultStore,
    jobs: int,
    cluster: str | None,
    progress: Progress | None,
) -> Iterator[RunOutcome]:
    tasks = [make_task(run, store) for run in missing]
    if not tasks:
        return
    if cluster is None and (jobs == 1 or len(tasks) == 1):
        yield from (attempt(task, progress) for task in tasks)
        return
    for outcome in on_cluster(tasks, cluster) if cluster else in_processes(tasks, jobs):
        yield outcome
        if progress is not None:  # after the yield: the result is stored by now
            progress(outcome.run.trials)


def read_all(store: ResultStore, *, set_aside: bool = False) -> list[StoredRun]:
    """All sound results of a store, simulated times and expected objectives only.

    Others are named in the log and left out.

    :param set_aside: whether to rename broken files (``store.broken``)
    """
    found = []
    for path in store.paths():
        try:
            found.append(read(path, lambda run: [SIMULATED_TIME, *run.expected_columns]))
        except DataError as error:
            if set_aside and not isinstance(error, OtherVersionError | UnreadableError):
                store.set_aside(path, error)
            else:
                logger.warning("%s; left out", error)
    return found
