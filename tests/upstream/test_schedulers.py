"""Syne Tune's life cycle of a scheduler, for our eight methods on our spaces."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import dill
import numpy as np
import pytest
from helpers import embedded
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.backend.trial_status import Trial
from syne_tune.blackbox_repository import BlackboxRepositoryBackend
from syne_tune.config_space import config_space_from_json_dict
from syne_tune.optimizer.scheduler import SchedulerDecision
from upstream.runs import ELAPSED, LATENCY, PERPLEXITY, check_run, tune

from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.optimizers import METHODS, make_scheduler

TWO = [PERPLEXITY, LATENCY]
OPTIONS: dict[str, dict[str, Any]] = {
    "RE": {"population_size": 4},
    "NSGA2": {"population_size": 4},
    "LS": {"initial": 3},
    "MOASHA": {"time_attr": "repeats", "max_t": 10},
}
DECISIONS = {SchedulerDecision.CONTINUE, SchedulerDecision.PAUSE, SchedulerDecision.STOP}
every_method = pytest.mark.parametrize("method", METHODS)


def blackbox() -> HWGPTBlackbox:
    return HWGPTBlackbox(embedded("s"), "rtx2080", fidelity="repeats")


def scheduler_of(
    method: str, box: Any, space: Any = None, options: dict[str, Any] | None = None
) -> Any:
    for extra, module in {"bayesian": "botorch", "optimizers": "pymoo"}.items():
        if METHODS[method].extra == extra and importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    return make_scheduler(
        method,
        space or box.configuration_space,
        TWO,
        random_seed=0,
        canonical_form=box.canonical_form,
        **(options or OPTIONS.get(method, {})),
    )


@pytest.mark.filterwarnings("ignore")  # of BoTorch, on so few trials
@every_method
def test_constants_of_the_space_reach_the_trials(method: str) -> None:
    """Also one that fixes a hyperparameter, and Syne Tune's attribute of the largest fidelity."""
    box = blackbox()
    backend = BlackboxRepositoryBackend(
        "hwgpt-s-repeats", ELAPSED, dataset="rtx2080", max_resource_attr="most", seed=0
    )
    space = box.configuration_space_with_max_resource_attr("most")
    space |= {"bias": True, "note": ["any", "constant"]}
    options = {**OPTIONS, "RSBO": {"initial": 3}, "LSBO": {"initial": 3}, "EHVI": {"initial": 3}}
    scheduler = scheduler_of(method, box, space, options.get(method, {}))
    callback = SimulatorCallback()
    stop = StoppingCriterion(max_num_trials_finished=8)
    Tuner(backend, scheduler, stop, n_workers=2, sleep_time=0, callbacks=[callback]).run()
    constants = {"most": 10, "bias": True, "note": ["any", "constant"]}
    for _ in range(3):
        configuration = scheduler.suggest().config
        assert {name: configuration[name] for name in constants} == constants
    assert set(callback.dataframe()["config_bias"]) == {True}


@pytest.mark.filterwarnings("ignore")  # of BoTorch, on so few trials
@every_method
def test_the_life_of_a_scheduler(method: str, tmp_path: Path) -> None:
    box = blackbox()
    scheduler = scheduler_of(method, box)
    assert scheduler.metric_names() == TWO
    assert scheduler.metric_mode() == "min"
    metadata = json.loads(json.dumps(scheduler.metadata()))
    assert metadata["metric_names"] == TWO
    assert config_space_from_json_dict(json.loads(metadata["config_space"])) == (
        box.configuration_space
    )

    trials = []
    for number in range(6):
        suggestion = scheduler.suggest()
        assert suggestion.spawn_new_trial_id
        assert list(suggestion.config) == list(box.configuration_space)
        trials.append(Trial(number, suggestion.config, creation_time=None))
        scheduler.on_trial_add(trials[-1])
    results = {t.trial_id: box(t.config, seed=0) for t in trials}
    names = box.objectives_names
    going_on = []
    for trial in trials:
        for level in range(1, 11):
            values = results[trial.trial_id][level - 1]
            result = {**dict(zip(names, values.tolist(), strict=True)), "repeats": level}
            decision = scheduler.on_trial_result(trial, result)
            assert decision in DECISIONS
            if decision != SchedulerDecision.CONTINUE and level < 10:
                break
        else:
            going_on.append((trial, result))
    assert going_on
    scheduler.on_trial_error(trials[0])
    scheduler.on_trial_remove(trials[1])
    for trial, result in going_on:
        if trial.trial_id > 1:
            scheduler.on_trial_complete(trial, result)

    with (tmp_path / "scheduler.dill").open("wb") as file:
        dill.dump(scheduler, file)
    with (tmp_path / "scheduler.dill").open("rb") as file:
        again = dill.load(file)
    seen = [box.canonical_form(trial.config) for trial in trials]
    for _ in range(2):  # both go on alike, with architectures that nobody has seen
        one, two = scheduler.suggest().config, again.suggest().config
        assert one == two
        assert box.canonical_form(one) not in seen
        seen.append(box.canonical_form(one))


@pytest.mark.filterwarnings("ignore")
@every_method
def test_under_syne_tunes_backend(method: str) -> None:
    np.random.seed(0)
    backend = BlackboxRepositoryBackend("hwgpt-s-repeats", ELAPSED, dataset="rtx2080", seed=2)
    scheduler = scheduler_of(method, backend.blackbox)
    check_run(tune(backend, scheduler, workers=3), backend.blackbox, seed=2)


def test_a_tuner_is_saved_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    backend = BlackboxRepositoryBackend("hwgpt-s", ELAPSED, dataset="rtx2080", seed=2)
    tuner = Tuner(
        backend,
        scheduler_of("RE", backend.blackbox),
        StoppingCriterion(max_num_trials_finished=8),
        n_workers=2,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        tuner_name="saved",
    )
    tuner.run()
    loaded = Tuner.load(str(tuner.tuner_path))
    assert loaded.scheduler.suggest().config == tuner.scheduler.suggest().config
    config = backend.blackbox.encoding.decode_one([0] * 27)
    again = loaded.trial_backend.blackbox
    np.testing.assert_array_equal(again(config, seed=1), backend.blackbox(config, seed=1))
