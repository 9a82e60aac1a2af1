from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from hwgpt_blackbox.blackboxes.loading import load
from hwgpt_blackbox.blackboxes.simulated_backend import SimulatedBackend
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings, execute
from hwgpt_blackbox.optimizers import make_scheduler

MIXED = ["perplexity", "latency@rtx2080", "energy@a6000"]


def settings(objectives=("perplexity", "energy@rtx2080"), space="s", method="RS", **changes):
    return RunSettings(Problem.parse(space, list(objectives)), method, **{"trials": 60, **changes})


def configurations(frame: pd.DataFrame, space: str) -> list[dict]:
    names = list(SPACES[space].choices)
    columns = [frame[f"config_{name}"].tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


@pytest.mark.parametrize("workers", [1, 4, 64])
def test_same_seed_same_frame(workers):
    first = execute(settings(seed=3, workers=workers))
    np.random.seed(0)  # a global state that somebody else moves must not matter
    pd.testing.assert_frame_equal(first, execute(settings(seed=3, workers=workers)), rtol=0, atol=0)
    assert not first.equals(execute(settings(seed=4, workers=workers)))


@pytest.mark.parametrize(
    ("space", "objectives"),
    [("s", ["perplexity", "energy@rtx2080"]), ("s", MIXED), ("l", ["flops", "perplexity"])],
)
def test_recorded_values_are_the_blackboxs(space, objectives):
    run = settings(objectives, space, seed=5)
    frame = execute(run)
    blackbox = load(space, run.problem.dataset)
    found = configurations(frame, space)
    attributes = [blackbox.objectives_names.index(name) for name in run.problem.attributes]
    expected = blackbox.expected_values(found)[:, attributes]
    backend = SimulatedBackend(blackbox, seed=run.seed)
    for i, (trial, configuration) in enumerate(zip(frame["trial_id"], found, strict=True)):
        values = blackbox.objective_function(configuration, seed=backend.repeat_of(trial))[0]
        for j, target in zip(attributes, run.problem.targets, strict=True):
            assert frame[f"measured_{target}"][i] == values[j]
    assert (frame[[f"expected_{t}" for t in run.problem.targets]].to_numpy() == expected).all()


def test_without_noise_measured_is_expected():
    frame = execute(settings(noise=False))
    for target in ("perplexity", "energy@rtx2080"):
        assert (frame[f"measured_{target}"] == frame[f"expected_{target}"]).all()
    noisy = execute(settings())
    assert (noisy["measured_energy@rtx2080"] != noisy["expected_energy@rtx2080"]).all()
    assert (noisy["measured_perplexity"] == noisy["expected_perplexity"]).all()


def own_seconds(frame, space, devices, cost):
    found = configurations(frame, space)
    latencies = []
    for device in devices:
        blackbox = load(space, device)
        column = blackbox.objectives_names.index("metric_latency")
        latencies.append(blackbox.expected_values(found)[:, column])
    return cost.seconds(np.max(latencies, axis=0))


@pytest.mark.parametrize(
    ("objectives", "devices"),
    [
        (MIXED, ("rtx2080", "a6000")),
        (["energy@h100", "latency@a100"], ("h100", "a100")),
        (["perplexity", "flops"], ("rtx2080",)),
        (["perplexity", "elapsed_time@v100"], ("v100",)),
    ],
)
def test_a_trial_takes_as_long_as_on_the_slowest_of_its_own_devices(objectives, devices):
    cost = CostModel(setup_seconds=1.0, validation_batches=20.0)
    frame = execute(settings(objectives, workers=1, cost_model=cost))
    seconds = own_seconds(frame, "s", devices, cost)
    np.testing.assert_allclose(frame["simulated_time"], np.cumsum(seconds), rtol=1e-12)


@pytest.mark.parametrize("trials", [1, 2, 7, 65])
@pytest.mark.parametrize("workers", [1, 4, 64])
def test_exactly_the_trials_asked_for(trials, workers):
    frame = execute(settings(trials=trials, workers=workers))
    assert len(frame) == frame["trial_id"].nunique() == trials
    assert frame["simulated_time"].is_monotonic_increasing


def test_workers_share_the_simulated_time():
    alone, many = (execute(settings(workers=w, trials=200)) for w in (1, 8))
    ratio = alone["simulated_time"].max() / many["simulated_time"].max()
    assert 7 < ratio < 8.5


def test_columns():
    run = settings()
    frame = execute(run)
    assert list(frame) == run.columns()
    assert frame["config_bias"].dtype == bool
    Encoding(SPACES["s"]).encode(configurations(frame, "s"))  # every value is a choice
    assert np.isfinite(frame.drop(columns="config_bias").to_numpy(dtype=float)).all()


def test_progress_counts_the_trials():
    seen = []
    execute(settings(trials=30), seen.append)
    assert seen == [1] * 30


def test_methods_over_a_fidelity_stop_trials_early():
    run = settings(method="MOASHA", trials=80)
    frame = execute(run)
    assert len(frame) == 80
    full = own_seconds(frame, "s", ("rtx2080",), run.cost_model)
    assert frame["simulated_time"].max() < 0.98 * full.sum() / run.workers


def test_a_run_computes_with_one_thread(monkeypatch):
    """Threads that wait for each other's small matrices cost NSGA-II ten times the time."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    with threadpool_limits(2):
        execute(settings(method="own_methods:of_one_thread"))
        assert max(pool["num_threads"] for pool in threadpool_info()) == 2


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_interrupts_a_run_is_not_lost_when_the_tuner_tidies_up(kind, monkeypatch):
    def fetch(*args, **kwargs):
        raise kind("now")

    def stop_all(backend):
        raise KeyError(239)

    monkeypatch.setattr(SimulatedBackend, "fetch_status_results", fetch)
    monkeypatch.setattr(SimulatedBackend, "stop_all", stop_all)
    with pytest.raises(kind, match="now"):
        execute(settings())


def test_other_errors_of_a_run_are_what_they_are(monkeypatch):
    def stop_all(backend):
        raise KeyError(239)

    monkeypatch.setattr(SimulatedBackend, "stop_all", stop_all)
    with pytest.raises(KeyError, match="239"):
        execute(settings())


def test_unknown_method():
    with pytest.raises(InputError, match="unknown method 'SIMULATED'; known: RS, RE"):
        execute(settings(method="SIMULATED"))


def mine(config_space, metrics, *, random_seed, canonical_form):
    """A user's function."""
    return make_scheduler(
        "RS", config_space, metrics, random_seed=random_seed, canonical_form=canonical_form
    )


def test_a_function_is_a_method():
    problem = Problem.parse("s", ["perplexity", "energy@rtx2080"])
    run = RunSettings(problem, mine, seed=3, trials=15)
    assert run.method == f"{__name__}:mine"
    for same in (run, replace(run, workers=4), pickle.loads(pickle.dumps(run))):
        expected = execute(RunSettings(problem, "RS", seed=3, trials=15))
        pd.testing.assert_frame_equal(execute(same), expected, rtol=0, atol=0)


def _made(share):
    """Functions that differ by what they close over: one name cannot stand for both."""

    def factory(config_space, metrics, *, random_seed, canonical_form=None):
        return share

    return factory


@wraps(mine)
def decorated(*args, **options):
    """Called by the name of what it wraps, of which there may be several."""
    return mine(*args, **options)


class Bound:
    def method(self, config_space, metrics, *, random_seed, canonical_form=None):
        return self


@pytest.mark.parametrize(
    "method", [lambda *args: None, partial(mine), 3, None, _made(0.1), Bound().method, decorated]
)
def test_a_function_without_a_name_is_no_method(method):
    problem = Problem.parse("s", ["perplexity", "energy@rtx2080"])
    with pytest.raises(InputError, match=r"has no name .* expected .* a function made with def"):
        RunSettings(problem, method)


SCRIPT = """
import sys
import pandas as pd
from hwgpt_blackbox.experiments.grid_execution import make_runs
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings, execute
from hwgpt_blackbox.experiments.results.store import ResultStore, read
from hwgpt_blackbox.optimizers import make_scheduler

print("here", flush=True)

def mine(config_space, metrics, *, random_seed, canonical_form):
    return make_scheduler(
        "LS", config_space, metrics, random_seed=random_seed, canonical_form=canonical_form
    )

problem = Problem.parse("s", ["perplexity", "energy@rtx2080"])
runs = [RunSettings(problem, mine, seed, trials=12) for seed in range(3)]
store = ResultStore(sys.argv[1])
store.prepare()
made = make_runs(runs, store, jobs=2)
again = make_runs(runs, store)
same = execute(RunSettings(problem, "LS", 2, trials=12)).equals(read(store.path(runs[2])).frame)
print(len(made), len(again), runs[0].name, same)
"""


def test_a_function_of_an_unguarded_script_runs_in_processes_too(tmp_path):
    """Its import path would import the script again, which would run it again."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    words = [sys.executable, str(script), str(tmp_path / "out")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    name = "s-perplexity-energy@rtx2080-__main__+mine-seed0"
    assert done.stdout == f"here\n3 0 {name} True\n"


def test_a_method_that_has_nothing_more_to_suggest(monkeypatch):
    from hwgpt_blackbox import optimizers

    real = optimizers.make_scheduler

    def short(*args, **kwargs):
        scheduler = real(*args, **kwargs)
        suggest = scheduler.suggest
        left = iter(range(5))
        scheduler.suggest = lambda: suggest() if next(left, None) is not None else None
        return scheduler

    monkeypatch.setattr(optimizers, "make_scheduler", short)
    with pytest.raises(InputError, match="RS ended after 5 of 60 trials"):
        execute(settings())


@pytest.mark.parametrize(
    "changes",
    [{"seed": -1}, {"seed": 2**32}, {"seed": 1.5}, {"trials": 0}, {"workers": 0}, {"trials": True}],
)
def test_settings_out_of_range(changes):
    (name,) = changes
    with pytest.raises(InputError, match=f"{name} is {changes[name]!r}; expected an integer"):
        settings(**changes)


def test_prints_nothing_and_writes_nothing_at_home(isolated_home, capfd):
    execute(settings())
    assert capfd.readouterr() == ("", "")
    assert list(isolated_home.rglob("*")) == []
