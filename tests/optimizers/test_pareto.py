"""Ranks, crowding and incremental fronts against pymoo and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from hwgpt_blackbox.optimizers._pareto import (
    ParetoFront,
    RankedFronts,
    crowding_distances,
    front_rows,
    nondominated_ranks,
    rank_and_crowding,
)


def sets_of_points() -> list[np.ndarray]:
    """Random sets with 2 to 4 objectives, with and without ties."""
    rng = np.random.default_rng(0)
    sizes = [(1, 2), (2, 2), (60, 2), (60, 3), (60, 4)]
    smooth = [rng.random(size) for size in sizes]
    tied = [rng.integers(0, 5, size).astype(float) for size in sizes]
    return [*smooth, *tied, np.ones((6, 2)), np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]])]


@pytest.mark.parametrize("values", sets_of_points())
def test_ranks_are_pymoos(values: np.ndarray) -> None:
    sorting = pytest.importorskip("pymoo.util.nds.non_dominated_sorting")
    _, expected = sorting.NonDominatedSorting().do(values, return_rank=True)
    assert nondominated_ranks(values).tolist() == expected.tolist()


@pytest.mark.parametrize("values", sets_of_points()[:5])  # with ties, Deb et al. leave it open
def test_crowding_is_pymoos(values: np.ndarray) -> None:
    metrics = pytest.importorskip("pymoo.operators.survival.rank_and_crowding.metrics")
    front = values[nondominated_ranks(values) == 0]
    expected = metrics.get_crowding_function("cd").do(front, n_remove=0)
    np.testing.assert_allclose(np.sort(crowding_distances(front)), np.sort(expected))


def test_crowding_of_a_line_by_hand() -> None:
    line = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    assert crowding_distances(line).tolist() == [np.inf, 0.75, 0.625, np.inf]


@pytest.mark.parametrize("values", sets_of_points())
def test_ranked_fronts_place_each_point_as_sorting_anew_would(values: np.ndarray) -> None:
    fronts = RankedFronts()
    for n in range(1, len(values) + 1):
        ranks, crowding = rank_and_crowding(values[:n])
        before = fronts.add(values[n - 1])
        assert len(fronts) == n
        lower = (ranks < ranks[-1]).sum()
        twins = (values[:n] == values[n - 1]).all(axis=1)
        # among equal points it does not matter which one keeps the distance
        possible = {lower + ((ranks == ranks[-1]) & (crowding > c)).sum() for c in crowding[twins]}
        assert before in possible


@pytest.mark.parametrize("values", sets_of_points())
def test_pareto_front_is_rank_zero(values: np.ndarray) -> None:
    front = ParetoFront()
    for n, row in enumerate(values, start=1):
        front.add(row)
        assert front.rows == np.flatnonzero(nondominated_ranks(values[:n]) == 0).tolist()


def test_inputs_are_not_written_to() -> None:
    values = np.random.default_rng(0).random((20, 2))
    values.flags.writeable = False
    rank_and_crowding(values)


def test_crowding_of_a_line_by_hand_with_finite_ends() -> None:
    line = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    distances = crowding_distances(line, finite_ends=True)
    assert distances.tolist() == [0.75, 0.75, 0.625, 0.5]
    assert crowding_distances(line[:2], finite_ends=True).tolist() == [np.inf, np.inf]


def test_rows_of_the_front_are_those_of_rank_0() -> None:
    rng = np.random.default_rng(0)
    for objectives in (2, 3):
        values = rng.integers(0, 12, (200, objectives)).astype(float)  # many are equal
        before = values.copy()
        expected = np.flatnonzero(nondominated_ranks(values) == 0)
        np.testing.assert_array_equal(front_rows(values), expected)
        np.testing.assert_array_equal(values, before)
    assert len(front_rows(np.empty((0, 2)))) == 0
