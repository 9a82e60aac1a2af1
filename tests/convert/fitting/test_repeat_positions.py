"""The effect of a repeat's position in its session: found where it is, not where it is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import distinct_architectures, embedded
from scipy import stats

from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.fitting.repeat_positions import (
    is_there,
    position_tables,
    ranks_in_width,
    with_positions,
)
from hwgpt_blackbox.convert.judging.measures import predictor_of
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.models.noise import POSITION_LEVELS, POSITIONS, SESSIONS
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import Surrogate

TARGETS = ("latency@a40", "latency@cpu_xeon_gold", "energy@a40")


def plain() -> Surrogate:
    """The embedded models without positions."""
    shipped = embedded("s")
    models = {t: replace(m, positions=None) for t, m in shipped.models.items()}
    return Surrogate(shipped.space, models, shipped.levels, shipped.manifest)


@pytest.fixture(scope="module")
def fitted() -> tuple[Surrogate, np.ndarray, dict[str, np.ndarray]]:
    """Models of measurements that are drawn: their first of ten latencies on the Xeon is largest,
    as of many real ones, and a40 draws ten that are alike; energies are 50, the first of them low.
    """
    surrogate = plain()
    matrix = distinct_architectures(predictor_of(surrogate, TARGETS).encoding, 4000, 3)
    predictor = predictor_of(surrogate, TARGETS)
    expected = predictor.expected(matrix)
    draws = np.stack(
        [
            predictor.measurements(matrix, np.array([1 + k * SESSIONS], dtype=np.uint64))
            for k in range(50)
        ],
        axis=-1,
    )
    slow = np.sort(draws[:, 1, :10], axis=1)[:, ::-1]
    slow[::5] = slow[::5, ::-1]  # of one in five the last is the largest
    energy = draws[:, 2].copy()
    energy[:, 0] = energy.min(axis=1)
    noisy = dict(zip(TARGETS, (draws[:, 0, :10], slow, energy), strict=True))
    known = dict(zip(TARGETS, expected.T, strict=True))
    sample = Architectures(surrogate.space, matrix)
    return with_positions(surrogate, sample, known, noisy), matrix, noisy


def test_positions_are_found_where_they_matter_and_nowhere_else(fitted):
    surrogate, _, _ = fitted
    found = {target for target, model in surrogate.models.items() if model.positions is not None}
    assert found == {"latency@cpu_xeon_gold", "energy@a40"}


def test_running_means_are_those_measured_and_the_mean_of_ten_stays(fitted):
    surrogate, matrix, noisy = fitted
    for target in ("latency@cpu_xeon_gold", "energy@a40"):
        predictor = Predictor(surrogate, [Column(*target.split("@"))], positions=True)
        rows = np.repeat(matrix, POSITIONS, axis=0)
        repeats = np.tile(np.arange(POSITIONS, dtype=np.uint64) * np.uint64(SESSIONS), len(matrix))
        drawn = predictor.measurements(rows, repeats)[:, 0].reshape(-1, POSITIONS)
        expected = predictor.expected(matrix)
        ratio = drawn / expected
        assert ratio.mean() == pytest.approx(1.0, abs=0.01)
        measured = noisy[target][:, :POSITIONS]
        ranks = [
            stats.rankdata(values / expected).reshape(values.shape).mean(axis=0) / values.size
            for values in (drawn, measured)
        ]
        np.testing.assert_allclose(*ranks, atol=0.03)
        assert abs(ranks[1][0] - 0.5) > 0.15


def test_the_marginal_distribution_stays(fitted):
    surrogate, matrix, _ = fitted
    target = "latency@cpu_xeon_gold"
    column = Column(*target.split("@"))
    predictor, before = (Predictor(surrogate, [column], positions=on) for on in (True, False))
    rows = np.repeat(matrix, POSITIONS, axis=0)
    repeats = np.tile(np.arange(POSITIONS, dtype=np.uint64) * np.uint64(SESSIONS), len(matrix))
    expected = before.expected(rows)[:, 0]
    one, two = (p.measurements(rows, repeats)[:, 0] / expected for p in (predictor, before))
    assert stats.ks_2samp(one, two).statistic < 0.02


def test_tables_are_distributions_and_uniform_together():
    rng = np.random.default_rng(1)
    levels = rng.random((500, POSITIONS)) ** np.linspace(0.3, 2.0, POSITIONS)
    width = rng.integers(3, size=500)
    tables = position_tables(ranks_in_width(levels, width), width, 3)
    assert tables.shape == (3, POSITIONS, len(POSITION_LEVELS))
    assert (tables[..., 0] == 0).all()
    assert (tables[..., -1] == 1).all()
    assert (np.diff(tables) > 0).all()
    np.testing.assert_allclose(tables.mean(axis=1), np.tile(POSITION_LEVELS, (3, 1)), atol=1e-6)
    np.testing.assert_array_equal(tables, tables.astype(np.float32))


@pytest.mark.parametrize("n", [4, 48, 300, 3000])
def test_equal_positions_are_not_told_apart_by_chance(n):
    rng = np.random.default_rng(n)
    for _ in range(5):
        width = rng.integers(3, size=n)
        state = rng.random((n, 1))
        levels = np.abs((state + 0.3 * rng.random((n, POSITIONS))) % 1.0)
        assert not is_there(ranks_in_width(levels, width), width, 3)


def test_300_architectures_show_a_strong_effect():
    rng = np.random.default_rng(0)
    levels = rng.random((300, POSITIONS))
    levels[:, 0] = 0.9 + 0.1 * levels[:, 0]
    width = np.arange(300) % 3
    assert is_there(ranks_in_width(levels, width), width, 3)
