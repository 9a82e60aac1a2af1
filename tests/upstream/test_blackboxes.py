"""What Syne Tune's own tests ask of blackboxes, asked of ours: storing, wrapping, backends."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import embedded, write_table
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository import UserBlackboxBackend, add_surrogate, load_blackbox
from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular, deserialize, serialize
from syne_tune.config_space import config_space_from_json_dict, config_space_to_json_dict
from syne_tune.constants import ST_TUNER_TIME
from syne_tune.optimizer.baselines import ASHA, RandomSearch
from syne_tune.optimizer.scheduler import TrialScheduler, TrialSuggestion
from syne_tune.optimizer.schedulers.transfer_learning.bounding_box import BoundingBox
from syne_tune.optimizer.schedulers.transfer_learning.transfer_learning_task_evaluation import (
    TransferLearningTaskEvaluations,
)
from upstream.runs import ELAPSED, LATENCY, tune

from hwgpt_blackbox import SimulatedBackend
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.blackboxes.table_blackbox import blackboxes_of
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.errors import DataError, MissingArtifactError

BACKENDS = pytest.mark.parametrize("kind", [UserBlackboxBackend, SimulatedBackend])


def surrogate(fidelity: str = "single") -> HWGPTBlackbox:
    return HWGPTBlackbox(embedded("s"), "rtx2080", fidelity=fidelity)


@pytest.fixture
def table(artifacts: Path) -> Any:
    """The blackbox of one device, from a table of 12 architectures and 6 repeats."""
    write_table(artifacts / "hwgpt-s-tabular")
    return load_blackbox("hwgpt-s-tabular")["rtx2080"]


# -- storing -----------------------------------------------------------------------------------


def test_our_tables_go_through_syne_tunes_serialisation(table: Any, tmp_path: Path) -> None:
    boxes = blackboxes_of(table.table)
    serialize({device: boxes[device] for device in DEVICES}, str(tmp_path / "copy"))
    for device, copy in deserialize(str(tmp_path / "copy")).items():
        assert type(copy) is BlackboxTabular
        assert copy.objectives_names == boxes[device].objectives_names
        for config in copy.all_configurations()[::4]:
            for seed in range(copy.num_seeds):
                np.testing.assert_array_equal(
                    copy(config, seed=seed), boxes[device](config, seed=seed)
                )


def test_configuration_spaces_go_through_json() -> None:
    for space in ("s", "m", "l"):
        domains = HWGPTBlackbox(embedded(space), "a100").configuration_space
        again = config_space_from_json_dict(config_space_to_json_dict(domains))
        assert again == domains
        assert list(again) == list(domains)


# -- saving a tuner ----------------------------------------------------------------------------


class Rows(TrialScheduler):
    """Suggests rows of a table, in order, over and over."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__(random_seed=0)
        self.rows = rows

    def suggest(self) -> TrialSuggestion:
        self.rows.append(self.rows.pop(0))
        return TrialSuggestion.start_suggestion(dict(self.rows[-1]))

    def metric_names(self) -> list[str]:
        return [LATENCY]

    def metric_mode(self) -> str:
        return "min"


def saved(box: Any, kind: Any, folder: Path, **options: Any) -> Tuner:
    """A tuner of Syne Tune's defaults, which saves itself, after its run."""
    tuner = Tuner(
        kind(box, ELAPSED, seed=1),
        Rows(box.all_configurations()),
        StoppingCriterion(max_num_trials_finished=8),
        n_workers=2,
        callbacks=[SimulatorCallback()],
        **options,
    )
    tuner.run()
    (file,) = folder.glob("**/tuner.dill")
    assert file.stat().st_size < 200_000
    return tuner


@BACKENDS
def test_a_tuner_with_a_table_is_saved_and_loaded(
    kind: Any, table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # "cannot pickle 'mmap.mmap' object"
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))
    names = {LATENCY: LATENCY, ELAPSED: ELAPSED}
    for box in (table, table.rename_objectives(names)):
        tuner = saved(box, kind, tmp_path)
        again = Tuner.load(str(tuner.tuner_path)).trial_backend.blackbox
        assert again.objectives_names == box.objectives_names
        assert again.all_configurations() == box.all_configurations()
        for config in box.all_configurations():
            np.testing.assert_array_equal(again(config, seed=2), box(config, seed=2))
        np.testing.assert_array_equal(
            again.expected_values(table.table.matrix), box.expected_values(table.table.matrix)
        )
        np.testing.assert_array_equal(again.objectives_evaluations, box.objectives_evaluations)
        shutil.rmtree(tuner.tuner_path)


