"""What holds for every method: one test is one line of the contract, run on all eight."""

from __future__ import annotations

import copy
import importlib.util
import json
import math
import pickle
import random
from typing import Any

import dill
import numpy as np
import pytest
from helpers import SHORT_OPTIONS
from syne_tune.config_space import Domain, choice, loguniform, ordinal, randint, uniform
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import METHODS, make_scheduler

SPACE = {
    "shape": choice(["x", "y", "z"]),
    "flag": choice([True, False]),
    "count": randint(1, 8),
    "rate": loguniform(1e-3, 1.0),
    "width": ordinal([1, 2, 4, 8]),
    "share": uniform(0.0, 1.0),
    "constant": 7,
}
METRICS = ["error", "cost"]
TRIALS = {"RSBO": 12, "LSBO": 12, "EHVI": 12}
POINT = {"shape": "z", "flag": False, "count": 3, "rate": 0.1, "width": 4, "share": 1 / 3}


def metrics(config: dict[str, Any]) -> dict[str, float]:
    rate = math.log10(config["rate"])
    return {
        "error": rate**2 + config["share"] + (config["shape"] == "x") + 4 / config["width"],
        "cost": config["count"] + 2 * config["flag"] + (rate + 3) ** 2 + config["width"],
        "third": abs(config["share"] - 0.3) + config["count"] / 8,
        "fourth": config["width"] * config["share"],
    }


def canonical(config: dict[str, Any]) -> dict[str, Any]:
    """A network of ``depth`` layers: the widths of the others do not exist."""
    inactive = {f"w{i}": 1 for i in range(config["depth"], 3)}
    return {**config, **inactive}


LAYERS = {"depth": choice([1, 2, 3]), **{f"w{i}": choice([1, 2]) for i in range(3)}}  # 2 + 4 + 8


def layer_metrics(config: dict[str, Any]) -> dict[str, float]:
    widths = [config[f"w{i}"] for i in range(config["depth"])]
    return {"error": 1 / sum(widths), "cost": float(sum(w**2 for w in widths))}


@pytest.fixture(params=list(METHODS))
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    module = METHODS[name].path.split(":")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not there")
    for dependency in {"bayesian": ["botorch"], "optimizers": ["pymoo"]}.get(
        METHODS[name].extra or "", []
    ):
        pytest.importorskip(dependency)
    return name


