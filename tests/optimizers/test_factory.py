"""The table of methods: names, lazy imports, extras."""

from __future__ import annotations

import datetime
import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import choice
from syne_tune.optimizer.schedulers.ask_tell_scheduler import AskTellScheduler

from hwgpt_blackbox import optimizers
from hwgpt_blackbox.errors import InputError, MissingExtraError
from hwgpt_blackbox.optimizers import METHODS, Method, MultiObjectiveSearcher, make_scheduler
from hwgpt_blackbox.optimizers._denoising import DenoisingSearcher
from hwgpt_blackbox.optimizers._scheduler import read_metrics

SPACE = {"x": choice(list(range(50)))}
METRICS = ["a", "b"]


class Failures(MultiObjectiveSearcher):
    """Random search that notes what failed."""

    def __init__(self, config_space: dict[str, Any], **common: Any) -> None:
        super().__init__(config_space, **common)
        self.failures: list[Any] = []

    def _propose(self) -> None:
        return None

    def _failed(self, codes: Any) -> None:
        self.failures.append(self.space.decode(codes))


def trial(trial_id: int, config: dict[str, Any]) -> Trial:
    return Trial(trial_id, config, datetime.datetime(2024, 1, 1))


def suggest(scheduler: Any, trial_id: int) -> Trial:
    return trial(trial_id, scheduler.suggest().config)


def test_the_eight_methods_of_the_paper() -> None:
    assert list(METHODS) == ["RS", "RE", "NSGA2", "LS", "RSBO", "LSBO", "EHVI", "MOASHA"]
    assert set(METHODS) < set(optimizers.__all__)
    assert optimizers.RS is METHODS["RS"].load()


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'SMAC'.*EHVI"):
        make_scheduler("SMAC", {}, ["a", "b"], random_seed=0)
    with pytest.raises(InputError, match="did you mean 'NSGA2'"):
        make_scheduler("nsga2", {}, ["a", "b"], random_seed=0)
    with pytest.raises(AttributeError, match="SMAC"):
        optimizers.SMAC  # noqa: B018


