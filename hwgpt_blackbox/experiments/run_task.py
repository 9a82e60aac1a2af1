"""One run in whatever process it is given to: this one, a local one, or a machine of a cluster."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from hwgpt_blackbox.errors import DataError, HWGPTError, OutputError, require
from hwgpt_blackbox.experiments.results.files import RemotePath
from hwgpt_blackbox.experiments.results.provenance import changed, provenance
from hwgpt_blackbox.experiments.results.run_file import encode
from hwgpt_blackbox.experiments.results.store import ResultStore
from hwgpt_blackbox.experiments.runs import RunSettings, execute

logger = logging.getLogger(__name__)

MAX_LOSSES = 3
"""Times that local processes may be killed before the grid gives up."""

_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class RunTask:
    """A run, and what a process needs to store it.

    :param run: what to run
    :param folder: folder or URL of the store
    :param identity: of the store: a folder of that name elsewhere may be another one
    :param provenance: what the run must be made from
    """

    run: RunSettings
    folder: str
    identity: str | None
    provenance: Mapping[str, str]

    @property
    def key(self) -> str:
        """Unique key of the task: a digest of its store and of all that its result depends on."""
        problem = self.run.problem
        bounds = [*problem.ideal, *problem.nadir]
        stated = [self.folder, self.identity, self.run.settings(), bounds, dict(self.provenance)]
        text = json.dumps(stated, sort_keys=True)
        return f"{self.run.name}-{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"


@dataclass(frozen=True)
class RunOutcome:
    """The end of a run: its result is stored, or returned here, or it failed.

    :param run: the run
    :param key: of its task
    :param data: the result file, if the process could not store it
    :param failure: why there is no result
    """

    run: RunSettings
    key: str
    data: bytes | None = None
    failure: str | None = None


def make_task(run: RunSettings, store: ResultStore) -> RunTask:
    """The task of a run for a store."""
    folder = store.folder.url if isinstance(store.folder, RemotePath) else str(store.folder)
    return RunTask(run, folder, store.identity, provenance(run))


def attempt(task: RunTask, progress: Callable[[int], None] | None = None) -> RunOutcome:
    """Run a task and store its result, or return it if the store is not within reach.

    A method that fails, ours or a user's, is an outcome and no exception.

    :param progress: called with 1 whenever a trial has ended
    """
    run = task.run
    try:
        others = changed(task.provenance, provenance(run))
        if others:
            raise DataError(
                f"{', '.join(others)} here is not that of the process that asks; have the same "
                "release, HWGPT_BLACKBOX_HOME and methods on all machines, and run again"
            )
        with _ONE_AT_A_TIME:  # Syne Tune and methods have state of the whole process
            frame = execute(run, progress)
        data = encode(run, frame)
    except HWGPTError as error:
        return RunOutcome(run, task.key, failure=str(error))
    except Exception as error:  # a method of a user raises anything
        logger.debug("%s failed", run.name, exc_info=True)
        failure = f"{_place(error)}{type(error).__name__}: {error}"
        return RunOutcome(run, task.key, failure=failure)
    try:
        store = ResultStore(task.folder)
        if task.identity is not None and store.identity == task.identity:
            store.put(run, data)
            return RunOutcome(run, task.key)
    except Exception as error:  # the process that asked may be able to store it
        logger.info("%s is not stored from here (%s)", run.name, error)
    return RunOutcome(run, task.key, data=data)


def _place(error: Exception) -> str:
    """Where an exception was raised: ``file.py:12: ``."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}: "


def in_processes(tasks: Sequence[RunTask], jobs: int) -> Iterator[RunOutcome]:
    """Outcomes of tasks in local processes, as they come.

    When a process is killed, for instance because memory runs out, what it lost is tried again.
    Each process computes with one thread: the others take the other cores, and sums must not
    depend on how many there are.

    :param jobs: processes at a time
    :raises OutputError: processes were killed again and again
    :raises MissingExtraError: joblib is not installed
    """
    require("joblib", extra="clusters")
    from joblib import Parallel, delayed, parallel_config

    left = {task.run.name: task for task in tasks}
    for loss in range(MAX_LOSSES + 1):
        with parallel_config("loky", inner_max_num_threads=1):
            parallel = Parallel(n_jobs=min(jobs, len(left)), return_as="generator_unordered")
        try:
            for outcome in parallel(delayed(attempt)(task) for task in list(left.values())):
                del left[outcome.run.name]
                yield outcome
            return
        except BrokenProcessPool as error:
            if loss == MAX_LOSSES:
                raise OutputError(
                    f"processes were killed {loss + 1} times ({error}); make memory free or ask "
                    "for fewer jobs, then run again: what is complete is kept"
                ) from error
            logger.warning("a process was killed; trying again the %d runs left", len(left))