def test_blackboxes_of_a_table_are_pickled_as_its_folder(table: Any, artifacts: Path) -> None:
    boxes = load_blackbox("hwgpt-s-tabular")
    for box in boxes.values():  # arrays that it keeps do not count
        box.expected_values(table.table.matrix)
        assert len(box.objectives_evaluations) == 12
    pickled = pickle.dumps(boxes)
    assert len(pickled) < 100_000
    again = pickle.loads(pickled)
    assert {id(box.table) for box in again.values()} == {id(again["all"].table)}
    folder = artifacts / "hwgpt-s-tabular"
    shutil.rmtree(folder)
    with pytest.raises(MissingArtifactError, match=r"was in .*hwgpt-s-tabular: put it back"):
        pickle.loads(pickled)
    write_table(folder, seed=5)
    with pytest.raises(DataError, match="holds another table than when"):
        pickle.loads(pickled)
    shutil.rmtree(folder)
    write_table(folder)
    assert pickle.loads(pickled)["a100"](3, seed=1).tolist() == boxes["a100"](3, seed=1).tolist()


# -- transfer learning -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hwgpt-s", "hwgpt-s-repeats", "hwgpt-s-tabular"])
def test_transfer_learning_reads_what_blackboxes_hold(name: str, artifacts: Path) -> None:
    # As in Syne Tune's examples, which read .hyperparameters: ours had none.
    write_table(artifacts / "hwgpt-s-tabular", size=30)
    boxes = load_blackbox(name)
    evaluations = {
        device: TransferLearningTaskEvaluations(
            configuration_space=box.configuration_space,
            hyperparameters=box.hyperparameters,
            objectives_evaluations=box.objectives_evaluations,
            objectives_names=box.objectives_names,
        )
        for device, box in boxes.items()
        if device in ("a100", "v100")
    }
    scheduler = BoundingBox(
        lambda space, metric, do_minimize, seed: RandomSearch(
            space, metrics=[metric], do_minimize=do_minimize, random_seed=seed
        ),
        boxes["rtx2080"].configuration_space,
        LATENCY,
        evaluations,
        num_hyperparameters_per_task=3,
        random_seed=0,
    )
    box = load_blackbox("hwgpt-s")["rtx2080"]
    found = box.expected_values([scheduler.suggest().config for _ in range(30)])[:, 2]
    if "tabular" not in name:  # whose values are random
        drawn = box.expected_values(box.encoding.sample(30, np.random.default_rng(1)))[:, 2]
        assert found.mean() < drawn.mean()


def test_the_sample_of_a_surrogate_is_fixed_and_has_its_expected_values() -> None:
    for fidelity, levels in (("single", 1), ("repeats", 10)):
        box = surrogate(fidelity)
        frame, values = box.hyperparameters, box.objectives_evaluations
        assert list(frame) == list(box.configuration_space)
        assert values.shape == (1000, 1, levels, len(box.objectives_names))
        pd.testing.assert_frame_equal(frame, surrogate().hyperparameters)
        configs = frame.to_dict("records")
        np.testing.assert_array_equal(values[:, 0, -1], box.expected_values(configs))
        x, y = box.hyperparameter_objectives_values()
        pd.testing.assert_frame_equal(
            x.iloc[-1000:].drop(columns="repeats"), frame.set_axis(x.index[-1000:])
        )
        np.testing.assert_array_equal(y.to_numpy()[:1000], values[:, 0, 0])


# -- wrapping ----------------------------------------------------------------------------------


def test_a_nearest_neighbour_answers_with_the_rows_of_its_table(artifacts: Path) -> None:
    # Of one repeat: Syne Tune's ``separate_seeds`` counts the levels of the fidelity as seeds.
    write_table(artifacts / "hwgpt-s-tabular", repeats=1)
    table = load_blackbox("hwgpt-s-tabular")["rtx2080"]
    wrapped = add_surrogate(table)
    assert wrapped.objectives_names == table.objectives_names
    # With a level asked for, its curves of a single level come out as one objective.
    by_level = add_surrogate(table, predict_curves=False)
    for config in table.all_configurations():
        np.testing.assert_allclose(wrapped.objective_function(config), table(config), rtol=1e-6)
        found = by_level.objective_function(config, {"repeats": 1})
        assert found == pytest.approx(table(config, 1), rel=1e-6)


def models() -> list[Any]:
    from sklearn.linear_model import LinearRegression
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor

    return [
        LinearRegression(),
        KNeighborsRegressor(n_neighbors=3),
        MLPRegressor(hidden_layer_sizes=(4,), max_iter=5, random_state=0),
    ]


