"""Model inputs and groups: categories of any kind, ranges of any length."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from helpers import SHORT_OPTIONS
from syne_tune.config_space import (
    choice,
    logordinal,
    lograndint,
    loguniform,
    ordinal,
    qrandint,
    quniform,
    randint,
    uniform,
)

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import METHODS, make_scheduler
from hwgpt_blackbox.optimizers._features import FeatureMap, checked_groups, infer_groups
from hwgpt_blackbox.optimizers._space import SearchSpace

LISTS = {f"layer_{i}": choice([[1, 2], [3], []]) for i in range(2)}
DICTS = {"opt_0": choice([{"a": 1}, {"a": 2}]), "opt_1": choice([{"a": 1}, {"a": 3}])}
WIDE = {
    "seeds": {"x": randint(0, 2**31 - 1), "y": uniform(0, 1)},
    "group": {f"x_{i}": lograndint(1, 10**9) for i in range(2)},
    "steps": {**{f"x_{i}": qrandint(0, 10**9, 5) for i in range(2)}, "y": quniform(0, 1, 1e-8)},
}


def searchable(method: str) -> None:
    if METHODS[method].extra:
        pytest.importorskip("pymoo" if METHODS[method].extra == "optimizers" else "botorch")


def features(space: SearchSpace, config: dict[str, Any], groups: Any = None) -> list[float]:
    codes = space.encode(config)[None]
    row: list[float] = FeatureMap(space, groups)(codes, np.ones(codes.shape, bool))[0].tolist()
    return row


def test_positions_of_every_kind() -> None:
    domains = {
        "numbers": (choice([64, 16, 32]), 64, [1.0]),
        "equal numbers": (choice([2, 1, 2]), 1, [0.0]),
        "texts": (choice(["a", "b", "c"]), "b", [0.0, 1.0, 0.0]),
        "two texts": (choice(["a", "b"]), "b", [1.0]),
        "lists": (choice([[1, 2], [3], []]), [3], [0.0, 1.0, 0.0]),
        "ordered texts": (ordinal(["s", "m", "l"]), "m", [0.5]),
        "nearest": (logordinal([1, 2, 64]), 2, [0.5]),
        "integers": (randint(3, 7), 4, [0.25]),
        "multiples": (qrandint(0, 12, 3), 9, [0.75]),
        "floats": (uniform(0, 2), 0.5, [0.25]),
        "one value": (choice([1]), 1, []),
    }
    for name, (domain, value, expected) in domains.items():
        assert features(SearchSpace({name: domain}), {name: value}) == pytest.approx(expected), name


def test_effects_are_centred_and_inactive_ones_are_nothing() -> None:
    space = SearchSpace({"w0": randint(1, 3), "w1": randint(1, 3), "k0": choice(["a", "b", "c"])})
    groups = {"w": ["w0", "w1"], "k": ["k0"]}
    codes, active = (
        space.encode({"w0": 3, "w1": 2, "k0": "b"})[None],
        np.array([[True, True, True]]),
    )
    third = 1 / 3
    both = FeatureMap(space, groups)
    np.testing.assert_allclose(
        both(codes, active), [[1, 0, 0.5, -0.5, -third, 1 - third, -third]], atol=1e-15
    )
    active[0, 0] = False
    np.testing.assert_allclose(both(codes, active)[0, [0, 2]], 0)


def test_categories_that_are_lists_make_groups_by_equality() -> None:
    assert infer_groups(SearchSpace(LISTS | DICTS)) == {"layer": ["layer_0", "layer_1"]}
    assert checked_groups(SearchSpace(LISTS), {"g": list(LISTS)}) == {"g": list(LISTS)}
    with pytest.raises(InputError, match="different values"):
        checked_groups(SearchSpace(DICTS), {"g": list(DICTS)})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_searches_categories_that_are_lists(method: str, simulate: Any) -> None:
    searchable(method)
    scheduler = make_scheduler(
        method, LISTS | DICTS, ["a", "b"], random_seed=0, **SHORT_OPTIONS.get(method, {})
    )

    def metrics(config: dict[str, Any]) -> dict[str, float]:
        return {"a": sum(config["layer_0"]), "b": config["opt_0"]["a"] - sum(config["layer_1"])}

    assert simulate(scheduler, metrics, 2).run(8).finished == 8


@pytest.mark.parametrize(
    "others",
    [
        {"b": ordinal([1, 2, 4])},
        {"b": choice([1, 4, 2])},
        {"b": uniform(0, 1)},
    ],
)
def test_members_of_a_group_are_of_one_kind_and_order(others: dict[str, Any]) -> None:
    space = SearchSpace({"a": choice([1, 2, 4]), **others})
    with pytest.raises(InputError, match=r"groups\['g'\].*different values"):
        checked_groups(space, {"g": ["a", "b"]})


def test_floats_of_a_group_have_the_same_bounds() -> None:
    space = SearchSpace({"a": uniform(0, 1), "b": uniform(0, 2), "c": loguniform(0.5, 2)})
    for others in ("b", "c"):
        with pytest.raises(InputError, match="different values"):
            checked_groups(space, {"g": ["a", others]})


@pytest.mark.parametrize(
    "groups", [{}, ["a"], "a", 3, {"g": "a"}, {"g": None}, {"g": [1]}, {"g": [["a"]]}, {"g": []}]
)
def test_groups_are_lists_of_names(groups: Any) -> None:
    with pytest.raises(InputError, match="groups="):
        checked_groups(SearchSpace({"a": choice([1, 2]), "b": choice([1, 2])}), groups)


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("method", ["RS", "RE", "NSGA2", "LS", "EHVI"])
def test_wide_ranges_cost_nothing(method: str, name: str, simulate: Any) -> None:
    searchable(method)
    space = WIDE[name]

    def metrics(config: dict[str, Any]) -> dict[str, float]:
        first, second = config.values() if len(config) == 2 else (config["x_0"], config["y"])
        return {"a": float(first + second), "b": -float(first)}

    options = {"random_seed": 0, **SHORT_OPTIONS.get(method, {})}
    small = make_scheduler(method, {"x": uniform(0, 1)}, ["a", "b"], **options)
    simulate(small, lambda config: {"a": config["x"], "b": -config["x"]}, 2).run(8)  # imports
    tracemalloc.start()  # what walks over a range of 10^9 values holds them, or never ends
    scheduler = make_scheduler(method, space, ["a", "b"], **options)
    trials = 8 if method == "EHVI" else 40
    try:
        run = simulate(scheduler, metrics, 2).run(trials)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert run.finished == trials
    assert peak < 20e6
