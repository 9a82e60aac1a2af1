"""Every method under Syne Tune's own Tuner: simulated, and with real processes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend, PythonBackend
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository import UserBlackboxBackend
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.config_space import choice, randint, uniform
from syne_tune.experiments import load_experiment

from hwgpt_blackbox.optimizers import METHODS, make_scheduler

SPACE = {"width": choice([1, 2, 4]), "depth": randint(1, 9), "share": uniform(0, 1)}
OPTIONS: dict[str, dict[str, Any]] = {
    "RE": {"population_size": 5},
    "NSGA2": {"population_size": 4},
    "LS": {"initial": 3},
    "MOASHA": {"time_attr": "epoch", "max_t": 3},
}


@pytest.fixture(autouse=True)
def _results_in_a_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))


class Network(Blackbox):  # type: ignore[misc]
    """Two objectives over three epochs, with elapsed time."""

    def __init__(self) -> None:
        super().__init__(SPACE, {"epoch": randint(1, 3)}, ["error", "latency", "elapsed"])

    @property
    def fidelity_values(self) -> Any:
        return np.arange(1, 4)

    def _objective_function(
        self, configuration: Any, fidelity: Any = None, seed: Any = None
    ) -> Any:
        size = configuration["width"] * configuration["depth"]
        return np.array(
            [[1 / size + configuration["share"] / t, size, t * size] for t in (1.0, 2.0, 3.0)]
        )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("workers", [1, 4])
def test_simulated(method: str, workers: int, tmp_path: Path) -> None:
    if importlib.util.find_spec(METHODS[method].path.split(":")[0]) is None:
        pytest.skip(f"{method} is not there")
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(Network(), elapsed_time_attr="elapsed"),
        scheduler=make_scheduler(
            method, SPACE, ["error", "latency"], random_seed=0, **OPTIONS.get(method, {})
        ),
        stop_criterion=StoppingCriterion(max_num_trials_finished=20),
        n_workers=workers,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
        tuner_name="simulated",
    )
    tuner.run()
    results = load_experiment(tuner.name).results
    assert results.trial_id.nunique() >= 20
    assert len(results.groupby("trial_id").first()[["config_width", "config_share"]]) >= 20
    assert Tuner.load(str(tuner.tuner_path)).scheduler.suggest() is not None


def train(width: int, depth: int, share: float) -> None:
    """A trial of the Python backend; imports must be inside."""
    from syne_tune import Reporter

    Reporter()(error=share / width, latency=float(depth), epoch=1)


def test_python_backend() -> None:
    tuner = Tuner(
        trial_backend=PythonBackend(train, config_space=SPACE, rotate_gpus=False),
        scheduler=make_scheduler("RE", SPACE, ["error", "latency"], random_seed=0),
        stop_criterion=StoppingCriterion(max_num_trials_completed=2),
        n_workers=2,
        sleep_time=0.1,
        tuner_name="python",
    )
    tuner.run()
    assert len(tuner.scheduler.searcher.observations) >= 2


def test_local_backend_survives_a_failing_trial(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import argparse\nfrom syne_tune import Reporter\n"
        "parser = argparse.ArgumentParser()\n"
        "for name in ('width', 'depth', 'share'): parser.add_argument('--' + name, type=float)\n"
        "a, _ = parser.parse_known_args()\n"
        "assert a.width != 4\n"
        "Reporter()(error=a.share, latency=a.depth)\n"
    )
    point = {"width": 4, "depth": 1, "share": 0.1}
    tuner = Tuner(
        trial_backend=LocalBackend(str(script), rotate_gpus=False),
        scheduler=make_scheduler(
            "LS",
            SPACE,
            ["error", "latency"],
            random_seed=0,
            points_to_evaluate=[point, {**point, "width": 1}],
        ),
        stop_criterion=StoppingCriterion(max_num_trials_finished=2),
        n_workers=2,
        max_failures=10,
        sleep_time=0.1,
        tuner_name="local",
    )
    tuner.run()
    assert tuner.tuning_status.num_trials_failed >= 1
    assert 0 not in tuner.scheduler.searcher.observations.trial_ids
    assert 1 in tuner.scheduler.searcher.observations.trial_ids
