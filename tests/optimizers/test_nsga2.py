"""NSGA2: pymoo's own generations when sequential, no waiting when not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from syne_tune.config_space import choice, ordinal, randint, uniform

pytest.importorskip("pymoo")

from pymoo.algorithms.moo.nsga2 import NSGA2 as StockNSGA2  # noqa: N811
from pymoo.core.problem import ElementwiseProblem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.mutation.pm import PM

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import NSGA2, MultiObjectiveScheduler
from hwgpt_blackbox.optimizers._nsga2 import (
    MixedCrossover,
    MixedMutation,
    NewArchitectures,
)

FLOATS = {f"x{i}": uniform(0, 1) for i in range(6)}
MIXED = {
    **{f"c{i}": choice(["a", "b", "c"]) for i in range(4)},
    "n": randint(0, 9),
    "o": ordinal([1, 2, 4]),
    "f": uniform(0, 1),
}
SIZE = 12


def objectives(codes: np.ndarray) -> list[float]:
    """Two objectives of the codes: a smooth trade-off, uneven in every coordinate."""
    weights = np.arange(1, len(codes) + 1)
    return [float((weights * codes**2).sum()), float((weights * (codes - 1) ** 2).sum())]


class Codes(ElementwiseProblem):  # type: ignore[misc]
    """The same objectives as a pymoo problem, which notes what it has seen."""

    def __init__(self, searcher: NSGA2) -> None:
        super().__init__(n_var=len(searcher.space), n_obj=2, xl=0.0, xu=1.0)
        self.searcher, self.seen = searcher, set[Any]()

    def _evaluate(self, x: np.ndarray, out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self.seen.add(self.searcher.key(x))
        out["F"] = objectives(x)


def run_ours(space: dict[str, Any], generations: int) -> tuple[NSGA2, list[list[list[float]]]]:
    """One trial after another; the parents after each generation, as rows of codes."""
    searcher = NSGA2(space, random_seed=5, population_size=SIZE)
    parents = []
    for trial in range(generations * SIZE):
        config = searcher.suggest()
        assert config is not None
        searcher.on_trial_complete(trial, config, objectives(searcher.space.encode(config)))
        if (trial + 1) % SIZE == 0:
            parents.append(searcher._algorithm.pop.get("X").tolist())
    return searcher, parents


def run_pymoo(algorithm: StockNSGA2, problem: Codes, generations: int) -> list[list[list[float]]]:
    algorithm.setup(problem, termination=NoTermination(), seed=5)
    parents = []
    for _ in range(generations):
        algorithm.next()
        parents.append(algorithm.pop.get("X").tolist())
    return parents


def test_float_generations_are_those_of_stock_pymoo() -> None:
    searcher, ours = run_ours(FLOATS, 8)
    stock = StockNSGA2(
        pop_size=SIZE,
        sampling=searcher.observations.X[:SIZE].copy(),
        crossover=SBX(eta=20.0, prob=0.5),
        mutation=PM(eta=20.0, prob=1.0, prob_var=1 / len(FLOATS)),
    )
    np.testing.assert_allclose(ours, run_pymoo(stock, Codes(searcher), 8), atol=1e-12)


def test_mixed_generations_are_pymoos() -> None:
    searcher, ours = run_ours(MIXED, 8)
    problem = Codes(searcher)
    algorithm = StockNSGA2(
        pop_size=SIZE,
        sampling=searcher.observations.X[:SIZE].copy(),
        crossover=MixedCrossover(searcher.space, 0.5),
        mutation=MixedMutation(searcher.space),
        eliminate_duplicates=NewArchitectures(searcher.key, problem.seen),
    )
    np.testing.assert_allclose(ours, run_pymoo(algorithm, problem, 8), atol=1e-12)


def test_nobody_waits_and_each_generation_is_as_many_results(simulate: Any) -> None:
    searcher = NSGA2(MIXED, random_seed=0, population_size=6)
    scheduler = MultiObjectiveScheduler(MIXED, ["a", "b"], searcher)

    def metrics(config: dict[str, Any]) -> dict[str, float]:
        return dict(zip("ab", objectives(searcher.space.encode(config)), strict=True))

    run = simulate(scheduler, metrics, workers=10).run(60)  # more workers than offspring
    assert len(run.configs) >= 60
    assert not run.exhausted
    assert searcher._algorithm.n_gen - 1 == 60 // 6


def test_mixed_operators_stay_on_the_codes_and_reach_every_value() -> None:
    searcher = NSGA2(MIXED, random_seed=0, population_size=4)
    X = searcher.space.sample(np.random.default_rng(0), 2000)
    rng = np.random.default_rng(1)
    mutated = MixedMutation(searcher.space)._do(None, X, random_state=rng)
    crossover = MixedCrossover(searcher.space, 0.5)
    crossed = crossover._do(None, X.reshape(2, 1000, -1), random_state=rng)
    for column, size in enumerate(searcher.space.sizes):
        for children in (mutated, crossed.reshape(2000, -1)):
            if size:
                assert set(children[:, column]) == set(range(size))
            else:
                assert 0 <= children[:, column].min() <= children[:, column].max() <= 1
    categorical = (mutated != X)[:, :4].mean()
    assert categorical == pytest.approx(1 / len(MIXED), abs=0.02)


def test_population_size_is_checked() -> None:
    with pytest.raises(InputError, match="population_size=1"):
        NSGA2(FLOATS, random_seed=0, population_size=1)


@pytest.mark.parametrize("probability", [-0.1, 1.5, float("nan")])
def test_crossover_probability_is_checked(probability: float) -> None:
    with pytest.raises(InputError, match=f"crossover_probability={probability}"):
        NSGA2(FLOATS, random_seed=0, crossover_probability=probability)


def test_parents_are_crossed_as_often_as_asked() -> None:
    def crossed(probability: float) -> int:
        """Children that differ from each parent in more than one or two hyperparameters."""
        space = {f"x{i}": uniform(0, 1) for i in range(30)}
        searcher = NSGA2(
            space, random_seed=0, population_size=20, crossover_probability=probability
        )
        for trial in range(20):
            config = searcher.suggest()
            assert config is not None
            searcher.on_trial_complete(trial, config, objectives(searcher.space.encode(config)))
        parents = searcher.observations.X[:20]
        children = np.array(searcher._breed(20))
        changes = (np.abs(children[:, None] - parents[None]) > 1e-12).sum(axis=-1).min(axis=1)
        return int((changes > 6).sum())

    assert crossed(0.0) == 0
    assert 0 < crossed(0.5) < crossed(1.0)
