"""Runs in other processes: joblib's, and those of a real Dask scheduler and workers."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.experiments import (
    dask_cluster as cluster,
)
from hwgpt_blackbox.experiments import (
    grid_execution as grid,
)
from hwgpt_blackbox.experiments import (
    run_task as workers,
)
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.store import ResultStore, read
from hwgpt_blackbox.experiments.runs import RunSettings, execute

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def settings(**changes):
    problem = Problem.parse("s", ["perplexity", "energy@rtx2080"])
    return RunSettings(problem, **{"method": "RS", "trials": 20, **changes})


@pytest.fixture
def results(tmp_path):
    made = ResultStore(tmp_path / "out")
    made.prepare()
    return made


@pytest.fixture
def own_methods(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def same(path, run):
    pd.testing.assert_frame_equal(read(path).frame, execute(run), rtol=0, atol=0)


@pytest.mark.slow  # starts processes twice
def test_a_local_process_that_is_killed_loses_nothing(results, own_methods, monkeypatch, tmp_path):
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(wait=True)  # another test's processes lack what follows
    monkeypatch.setenv("OWN_METHODS_FLAG", str(tmp_path / "flag"))
    runs = [settings(seed=seed, method="own_methods:fails_once") for seed in range(4)]
    assert grid.make_runs(runs, results, jobs=2) == runs
    assert (tmp_path / "flag").exists()
    assert len(results.paths()) == 4


@pytest.fixture(scope="module")
def dask_cluster(tmp_path_factory):
    """A scheduler and two workers on the loopback interface: address, scheduler file, workers."""
    pytest.importorskip("distributed")
    folder = tmp_path_factory.mktemp("dask")
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}:{HERE}",
        "OMP_NUM_THREADS": "1",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
    }
    file = folder / "scheduler.json"
    processes = []

    def start(*words):
        log = (folder / f"{len(processes)}.log").open("w")
        command = [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        processes.append(process)
        return process

    here = ["--host", "127.0.0.1", "--no-dashboard"]
    start("dask_scheduler", *here, "--port", "0", "--scheduler-file", str(file))
    pair = [
        start("dask_worker", "--scheduler-file", str(file), *here, "--nthreads", "1", "--no-nanny")
        for _ in range(2)
    ]
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    from distributed import Client

    with Client(scheduler_file=str(file), set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        address = client.scheduler.address
    yield address, file, pair
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(10)


def test_a_cluster_makes_the_same_results_and_survives_a_worker(dask_cluster, results):
    address, file, pair = dask_cluster

    # A store that the workers cannot reach: results come back through the scheduler.
    remote = ResultStore("memory://dask-test")
    remote.prepare()
    runs = [settings(seed=seed) for seed in range(4)]
    seen = []
    assert grid.make_runs(runs[:2], remote, cluster=str(file), progress=seen.append) == runs[:2]
    assert seen == [0, 20, 20]
    same(remote.path(runs[1]), runs[1])
    assert grid.make_runs(runs, remote, cluster=address) == runs[2:]

    # A user's method that fails is named; the others are made.
    bad = settings(method="own_methods:fails")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        with pytest.raises(grid.FailedRunsError, match=r"1 run failed.*\n.*RuntimeError: no luck"):
            grid.make_runs([*runs, bad], remote, cluster=address)

    # One of two workers is killed half-way.
    many = [settings(seed=seed, trials=150) for seed in range(16)]
    ended = []

    def kill(trials):
        ended.append(trials)
        if len(ended) == 5:
            pair[0].send_signal(signal.SIGKILL)

    assert grid.make_runs(many, results, cluster=address, progress=kill) == many
    assert pair[0].wait(10) == -signal.SIGKILL
    assert sum(ended) == 16 * 150
    assert len(results.paths()) == 16
    same(results.path(many[-1]), many[-1])
    assert [p.name for p in (results.folder / "runs").iterdir() if p.name.startswith(".")] == []


def test_two_grids_on_one_scheduler_do_not_get_each_others_outcomes(dask_cluster, tmp_path):
    """Runs of one name, in stores of one name, with other settings: at the same time."""
    from distributed import Client

    address, _, _ = dask_cluster
    few, many = settings(trials=20), settings(trials=30)
    stores = [ResultStore(tmp_path / name) for name in ("one", "two", "three")]
    for store in stores:
        store.prepare()
    tasks = [workers.make_task(*pair) for pair in ((few, stores[0]), (many, stores[1]))]
    tasks.append(workers.make_task(few, stores[2]))
    with Client(address, set_as_default=False) as other:  # it keeps what it asked for
        kept = list(cluster._outcomes(other, tasks[:1], address))
        held = other.submit(workers.attempt, tasks[0], key=f"hwgpt-{tasks[0].key}")
        held.result()
        for run, store in zip((many, few), stores[1:], strict=True):
            assert grid.make_runs([run], store, cluster=address) == [run]
            same(store.path(run), run)
    assert [outcome.key for outcome in kept] == [tasks[0].key]
    keys = {
        workers.make_task(run, store).key
        for store in stores
        for run in (
            few,
            many,
            settings(workers=7),
            settings(noise=False),
            settings(cost_model=CostModel(setup_seconds=9.0)),
            settings(method="LS"),
            settings(seed=1),
        )
    }
    assert len(keys) == 3 * 7


def test_an_outcome_of_another_task_is_an_error(results):
    class Future:
        status = "finished"

        def exception(self):
            return None

        def result(self):
            return workers.RunOutcome(settings(), "another", data=b"")

    task = workers.make_task(settings(), results)
    with pytest.raises(cluster.ClusterError, match="with the outcome of another; have the same"):
        cluster._outcome(Future(), task, "tcp://x")


def test_workers_store_where_they_see_the_same_folder(results, tmp_path):
    run = settings()
    task = workers.make_task(run, results)
    assert workers.attempt(task) == workers.RunOutcome(run, task.key)
    same(results.path(run), run)
    other = ResultStore(tmp_path / "other")
    other.prepare()
    elsewhere = workers.RunTask(run, str(other.folder), task.identity, task.provenance)
    outcome = workers.attempt(elsewhere)
    assert outcome.data == results.path(run).read_bytes()
    assert other.paths() == []


def test_another_artifact_on_the_worker(results):
    task = workers.make_task(settings(), results)
    theirs = {"hwgpt-s": "another"}
    outcome = workers.attempt(workers.RunTask(task.run, task.folder, task.identity, theirs))
    assert "hwgpt-s here is not that of the process that asks" in outcome.failure


@pytest.mark.parametrize("text", ["no-file.json", "127.0.0.1"])
def test_neither_address_nor_file(results, text):
    with pytest.raises(InputError, match=r"no address, and no scheduler file.*tcp://HOST:PORT"):
        grid.make_runs([settings()], results, cluster=text)


def test_nobody_answers(results, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(cluster.ClusterError, match=r"no Dask scheduler answers at tcp://127"):
        grid.make_runs([settings()], results, cluster="tcp://127.0.0.1:9")
