"""MOASHA: rungs, ranks and brackets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from syne_tune.config_space import uniform

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import make_scheduler
from hwgpt_blackbox.optimizers._moasha import RankedBracket
from hwgpt_blackbox.optimizers._pareto import rank_and_crowding

SPACE = {"x": uniform(0, 1), "y": uniform(0, 1)}


def make(**options: Any) -> Any:
    options = {"time_attr": "r", "max_t": 9, "random_seed": 0, **options}
    return make_scheduler("MOASHA", SPACE, ["a", "b"], **options)


def test_rung_decisions_equal_those_of_sorting_anew() -> None:
    values = np.random.default_rng(0).random((150, 2))
    bracket = RankedBracket(1, 9, 3, 0)
    for n, row in enumerate(values, start=1):
        decision = bracket.on_result(n, 1, {"a": row[0], "b": row[1]})
        ranks, crowding = rank_and_crowding(values[:n])
        before = (ranks < ranks[-1]) | ((ranks == ranks[-1]) & (crowding > crowding[-1]))
        assert decision == ("STOP" if before.mean() > 1 / 3 else "CONTINUE")


def test_a_point_that_dominates_all_goes_on_and_one_that_all_dominate_stops() -> None:
    bracket = RankedBracket(1, 9, 3, 0)
    for n in range(30):
        assert bracket.on_result(n, 1, {"a": -n, "b": -n}) == "CONTINUE"
    for n in range(30, 60):
        assert bracket.on_result(n, 1, {"a": n, "b": n}) == "STOP"
    assert bracket.on_result(30, 1, {"a": 30, "b": 30}) == "CONTINUE"  # a rung counts a trial once


def test_about_one_in_three_reaches_the_next_rung(simulate: Any) -> None:
    scheduler = make(max_t=3)
    run = simulate(scheduler, lambda c: {"a": c["x"], "b": c["y"]}, workers=4).run(300)
    reached = {milestone: len(recorded) for milestone, recorded in scheduler.brackets[0].rungs}
    assert list(reached) == [3, 1]
    assert 0.25 < (run.decisions.count("CONTINUE") / 2) / reached[1] < 0.5
    assert scheduler.num_stopped == run.decisions.count("STOP")
    assert len(scheduler.trial_info) == len(run.configs) - run.finished  # the rest is forgotten


def test_brackets_are_drawn_from_the_schedulers_own_generator(simulate: Any) -> None:
    runs = [
        simulate(make(brackets=2), lambda c: {"a": c["x"], "b": c["y"]}, workers=3).run(80)
        for _ in range(2)
    ]
    assert runs[0].decisions == runs[1].decisions
    sizes = [sum(len(rung) for _, rung in b.rungs) for b in runs[0].scheduler.brackets]
    assert min(sizes) > 0


def test_nan_stops_a_trial_and_is_not_ranked(simulate: Any) -> None:
    scheduler = make()
    run = simulate(scheduler, lambda c: {"a": math.nan, "b": c["y"]}).run(5)
    assert run.decisions == ["STOP"] * 5
    assert all(not recorded for _, recorded in scheduler.brackets[0].rungs)


def test_missing_fidelity_is_an_error_that_names_it(simulate: Any) -> None:
    with pytest.raises(InputError, match="epoch"):
        simulate(make(time_attr="epoch"), lambda c: {"a": 1.0, "b": 1.0}).run(1)


@pytest.mark.parametrize(
    "options",
    [
        {"grace_period": 0},
        {"max_t": 1, "grace_period": 2},
        {"reduction_factor": 1},
        {"brackets": 0},
    ],
)
def test_rung_settings_are_checked(options: dict[str, Any]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(InputError, match=f"{name}={value}"):
        make(**options)
