"""Every scheduler that Syne Tune ships, on our blackboxes, through its own backend."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import write_table
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository import (
    BlackboxRepositoryBackend,
    UserBlackboxBackend,
    add_surrogate,
    load_blackbox,
)
from syne_tune.optimizer import baselines
from syne_tune.optimizer.schedulers.multiobjective import MultiObjectiveRegularizedEvolution
from syne_tune.optimizer.schedulers.multiobjective.moasha import MOASHA
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler
from upstream.runs import ELAPSED, LATENCY, PERPLEXITY, check_run, tune

from hwgpt_blackbox.errors import InputError

TWO = [PERPLEXITY, LATENCY]
LEVELS = {"time_attr": "repeats", "max_t": 10}
Make = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Baseline:
    """A scheduler under test.

    :param make: configuration space to scheduler
    :param fidelity: whether it needs the levels of ``hwgpt-s-repeats``
    :param needs: module beyond the core that it needs
    :param trials: how many to start, past its random start
    :param slow: whether it takes more than some seconds
    :param fails: how it fails for reasons of its own: type and part of the message
    """

    make: Make
    fidelity: bool = False
    needs: str | None = None
    trials: int = 9
    slow: bool = False
    fails: tuple[type[Exception], str] | None = None


def single(name: str, **options: Any) -> Make:
    return lambda space: getattr(baselines, name)(space, LATENCY, random_seed=1, **options)


def several(name: str) -> Make:
    return lambda space: getattr(baselines, name)(space, metrics=TWO, random_seed=1)


BASELINES: dict[str, Baseline] = {
    "RandomSearch": Baseline(
        lambda space: baselines.RandomSearch(space, metrics=[LATENCY], random_seed=1)
    ),
    "REA": Baseline(single("REA", population_size=4, sample_size=2)),
    "TPE": Baseline(single("TPE"), trials=32),
    "BORE": Baseline(single("BORE"), needs="xgboost"),
    "CQR": Baseline(single("CQR"), needs="xgboost"),
    "BOTorch": Baseline(single("BOTorch"), needs="botorch", trials=5),
    "ASHA": Baseline(single("ASHA", **LEVELS), fidelity=True),
    "BOHB": Baseline(single("BOHB", **LEVELS), fidelity=True, trials=32),
    "ASHABORE": Baseline(single("ASHABORE", **LEVELS), fidelity=True, needs="xgboost"),
    "ASHACQR": Baseline(single("ASHACQR", **LEVELS), fidelity=True, needs="xgboost"),
    "EHVI": Baseline(several("EHVI"), needs="botorch", trials=5, slow=True),
    # It mixes single and double precision, which BoTorch's kernel in C++ refuses.
    "EHVI with a compiler": Baseline(
        several("EHVI"), needs="ninja", slow=True, fails=(RuntimeError, "scalar type Double")
    ),
    # Its docstring promises several objectives; its searcher does not know them.
    "RandomSearch of two": Baseline(
        several("RandomSearch"), fails=(AssertionError, "only support single metric")
    ),
    # Beyond ``baselines``: the schedulers for several objectives.
    "MOASHA": Baseline(lambda space: MOASHA(space, TWO, random_seed=1, **LEVELS), fidelity=True),
    "MO-REA": Baseline(
        lambda space: SingleFidelityScheduler(
            space,
            metrics=TWO,
            searcher=MultiObjectiveRegularizedEvolution(
                space, population_size=4, sample_size=2, random_seed=1
            ),
        )
    ),
}


def names(*, fail: bool) -> list[Any]:
    """Schedulers as parameters of a test."""
    return [
        pytest.param(name, marks=pytest.mark.slow if baseline.slow else ())
        for name, baseline in BASELINES.items()
        if (baseline.fails is not None) is fail
    ]


CHEAP = [name for name, b in BASELINES.items() if b.needs is None and b.fails is None]


def test_every_scheduler_of_syne_tune_is_here() -> None:
    defined = {
        name
        for name, value in vars(baselines).items()
        if inspect.isclass(value) and value.__module__ == baselines.__name__
    }
    assert defined <= set(BASELINES)


@pytest.fixture(autouse=True)
def _global_state() -> None:
    """Several searchers draw from the global generator."""
    np.random.seed(1)


def need(baseline: Baseline) -> None:
    if baseline.needs:
        pytest.importorskip(baseline.needs)


@pytest.mark.filterwarnings("ignore")  # of scikit-learn, xgboost and BoTorch
@pytest.mark.parametrize("name", names(fail=False))
def test_on_the_surrogate(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = BASELINES[name]
    need(baseline)
    if baseline.needs == "botorch":  # which else compiles its kernel, where it can
        logei = pytest.importorskip("botorch.acquisition.multi_objective.logei")
        monkeypatch.setattr(logei, "_load_attempted", True, raising=False)
    box = "hwgpt-s-repeats" if baseline.fidelity else "hwgpt-s"
    backend = BlackboxRepositoryBackend(box, ELAPSED, dataset="rtx2080", seed=3)
    results = tune(
        backend, baseline.make(backend.blackbox.configuration_space), trials=baseline.trials
    )
    assert len(results.trials) >= baseline.trials
    check_run(results, load_blackbox(box)["rtx2080"], seed=3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CHEAP)
def test_on_all_devices_and_levels_without_a_seed(name: str) -> None:
    baseline = BASELINES[name]
    backend = BlackboxRepositoryBackend("hwgpt-s-repeats", ELAPSED, dataset="all")
    box = backend.blackbox
    box.objectives_names = [n.replace("_rtx2080", "") for n in box.objectives_names]
    results = tune(backend, baseline.make(box.configuration_space))
    check_run(results, box, seed=None)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CHEAP)
def test_on_a_table_with_syne_tunes_surrogate(name: str, artifacts: Path) -> None:
    # A table knows few architectures: schedulers that roam need Syne Tune's nearest neighbour.
    write_table(artifacts / "hwgpt-s-tabular", size=30)
    backend = BlackboxRepositoryBackend(
        "hwgpt-s-tabular", ELAPSED, dataset="a100", seed=0,
        surrogate="KNeighborsRegressor", surrogate_kwargs={"n_neighbors": 1},
    )  # fmt: skip
    scheduler = BASELINES[name].make(backend.blackbox.configuration_space)
    results = tune(backend, scheduler)
    table = load_blackbox("hwgpt-s-tabular")["a100"]
    stored, place = table.objectives_evaluations, table.objectives_names.index(LATENCY)
    latencies = {float(x) for x in stored[:, :, 0, place].ravel()}
    assert len(results.trials) >= 9
    assert {np.float32(result[LATENCY]) for _, _, result in results.reported} <= latencies


def test_a_scheduler_that_leaves_a_table_is_told_the_cures(artifacts: Path) -> None:
    write_table(artifacts / "hwgpt-s-tabular", size=30)
    backend = BlackboxRepositoryBackend("hwgpt-s-tabular", ELAPSED, dataset="a100", seed=0)
    scheduler = BASELINES["RandomSearch"].make(backend.blackbox.configuration_space)
    with pytest.raises(InputError) as error:
        tune(backend, scheduler)
    for cure in ("'hwgpt-s' answers for all", "surrogate='KNeighborsRegressor'"):
        assert cure in str(error.value)


@pytest.mark.parametrize("own", [True, False])
def test_a_search_beyond_a_table_is_saved_and_loaded(
    own: bool, artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    write_table(artifacts / "hwgpt-s-tabular", size=30)
    if own:
        table = load_blackbox("hwgpt-s-tabular")["a100"]
        backend = UserBlackboxBackend(add_surrogate(table), ELAPSED, seed=0)
    else:
        backend = BlackboxRepositoryBackend(
            "hwgpt-s-tabular", ELAPSED, dataset="a100", seed=0, surrogate="KNeighborsRegressor"
        )
    scheduler = BASELINES["RandomSearch"].make(backend.blackbox.configuration_space)
    tuner = Tuner(
        backend,
        scheduler,
        StoppingCriterion(max_num_trials_finished=6),
        n_workers=2,
        callbacks=[SimulatorCallback()],
    )
    tuner.run()
    loaded = Tuner.load(str(tuner.tuner_path)).trial_backend
    config = scheduler.suggest().config
    if not own:  # when this fails, Syne Tune has mended it
        with pytest.raises(AttributeError, match="_add_surrogate_kwargs"):
            assert loaded.blackbox
        loaded._add_surrogate_kwargs, loaded._blackbox = {}, None
    np.testing.assert_array_equal(loaded.blackbox(config), backend.blackbox(config))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", names(fail=True))
def test_what_fails_upstream_still_fails_in_the_same_way(name: str) -> None:
    # When this test fails, Syne Tune has mended it: move the scheduler to those that work.
    baseline = BASELINES[name]
    need(baseline)
    if baseline.needs == "ninja" and shutil.which("c++") is None:
        pytest.skip("no compiler")
    assert baseline.fails is not None
    kind, message = baseline.fails
    backend = BlackboxRepositoryBackend("hwgpt-s", ELAPSED, dataset="rtx2080", seed=0)
    with pytest.raises(kind, match=message):
        tune(backend, baseline.make(backend.blackbox.configuration_space))