def test_missing_dependency_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymoo", None)
    for name in [name for name in sys.modules if name.startswith("pymoo.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "hwgpt_blackbox.optimizers._nsga2", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'hwgpt-blackbox\[optimizers\]'"):
        make_scheduler("NSGA2", {}, ["a", "b"], random_seed=0)


WITHOUT_TORCH = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "botorch", "gpytorch", "scipy"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
from syne_tune.config_space import choice
from hwgpt_blackbox.optimizers import make_scheduler
space = {f"width_{i}": choice([1, 2, 3]) for i in range(5)}
for name in ("RSBO", "LSBO", "EHVI"):
    for objectives in (2, 3):
        metrics = list("abc"[:objectives])
        search = make_scheduler(name, space, metrics, random_seed=0, initial=3).searcher
        for trial in range(6):
            config = search.suggest()
            total = sum(config.values())
            search.on_trial_complete(trial, config, [total, -total, config["width_0"]][:objectives])
print(sorted({"torch", "scipy"} & set(sys.modules)))
"""


def test_models_of_layers_need_neither_torch_nor_scipy() -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(("space", "kernel"), [(SPACE, "plain"), ({"x": choice([1, 2])}, "auto")])
def test_the_plain_kernel_names_its_extra(
    space: Any, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hwgpt-blackbox\[bayesian\]'"):
        make_scheduler("EHVI", space, ["a", "b"], random_seed=0, kernel=kernel)


def test_a_broken_module_of_ours_is_not_blamed_on_an_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="_absent") as caught:
        Method("hwgpt_blackbox.optimizers._absent:X", extra="bayesian").load()
    assert not isinstance(caught.value, MissingExtraError)


def test_importing_the_methods_imports_neither_torch_nor_pymoo() -> None:
    code = (
        "import sys, hwgpt_blackbox.optimizers as o\n"
        "o.RS, o.RE, o.LS, o.MOASHA, o.RSBO, o.LSBO, o.EHVI\n"
        "print([m for m in ('torch', 'botorch', 'pymoo') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", METHODS)
def test_the_table_says_which_methods_denoise(name: str) -> None:
    """Reports name methods by it."""
    if METHODS[name].extra is not None:
        pytest.importorskip("pymoo")
    default = inspect.signature(DenoisingSearcher).parameters["denoise"].default
    found = issubclass(METHODS[name].load(), DenoisingSearcher) and default
    assert METHODS[name].denoises == found


def test_metadata_tell_whether_a_method_denoises() -> None:
    """Reports name the runs of a tuner by it."""
    for options, denoise in (({}, True), ({"denoise": False}, False)):
        scheduler = make_scheduler("RE", SPACE, METRICS, random_seed=0, **options)
        assert scheduler.metadata()["denoise"] is denoise
    assert make_scheduler("RS", SPACE, METRICS, random_seed=0).metadata()["denoise"] is False


def test_options_of_a_base_class_are_options_of_the_method() -> None:
    pytest.importorskip("botorch")
    space, metrics = {"x": choice([1, 2])}, ["a", "b"]
    scheduler = make_scheduler("RSBO", space, metrics, random_seed=0, rho=0.1, kernel="plain")
    assert scheduler.searcher.rho == 0.1
    with pytest.raises(InputError, match=r"\['size'\].*rho.*initial.*kernel"):
        make_scheduler("RSBO", space, metrics, random_seed=0, size=3)


def test_a_misspelt_metric_is_found_at_once_where_the_metrics_are_known() -> None:
    known = ["metric_perplexity", "metric_latency", "metric_energy"]
    with pytest.raises(InputError, match=r"'metric_latncy'; known: .*mean 'metric_latency'"):
        make_scheduler(
            "RS",
            SPACE,
            ["metric_perplexity", "metric_latncy"],
            random_seed=0,
            known_metrics=known,
        )
    with pytest.raises(InputError, match="expected a list of two or more different names"):
        make_scheduler("RS", SPACE, "metric_energy", random_seed=0, known_metrics=known)
    make_scheduler("RS", SPACE, known, random_seed=0, known_metrics=known)


@pytest.mark.parametrize("method", ["RS", "MOASHA"])
def test_a_misspelt_metric_is_found_with_the_first_result(method: str) -> None:
    scheduler = make_scheduler(method, SPACE, ["error", "cots"], random_seed=0)
    first = suggest(scheduler, 0)
    scheduler.on_trial_add(first)
    result = {"error": 1.0, "cost": 2.0, "training_iteration": 1}
    with pytest.raises(InputError, match=r"'cots'; known: cost, error.*did you mean 'cost'"):
        scheduler.on_trial_complete(first, result)


@pytest.mark.parametrize(
    "value", [None, "0.5", b"0.5", True, np.True_, 10**400, [1.0], {}, 1j, "text"]
)
def test_metrics_that_are_no_numbers_are_nan(value: Any) -> None:
    values = read_metrics({"a": value, "b": np.float32(2)}, METRICS, np.array([1.0, -1.0]))
    np.testing.assert_array_equal(values, [np.nan, -2.0])


@pytest.mark.parametrize("method", ["RS", "MOASHA"])
def test_a_trial_that_fails_unannounced_is_pending_no_more(method: str) -> None:
    loop = AskTellScheduler(make_scheduler(method, SPACE, METRICS, random_seed=0))
    searcher = loop.base_scheduler.searcher
    first, second = loop.ask(), loop.ask()
    loop.base_scheduler.on_trial_error(first)
    loop.base_scheduler.on_trial_error(first)
    assert [searcher.space.decode(codes) for codes in searcher.pending] == [second.config]
    loop.base_scheduler.on_trial_complete(first, {"a": 1.0, "b": 1.0})  # too late
    assert len(searcher.observations) == 0


def test_a_trial_that_fails_unannounced_teaches_its_failure_once() -> None:
    searcher = Failures(SPACE, random_seed=0)
    scheduler = optimizers.MultiObjectiveScheduler(SPACE, METRICS, searcher)
    failed = suggest(scheduler, 0)
    for _ in range(2):
        scheduler.on_trial_error(failed)
    scheduler.on_trial_error(trial(1, {"x": 49}))  # nobody suggested it
    assert searcher.failures == [failed.config, {"x": 49}]


def test_a_suggestion_under_the_id_of_a_trial_that_is_over_is_pending_no_more() -> None:
    scheduler = make_scheduler("RS", SPACE, METRICS, random_seed=0)
    scheduler.on_trial_error(trial(7, {"x": 0}))
    scheduler.on_trial_add(suggest(scheduler, 7))
    assert len(scheduler.searcher.pending) == 0


def test_a_trial_announced_twice_is_one() -> None:
    scheduler = make_scheduler("RS", {"x": 1}, METRICS, random_seed=0, allow_repeats=True)
    running, other = suggest(scheduler, 0), suggest(scheduler, 1)
    for announced in (running, running):
        scheduler.on_trial_add(announced)
    assert len(scheduler.searcher.pending) == 2
    scheduler.on_trial_add(other)
    assert len(scheduler.searcher.pending) == 2


def test_the_canonical_form_may_write_into_its_argument() -> None:
    def careless(config: dict[str, Any]) -> dict[str, Any]:
        config["x"] = -1
        return config

    points = [{"x": 3}]
    scheduler = make_scheduler(
        "RS", SPACE, METRICS, random_seed=0, canonical_form=careless, points_to_evaluate=points
    )
    assert scheduler.suggest().config == {"x": 3}
