"""Codes: round trips, and draws distributed as Syne Tune's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from syne_tune.config_space import (
    Domain,
    choice,
    finrange,
    logfinrange,
    logordinal,
    lograndint,
    loguniform,
    ordinal,
    qrandint,
    quniform,
    randint,
    reverseloguniform,
    uniform,
)

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._space import SearchSpace

DOMAINS = {
    "choice": choice(["a", "b", "c"]),
    "booleans": choice([True, False]),
    "numbers": choice([192, 384, 768]),
    "nearest": ordinal([1, 2, 4, 16]),
    "nearest in logs": logordinal([1, 2, 4, 64]),
    "equal": ordinal(["s", "m", "l"]),
    "finrange": finrange(0.1, 0.9, 5),
    "logfinrange": logfinrange(1, 100, 4, cast_int=True),
    "randint": randint(-3, 5),
    "lograndint": lograndint(1, 20),
    "qrandint": qrandint(0, 12, 3),
    "uniform": uniform(-2.0, 3.0),
    "loguniform": loguniform(1e-4, 10.0),
    "reverseloguniform": reverseloguniform(0.9, 0.999),
    "quniform": quniform(0.0, 1.0, 0.25),
    "single": choice(["only"]),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_draws_are_valid_and_survive_the_round_trip(name: str) -> None:
    domain = DOMAINS[name]
    space = SearchSpace({"x": domain, "constant": 1})
    for codes in space.sample(np.random.default_rng(0), 200):
        config = space.decode(codes)
        assert domain.cast(config["x"]) == config["x"]
        assert type(config["x"]) is domain.value_type
        np.testing.assert_allclose(space.encode(config), codes, atol=1e-9)
        assert 0 <= space.unit(codes)[0] <= 1


@pytest.mark.parametrize("name", DOMAINS)
def test_draws_are_distributed_as_in_syne_tune(name: str) -> None:
    domain: Domain = DOMAINS[name]
    space = SearchSpace({"x": domain})
    n = 4000
    ours = space.sample(np.random.default_rng(0), n)[:, 0]
    state = np.random.RandomState(1)
    drawn = domain.sample(size=n, random_state=state)
    theirs = np.array([space.encode({"x": value})[0] for value in drawn])
    grid = np.union1d(ours, theirs)
    cdfs = [np.searchsorted(np.sort(a), grid, side="right") / n for a in (ours, theirs)]
    assert np.abs(cdfs[0] - cdfs[1]).max() < 1.95 * math.sqrt(2 / n)  # Kolmogorov-Smirnov, 0.1 %


def test_sizes_kinds_and_all_codes() -> None:
    space = SearchSpace({"a": choice(["x", "y"]), "c": 5, "b": randint(3, 5)})
    assert (len(space), space.size, space.constants) == (2, 6, {"c": 5})
    assert [d.kind for d in space.dimensions] == ["categorical", "integer"]
    assert len({tuple(codes) for codes in space.all_codes()}) == 6
    assert SearchSpace({"u": uniform(0, 1)}).size == math.inf
    assert len(SearchSpace({"c": 1}).all_codes()) == 1


def test_large_ranges_are_neither_listed_nor_searched() -> None:
    space = SearchSpace({"x": randint(0, 10**12)})
    assert space.encode({"x": np.int64(10**11)}).tolist() == [1e11]
    assert space.decode(np.array([1e11])) == {"x": 10**11}
    with pytest.raises(InputError):
        space.encode({"x": 0.5})


@pytest.mark.parametrize(
    ("domain", "value", "code", "wrong"),
    [
        (qrandint(0, 10**9, 5), 10**8, 2e7, (7, 10**9 + 5, "5", None, math.nan)),
        (quniform(-1.0, 1.0, 2**-30), 0.25, 1.25 * 2**30, (2**-31, 2.0, "0", None, [0.0])),
        (qrandint(3, 20, 4), 4, 0, (0, 3, 24)),
    ],
)
def test_multiples_are_neither_listed_nor_searched(
    domain: Domain, value: Any, code: float, wrong: tuple[Any, ...]
) -> None:
    space = SearchSpace({"x": domain})
    assert space.encode({"x": value}).tolist() == [code]
    assert space.decode(np.array([code])) == {"x": value}
    assert type(space.decode(np.array([code]))["x"]) is domain.value_type
    for other in wrong:
        with pytest.raises(InputError, match="not in the configuration space"):
            space.encode({"x": other})


@pytest.mark.parametrize(
    "domain", [quniform(0.0, 1.0, 0.25), quniform(-0.3, 0.3, 0.1), qrandint(0, 12, 3)]
)
def test_multiples_are_a_sequence(domain: Domain) -> None:
    choices = SearchSpace({"x": domain}).dimensions[0].choices
    listed = list(choices)
    assert listed == sorted(set(domain.sample(size=1000, random_state=np.random.RandomState(0))))
    assert (len(choices), choices[-1], choices[1:3]) == (len(listed), listed[-1], listed[1:3])
    assert [choices.index(value) for value in listed] == list(range(len(listed)))
    with pytest.raises(IndexError):
        choices[len(listed)]


@pytest.mark.parametrize(
    "domain", [randint(0, 2**53), randint(0, 10**400), quniform(0.0, 1.0, 1e-17)]
)
def test_ranges_that_codes_cannot_tell_apart_are_refused(domain: Domain) -> None:
    with pytest.raises(InputError, match=r"x: .*more values"):
        SearchSpace({"x": domain})


def test_a_range_without_a_multiple_of_its_step_is_refused() -> None:
    with pytest.raises(InputError, match=r"x: .*no multiple of 5"):
        SearchSpace({"x": qrandint(1, 2, 5)})


def test_change_one_changes_one() -> None:
    space = SearchSpace(DOMAINS)
    rng = np.random.default_rng(0)
    codes = space.sample(rng, 1)[0]
    changed = [np.flatnonzero(space.change_one(rng, codes) != codes) for _ in range(500)]
    assert all(len(where) == 1 for where in changed)
    assert set(np.concatenate(changed)) == set(range(len(space) - 1))  # "single" has no other value


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (choice(["a"]), "b"),
        (randint(1, 3), 4),
        (uniform(0, 1), 1.5),
        (uniform(0, 1), "a"),
        (uniform(0, 1), math.nan),
        (qrandint(0, 12, 3), 4),
    ],
)
def test_values_outside_the_domain_are_refused_by_name(domain: Any, value: Any) -> None:
    with pytest.raises(InputError, match=r"x=.*not in the configuration space"):
        SearchSpace({"x": domain}).encode({"x": value})
