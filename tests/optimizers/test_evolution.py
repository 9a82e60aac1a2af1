"""RE: parents come from the latest results, and the best of a sample wins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from syne_tune.config_space import choice

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import RE, MultiObjectiveScheduler

SPACE = {f"x{i}": choice(list(range(5))) for i in range(8)}


def metrics(config: dict[str, int]) -> dict[str, float]:
    values = np.array(list(config.values()))
    return {"low": float(values.sum()), "high": float(((4 - values) ** 2).sum())}


def differences(a: dict[str, Any], b: dict[str, Any]) -> int:
    return sum(a[name] != b[name] for name in a)


def test_children_differ_in_one_hyperparameter_from_a_living_member(simulate: Any) -> None:
    searcher = RE(SPACE, random_seed=0, population_size=10, sample_size=3)
    scheduler = MultiObjectiveScheduler(SPACE, ["low", "high"], searcher)
    configs = simulate(scheduler, metrics, workers=1).run(60).configs
    for n in range(10, 60):
        assert min(differences(configs[n], member) for member in configs[n - 10 : n]) == 1


def test_the_oldest_member_dies_even_if_it_is_the_best(simulate: Any) -> None:
    best = dict.fromkeys(SPACE, 0)
    searcher = RE(SPACE, random_seed=0, population_size=5, sample_size=5, points_to_evaluate=[best])
    scheduler = MultiObjectiveScheduler(SPACE, ["low", "high"], searcher)
    simulate(scheduler, lambda c: {k: metrics(c)["low"] for k in ("low", "high")}).run(6)
    members = [tuple(searcher.observations.X[row]) for row in searcher._population]
    assert len(members) == 5
    assert (0.0,) * 8 not in members


def test_a_full_sample_takes_the_first_rank() -> None:
    searcher = RE(SPACE, random_seed=0, population_size=4, sample_size=100)
    points = [dict.fromkeys(SPACE, v) for v in range(4)]
    for trial, value in enumerate([3.0, 1.0, 2.0, 4.0]):
        searcher.on_trial_complete(trial, points[trial], [value, value])
    for _ in range(20):
        child = searcher.suggest()
        assert child is not None
        assert differences(child, points[1]) == 1


@pytest.mark.parametrize("size", ["population_size", "sample_size"])
def test_sizes_are_checked(size: str) -> None:
    with pytest.raises(InputError, match=size):
        RE(SPACE, random_seed=0, **{size: 0})
