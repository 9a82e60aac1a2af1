"""Arguments and options that do not fit are refused at once, by name and value."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from syne_tune.config_space import choice, uniform

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import make_scheduler

SPACE = {"x": choice([1, 2, 3]), "y": uniform(0, 1)}
METRICS = ["a", "b"]


def refused(method: str, match: str, **arguments: Any) -> None:
    if method == "NSGA2":
        pytest.importorskip("pymoo")
    space, metrics = arguments.pop("config_space", SPACE), arguments.pop("metrics", METRICS)
    with pytest.raises(InputError, match=match):
        make_scheduler(method, space, metrics, **{"random_seed": 0, **arguments})


@pytest.mark.parametrize("method", ["RS", "RE", "NSGA2", "LS", "MOASHA"])
@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *(("random_seed", seed) for seed in (-1, "a", 1.5, True)),
        *(("metrics", metrics) for metrics in (None, 3, [1, 2], [["a"], ["b"]], {"a"})),
        *(("config_space", space) for space in (None, [1], "x")),
        *(("points_to_evaluate", points) for points in ({"x": 1, "y": 0.5}, [None], "ab", 5)),
        ("canonical_form", "abc"),
        *(("allow_repeats", value) for value in ("no", 1, None)),
    ],
)
def test_common_arguments(method: str, argument: str, value: Any) -> None:
    refused(method, re.escape(f"{argument}={value!r}"), **{argument: value})


@pytest.mark.parametrize("method", ["RS", "MOASHA"])
@pytest.mark.parametrize(
    "directions",
    [
        ["max", "min"],  # the words of Syne Tune, each of them true
        "min",
        "",
        None,
        1,
        [1, 0],
        [True, None],
        {True, False},
        np.array(["max", "min"]),
        np.array([[True], [False]]),
    ],
)
def test_directions_are_bools(method: str, directions: Any) -> None:
    refused(method, r"(?s)do_minimize=.*True \(minimise\)", do_minimize=directions)


@pytest.mark.parametrize(
    ("directions", "mode"),
    [
        (np.True_, "min"),
        (np.array(False), "max"),
        ((True, np.False_), ["min", "max"]),
        (np.array([False, True]), ["max", "min"]),
    ],
)
def test_directions_may_be_numpys(directions: Any, mode: Any) -> None:
    scheduler = make_scheduler("RS", SPACE, METRICS, random_seed=0, do_minimize=directions)
    assert scheduler.metric_mode() == mode


NO_SIZES = (0, -3, 2.5, 2.0, math.nan, math.inf, "a", None, True)
OPTIONS = {
    "RE": {
        "population_size": NO_SIZES,
        "sample_size": NO_SIZES,
        "initial": [size for size in NO_SIZES if size is not None],  # None: half the population
        "denoise": ("no", None, 1),
    },
    "NSGA2": {
        "population_size": (*NO_SIZES, 1),
        "crossover_probability": (-0.1, 2, math.nan, "a", None, True),
        "denoise": ("no", None, 1),
    },
    "LS": {"initial": NO_SIZES, "sample_size": NO_SIZES, "denoise": ("no", None, 1)},
    "MOASHA": {
        "grace_period": NO_SIZES,
        "max_t": NO_SIZES,
        "brackets": NO_SIZES,
        "reduction_factor": (0.5, 1, math.nan, math.inf, "a", None, True),
        "time_attr": (None, 1),
    },
}


@pytest.mark.parametrize(
    ("method", "option"), [(method, option) for method in OPTIONS for option in OPTIONS[method]]
)
def test_options_of_the_methods(method: str, option: str) -> None:
    for value in OPTIONS[method][option]:
        refused(method, re.escape(f"{option}={value!r}"), **{option: value})


def test_numbers_of_numpy_are_numbers() -> None:
    scheduler = make_scheduler(
        "RE", SPACE, METRICS, random_seed=np.int64(3), population_size=np.int32(8)
    )
    assert scheduler.searcher.population_size == 8
    assert scheduler.suggest() == make_scheduler("RE", SPACE, METRICS, random_seed=3).suggest()


def test_a_method_is_a_name() -> None:
    with pytest.raises(InputError, match=r"\['RS'\]"):
        make_scheduler(["RS"], SPACE, METRICS, random_seed=0)  # type: ignore[arg-type]
