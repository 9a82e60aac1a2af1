"""Many runs: what is done already is skipped, what is missing is run and stored one by one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from hwgpt_blackbox.errors import DataError, InputError, require
from hwgpt_blackbox.experiments.analysis import expected_columns
from hwgpt_blackbox.experiments.runs import SIMULATED_TIME, RunSettings, check_methods, execute
from hwgpt_blackbox.experiments.store import ResultStore, StoredRun, read

logger = logging.getLogger(__name__)


def make_runs(
    runs: Sequence[RunSettings],
    store: ResultStore,
    *,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> list[RunSettings]:
    """Run what the store lacks. An interrupt loses only the runs that are under way.

    The results are the same for every number of jobs.

    :param runs: runs with different names
    :param store: prepared
    :param jobs: processes at a time
    :param progress: called with a number of trials whenever so many have ended or are found done
    :return: the runs that were missing
    :raises InputError: unknown method, runs of one name, or a stored run with other settings;
        nothing is run then
    :raises DataError: a file of one of the runs is not sound; nothing is run then
    :raises MissingExtraError: what a method needs is not installed; nothing is run then
    :raises OutputError: a result cannot be written
    """
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise InputError(f"jobs is {jobs!r}; expected an integer from 1")
    names = [run.name for run in runs]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"run {name} is asked for twice; ask for it once")
    check_methods(list(dict.fromkeys(run.method for run in runs)))
    missing = [run for run in runs if not store.holds(run)]
    if progress is not None:
        progress(sum(run.trials for run in runs) - sum(run.trials for run in missing))
    if jobs == 1 or len(missing) <= 1:
        for run in missing:
            store.write(run, execute(run, progress))
        return missing
    require("joblib", extra="clusters")
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=min(jobs, len(missing)), return_as="generator_unordered")
    for trials in parallel(delayed(_run_and_store)(run, store.folder) for run in missing):
        if progress is not None:
            progress(trials)
    return missing


def _run_and_store(run: RunSettings, folder: Path) -> int:
    """One run in a process of its own."""
    ResultStore(folder).write(run, execute(run))
    return run.trials


def read_all(store: ResultStore) -> list[StoredRun]:
    """All sound results of a store, simulated times and expected objectives only.

    Others are named in the log and left out.
    """
    found = []
    for path in store.paths():
        try:
            found.append(read(path, lambda run: [SIMULATED_TIME, *expected_columns(run)]))
        except DataError as error:
            logger.warning("%s", error)
    return found
