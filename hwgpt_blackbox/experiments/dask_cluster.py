"""Runs on an existing Dask cluster: every run is a task, a lost one is run again elsewhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import HWGPTError, InputError, require
from hwgpt_blackbox.experiments.run_task import RunOutcome, RunTask, attempt

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 30
"""How long to wait for the scheduler, and then for a first worker."""


class ClusterError(HWGPTError, ConnectionError):
    """The cluster is not there, or was lost."""


def on_cluster(tasks: Sequence[RunTask], cluster: str) -> Iterator[RunOutcome]:
    """Outcomes of tasks on a cluster, as they come.

    A task whose worker dies is run again on another one, up to Dask's ``allowed-failures``.

    :param cluster: address of the scheduler (``tcp://host:8786``), or its scheduler file
    :raises InputError: neither an address nor a file
    :raises ClusterError: no scheduler answers, it has no workers, or it was lost
    :raises MissingExtraError: Dask is not installed
    """
    require("distributed", extra="clusters")
    client = _connect(cluster)
    try:
        yield from _outcomes(client, tasks, cluster)
    finally:
        client.close(timeout=5)


def check_cluster(cluster: str) -> None:
    """Raise unless the text is an address or a scheduler file.

    :raises InputError: it is neither
    """
    if "://" in cluster:
        return
    try:
        found = json.loads(Path(cluster).read_text(encoding="utf-8"))
        if isinstance(found, dict) and isinstance(found.get("address"), str):
            return
        reason = "it states no address"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise InputError(
        f"cluster {cluster!r} is no address, and no scheduler file ({reason}); expected "
        "tcp://HOST:PORT, or the file of: dask scheduler --scheduler-file FILE"
    )


def _connect(cluster: str) -> Any:
    from distributed import Client

    check_cluster(cluster)
    named = {"address": cluster} if "://" in cluster else {"scheduler_file": cluster}
    try:
        client = Client(**named, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(
            f"no Dask scheduler answers at {cluster} ({error}); start one with: dask scheduler"
        ) from error
    try:
        client.wait_for_workers(1, timeout=CONNECT_SECONDS)
    except TimeoutError as error:
        client.close(timeout=5)
        raise ClusterError(
            f"the scheduler at {cluster} has no workers; start some with: dask worker --nthreads 1"
        ) from error
    return client


def _outcomes(client: Any, tasks: Sequence[RunTask], cluster: str) -> Iterator[RunOutcome]:
    from distributed import as_completed

    # Dask returns the outcome of the first task with a key, whichever client submitted that.
    futures = {
        client.submit(attempt, task, pure=False, key=f"hwgpt-{task.key}"): task for task in tasks
    }
    try:
        for future in as_completed(list(futures), loop=client.loop):
            task = futures.pop(future)
            yield _outcome(future, task, cluster)
            future.release()
    finally:
        if futures:  # an interrupt: what has not begun need not begin
            try:
                client.cancel(list(futures))
            except Exception as error:  # the cluster may be what was lost
                logger.debug("cannot cancel: %s", error)


def _outcome(future: Any, task: RunTask, cluster: str) -> RunOutcome:
    if future.status in ("cancelled", "lost"):
        raise ClusterError(
            f"the cluster at {cluster} was lost; run the same command again: what is complete "
            "is kept and not repeated"
        )
    error = future.exception()
    if error is None:
        outcome: RunOutcome = future.result()
        if outcome.key != task.key:
            raise ClusterError(
                f"the cluster at {cluster} answered run {task.run.name} with the outcome of "
                f"{outcome.key}; have the same release on all machines, and run again"
            )
        return outcome
    # KilledWorker names the task; a ModuleNotFoundError is a worker without this package.
    return RunOutcome(task.run, task.key, failure=f"{type(error).__name__} on the cluster: {error}")