class TestEveryMethod:
    @pytest.fixture(autouse=True)
    def _prepare(self, method: str, simulate: Any) -> None:
        self.method, self.simulate = method, simulate
        self.trials = TRIALS.get(method, 40)

    def make(self, space: Any = SPACE, names: Any = METRICS, seed: Any = 1, **options: Any) -> Any:
        options = {**SHORT_OPTIONS.get(self.method, {}), **options}
        return make_scheduler(self.method, space, names, random_seed=seed, **options)

    @pytest.mark.parametrize("workers", [1, 4])
    def test_same_seed_gives_same_run_and_another_seed_another(self, workers: int) -> None:
        first, second, other = (
            self.simulate(self.make(seed=seed), metrics, workers).run(self.trials)
            for seed in (1, 1, 2)
        )
        assert len(first.configs) >= self.trials
        assert first.configs == second.configs
        assert first.decisions == second.decisions
        assert first.configs != other.configs

    def test_configurations_are_valid_and_hold_the_constants(self) -> None:
        for config in self.simulate(self.make(), metrics, 2).run(self.trials).configs:
            assert list(config) == list(SPACE)
            assert config["constant"] == 7
            for name, domain in SPACE.items():
                if isinstance(domain, Domain):
                    assert domain.is_valid(config[name])
                    assert type(config[name]) is domain.value_type

    def test_points_to_evaluate_come_first_as_given(self) -> None:
        points = [POINT, {**POINT, "shape": "x", "constant": 7}, POINT]
        kept = copy.deepcopy(points)
        run = self.simulate(self.make(points_to_evaluate=points), metrics, 3).run(self.trials)
        assert run.configs[:2] == [{**POINT, "constant": 7}, {**POINT, "shape": "x", "constant": 7}]
        assert {**POINT, "constant": 7} not in run.configs[2:]  # the second mention is skipped
        assert points == kept

    @pytest.mark.parametrize(
        "point",
        [{"shape": "x"}, {**POINT, "shape": "w"}, {**POINT, "constant": 8}, {**POINT, "new": 1}],
    )
    def test_wrong_points_to_evaluate_are_refused(self, point: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            self.make(points_to_evaluate=[point])

    @pytest.mark.parametrize("workers", [1, 4])
    def test_tiny_space_is_exhausted(self, workers: int) -> None:
        space = {"depth": choice([1, 2, 3]), "w0": randint(1, 2), "w1": 1, "w2": 2}
        run = self.simulate(self.make(space), layer_metrics, workers).run(100)
        assert run.exhausted
        assert len(run.configs) == len({tuple(c.values()) for c in run.configs}) == 6
        single = self.make({"w0": 1})
        assert single.suggest().config == {"w0": 1}
        assert single.suggest() is None

    def test_no_architecture_twice_under_another_name(self) -> None:
        run = self.simulate(self.make(LAYERS, canonical_form=canonical), layer_metrics, 3).run(100)
        assert run.exhausted
        architectures = [tuple(canonical(config).values()) for config in run.configs]
        assert len(architectures) == len(set(architectures)) == 2 + 4 + 8

    def test_repeats_are_allowed_on_request(self) -> None:
        points = [{"depth": 1, "w0": 1, "w1": 1, "w2": 1}] * 2
        run = self.simulate(
            self.make(
                LAYERS, canonical_form=canonical, allow_repeats=True, points_to_evaluate=points
            ),
            layer_metrics,
            2,
        ).run(20)
        assert len(run.configs) >= 20
        assert run.configs[:2] == points

    @pytest.mark.parametrize("space", [{"w0": 1}, {"w0": choice([1])}, {"w0": uniform(0.5, 0.5)}])
    def test_repeats_of_all_that_there_is(self, space: Any) -> None:
        def layer(config: dict[str, Any]) -> dict[str, float]:
            return {"error": 1.0, "cost": 2.0}

        run = self.simulate(self.make(space, allow_repeats=True), layer, 2).run(15)
        assert len(run.configs) >= 15

    def test_maximising_is_minimising_the_negative(self) -> None:
        def negated(config: dict[str, Any]) -> dict[str, float]:
            values = metrics(config)
            return {**values, "cost": -values["cost"]}

        scheduler = self.make(do_minimize=[True, False])
        assert scheduler.metric_mode() == ["min", "max"]
        assert self.make(do_minimize=False).metric_mode() == "max"
        mixed = self.simulate(scheduler, negated, 2).run(self.trials)
        plain = self.simulate(self.make(), metrics, 2).run(self.trials)
        assert mixed.configs == plain.configs

    @pytest.mark.parametrize("number", [3, 4])
    def test_three_and_four_objectives(self, number: int) -> None:
        names = ["error", "cost", "third", "fourth"][:number]
        run = self.simulate(self.make(names=names), metrics, 2).run(self.trials)
        assert run.finished == self.trials

    def test_failures_and_nan_poison_nothing(self) -> None:
        bad: list[dict[str, Any]] = []

        def flaky(config: dict[str, Any]) -> dict[str, Any] | None:
            kind = int(config["share"] * 1000) % 5
            if kind < 3:
                bad.append(config)
            return {
                0: None,
                1: {"error": math.nan, "cost": 1.0},
                2: {"error": None, "cost": math.inf},
            }.get(kind, metrics(config))

        run = self.simulate(self.make(), flaky, 4).run(self.trials)
        assert run.finished == self.trials
        assert bad
        searcher = run.scheduler.searcher
        assert np.isfinite(searcher.observations.Y).all()
        assert len(searcher.pending) == len(run.configs) - run.finished

    def test_goes_on_when_every_trial_fails(self) -> None:
        run = self.simulate(self.make(), lambda config: None, 3).run(self.trials)
        assert run.finished == self.trials

    def test_result_reported_twice_counts_once(self) -> None:
        once, twice = (
            self.simulate(self.make(), metrics, 3, repeat_reports=repeat).run(self.trials)
            for repeat in (False, True)
        )
        assert once.configs == twice.configs
        assert len(twice.scheduler.searcher.observations) <= twice.finished

    def test_equal_results_and_a_constant_objective(self) -> None:
        run = self.simulate(self.make(), lambda config: {"error": 1.0, "cost": 2.0}, 2)
        assert run.run(self.trials).finished == self.trials

    def test_global_random_state_is_left_alone(self) -> None:
        before = pickle.dumps([np.random.get_state(), random.getstate()])
        self.simulate(self.make(), metrics, 2).run(self.trials)
        self.make(seed=None).suggest()
        assert pickle.dumps([np.random.get_state(), random.getstate()]) == before

    @pytest.mark.parametrize(
        ("library", "share"),
        [
            (pickle, 0.1),
            (dill, 0.7),
            pytest.param(pickle, 0.7, marks=pytest.mark.slow),
            pytest.param(dill, 0.1, marks=pytest.mark.slow),
        ],
    )
    def test_resumes_exactly_from_a_pickle(self, library: Any, share: float) -> None:
        run = self.simulate(self.make(), metrics, 3).run(int(share * self.trials))
        resumed = run.fork(library.loads(library.dumps(run.scheduler)))
        assert run.run(self.trials).configs == resumed.run(self.trials).configs
        assert run.decisions == resumed.decisions

    def test_metadata_is_json(self) -> None:
        scheduler = self.simulate(self.make(), metrics, 2).run(8).scheduler
        metadata = json.loads(json.dumps(scheduler.metadata()))
        assert metadata["metric_names"] == METRICS
        assert (
            metadata["scheduler_name"] == type(scheduler).__name__
        )  # as Syne Tune's own tests ask
        assert metadata["method_name"] == self.method

    def test_ask_and_tell_without_announcing_trials(self) -> None:
        loop = AskTellScheduler(self.make())
        for _ in range(10):
            trial = loop.ask()
            loop.tell(trial, {**metrics(trial.config), "r": 3})
        searcher = loop.base_scheduler.searcher
        assert len(searcher.observations) == 10
        assert len(searcher.pending) == 0

    def test_missing_metric_is_an_error_that_names_it(self) -> None:
        run = self.simulate(self.make(), lambda config: {"error": 1.0})
        with pytest.raises(InputError, match="cost"):
            run.run(1)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"names": ["error"]},
            {"names": ["error", "error"]},
            {"names": "error"},
            {"do_minimize": [True]},
            {"no_such_option": 1},
        ],
    )
    def test_wrong_arguments_are_refused(self, arguments: dict[str, Any]) -> None:
        with pytest.raises(InputError):
            self.make(**arguments)
