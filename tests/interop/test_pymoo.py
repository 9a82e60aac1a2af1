"""The problems of pymoo."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("pymoo")

from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM
from pymoo.operators.repair.rounding import RoundingRepair
from pymoo.operators.sampling.rnd import IntegerRandomSampling
from pymoo.optimize import minimize

from hwgpt_blackbox import reference_front
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.interop.pymoo import Problem

OBJECTIVES = ["perplexity", "energy@h100"]


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem("s", OBJECTIVES)


def test_front_set_ideal_and_nadir_are_exact(problem: Problem) -> None:
    front = reference_front("s", OBJECTIVES)
    np.testing.assert_array_equal(problem.pareto_front(), front.objectives)
    np.testing.assert_array_equal(problem.pareto_set(), front.matrix)
    np.testing.assert_array_equal(problem.ideal_point(), front.objectives.min(axis=0))
    np.testing.assert_array_equal(problem.nadir_point(), front.objectives.max(axis=0))
    np.testing.assert_array_equal(problem.evaluate(problem.pareto_set()), problem.pareto_front())


def test_a_front_that_is_not_known_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    short = reference_front("s", OBJECTIVES, max_points=10)
    monkeypatch.setattr("hwgpt_blackbox.interop.exact_problem.reference_front", lambda *a: short)
    unknown = Problem("s", OBJECTIVES)
    for ask in ("pareto_front", "pareto_set", "ideal_point", "nadir_point"):
        assert getattr(unknown, ask)() is None


def test_nsga2_searches_it(problem: Problem) -> None:
    operators = {"vtype": float, "repair": RoundingRepair()}
    found = minimize(
        problem,
        NSGA2(
            pop_size=20,
            sampling=IntegerRandomSampling(),
            crossover=SBX(**operators),
            mutation=PM(**operators),
        ),
        ("n_gen", 5),
        seed=0,
    )
    assert found.F.shape[1] == 2
    (configuration, *_) = problem.encoding.decode(found.X.astype(int))
    assert configuration["embed_dim"] in (192, 384, 768)
    front = problem.pareto_front()
    assert not any((front > row).all(axis=1).any() for row in found.F)


def test_noise_is_ours(problem: Problem) -> None:
    rows = problem.encoding.sample(5, np.random.default_rng(0))
    pinned = Problem("s", OBJECTIVES, noise=True, seed=7)
    np.testing.assert_array_equal(pinned.evaluate(rows), pinned._exact.problem.measure(rows, 7))
    free = Problem("s", OBJECTIVES, noise=True)
    assert (free.evaluate(rows) != free.evaluate(rows)).any()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_a_copy_evaluates_the_same(copied: object, problem: Problem) -> None:
    assert callable(copied)
    rows = problem.encoding.sample(5, np.random.default_rng(0))
    np.testing.assert_array_equal(copied(problem).evaluate(rows), problem.evaluate(rows))


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, 9.0, -1.0])
def test_rows_that_are_no_choices(bad: float, problem: Problem) -> None:
    row = np.zeros((1, problem.n_var))
    row[0, 3] = bad
    with pytest.raises(InputError, match=r"IntegerRandomSampling|expected an index"):
        problem.evaluate(row)