@pytest.mark.filterwarnings("ignore")  # too few iterations for the network
@pytest.mark.parametrize("model", models(), ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("predict_curves", [True, False])
def test_any_regressor_wraps_a_table(model: Any, predict_curves: bool, table: Any) -> None:
    wrapped = add_surrogate(table, surrogate=model, predict_curves=predict_curves)
    box = surrogate()
    for config in box.encoding.decode(box.encoding.sample(3, np.random.default_rng(0))):
        values = wrapped.objective_function(config)  # of an architecture that is in no row
        assert values.shape == (1, len(table.objectives_names))
        assert np.isfinite(values).all()


def test_a_linear_model_of_ours_is_learnt_from_the_sample(table: Any) -> None:
    from sklearn.linear_model import Ridge

    box = surrogate("repeats")
    wrapped = add_surrogate(
        box, surrogate=Ridge(1e-6), predict_curves=True, fit_differences=[ELAPSED]
    )
    matrix = box.encoding.sample(20, np.random.default_rng(1))
    expected = box.expected_values(matrix)
    for i, config in enumerate(box.encoding.decode(matrix)):
        curve = wrapped.objective_function(config)
        assert curve.shape == (10, len(box.objectives_names))
        assert (np.diff(curve[:, -1]) > 0).all()
        np.testing.assert_allclose(curve[-1], expected[i], rtol=0.35)


# -- backends ----------------------------------------------------------------------------------


@BACKENDS
def test_trials_that_pause_go_on_where_they_were(kind: Any) -> None:
    box = surrogate("repeats")
    backend = kind(box, ELAPSED, seed=4)
    configs = box.encoding.decode(box.encoding.sample(2, np.random.default_rng(0)))
    backend.time_keeper.start_of_time()
    for config in configs:
        backend.start_trial(config)
    reported: dict[int, list[dict[str, Any]]] = {0: [], 1: []}
    pause_at = {0: 3, 1: 6}

    def collect(until: dict[int, int]) -> None:
        while any(not r or r[-1]["repeats"] < until[t] for t, r in reported.items()):
            backend.time_keeper.advance(5.0)
            for trial_id, result in backend.fetch_status_results([0, 1])[1]:
                if result["repeats"] <= until[trial_id]:
                    reported[trial_id].append(result)

    collect(pause_at)
    for trial_id, results in reported.items():
        backend.pause_trial(trial_id, results[-1])
    for trial_id in reported:
        backend.resume_trial(trial_id)
    collect({0: 10, 1: 10})
    for trial_id, results in reported.items():
        assert [r["repeats"] for r in results] == list(range(1, 11))
        times = [r[ST_TUNER_TIME] for r in results]
        assert times == sorted(times)
        repeat = backend.repeat_of(trial_id) if kind is SimulatedBackend else 4
        for result in results:
            assert result[LATENCY] == box(configs[trial_id], result["repeats"], repeat)[LATENCY]


@BACKENDS
@pytest.mark.parametrize("workers", [1, 3])
def test_time_goes_on_and_is_the_time_of_the_evaluations(kind: Any, workers: int) -> None:
    box = surrogate()
    scheduler = RandomSearch(box.configuration_space, metrics=[LATENCY], random_seed=0)
    results = tune(kind(box, ELAPSED, seed=0), scheduler, workers=workers)
    times = [result[ST_TUNER_TIME] for _, _, result in results.reported]
    if kind is SimulatedBackend:  # Syne Tune's hands out what came between two polls by trial
        assert times == sorted(times)
    busy = sum(result[ELAPSED] for _, _, result in results.reported)
    assert max(times) * workers >= busy  # no worker does two things at a time
    for _, config, result in results.reported:
        assert result[ELAPSED] == box.expected_values([config])[0, -1]
    if kind is SimulatedBackend and workers == 1:
        assert times[-1] == pytest.approx(busy, rel=1e-12)


CRITERIA: dict[str, tuple[dict[str, Any], Any]] = {
    "started": ({"max_num_trials_started": 7}, lambda r: len(r.trials) <= 8),
    "completed": ({"max_num_trials_completed": 3}, lambda r: len(r.ended) > 3),
    "finished": ({"max_num_trials_finished": 7}, lambda r: 7 < len(r.ended) <= 7 + 4),
    "evaluations": ({"max_num_evaluations": 20}, lambda r: 20 < len(r.reported) <= 20 + 40),
    "simulated time": (
        {"max_wallclock_time": 300.0},
        lambda r: 200 < r.reported[-1][2][ST_TUNER_TIME] < 400,
    ),
    "a value": (
        {"max_metric_value": {ELAPSED: 5.0}, "max_num_trials_started": 300},
        lambda r: 0 < sum(result[ELAPSED] > 5 for _, _, result in r.reported) <= 40,
    ),
}


@BACKENDS
@pytest.mark.parametrize(("criterion", "holds"), CRITERIA.values(), ids=CRITERIA)
def test_stopping_criteria_count_simulated_time_and_trials(
    kind: Any, criterion: dict[str, Any], holds: Any
) -> None:
    box = surrogate("repeats")
    scheduler = ASHA(box.configuration_space, LATENCY, time_attr="repeats", max_t=10, random_seed=0)
    assert holds(tune(kind(box, ELAPSED, seed=0), scheduler, **criterion))
