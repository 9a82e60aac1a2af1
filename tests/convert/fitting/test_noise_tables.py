"""Noise tables: calibrated bodies, tails at the rate that was measured, means of 1."""

from __future__ import annotations

import numpy as np
import pytest

from hwgpt_blackbox.convert.fitting.noise_tables import (
    fit_ratios,
    outlier_rates,
    quantile_levels,
    quantile_tables,
    supported_sizes,
    time_weights,
    weighted_quantile,
    with_unit_mean,
)
from hwgpt_blackbox.models.noise import mean_ratio

LEVELS = quantile_levels()
PER_CELL, REPEATS = 400, 50
CELLS = 6
CELL = np.repeat(np.arange(CELLS), PER_CELL)
ONES = np.ones(len(CELL))


def noise(rate: float = 0.0, size: float = 8.0, widths: float | np.ndarray = 0.02) -> np.ndarray:
    """Ratios with a Gaussian body and, at a rate, outliers of around a size: (n, REPEATS)."""
    rng = np.random.default_rng(0)
    width = np.broadcast_to(widths, CELLS)[CELL][:, None]
    body = np.exp(width * rng.standard_normal((len(CELL), REPEATS)))
    out = rng.random(body.shape) < rate
    return np.where(out, body * size * rng.lognormal(0.0, 1.2, body.shape), body)


def share_above(table: np.ndarray, threshold: float) -> float:
    """Probability that a draw from a table exceeds a threshold."""
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    return float((np.interp(u, LEVELS, table) > threshold).mean())


def test_levels_ascend_and_are_exact() -> None:
    assert LEVELS[0] == 0.0 and LEVELS[-1] == 1.0
    assert (np.diff(LEVELS) > 0).all()
    np.testing.assert_array_equal(LEVELS * 2.0**21, np.round(LEVELS * 2.0**21))
    np.testing.assert_array_equal(LEVELS, 1.0 - LEVELS[::-1])
    tail = LEVELS[(LEVELS > 0) & (LEVELS < 1 / 128)]
    assert (tail[1:] / tail[:-1]).max() <= 1.5  # a rate is off by half of that step at most


@pytest.mark.parametrize("rate", [2e-4, 1e-3, 5e-3])
@pytest.mark.parametrize("threshold", [2.0, 10.0, 50.0])
def test_outliers_are_drawn_at_the_rate_at_which_they_were_measured(
    rate: float, threshold: float
) -> None:
    ratio = noise(rate)
    tables, scale = fit_ratios(ratio, ONES, CELL, np.arange(len(CELL)), len(CELL), LEVELS)
    drawn = [
        share_above(table, threshold / factor)
        for table, factor in zip(tables.reshape(CELLS, -1), scale, strict=True)
    ]
    assert np.mean(drawn) == pytest.approx((ratio > threshold).mean(), rel=0.12, abs=5e-6)


def test_a_heavy_tail_that_moves_the_mean_leaves_the_body_and_the_rates() -> None:
    # The mean was once restored by shrinking or stretching a tail: rates were wrong by up to 4.
    ratio = noise(0.005)
    expected = np.full(len(CELL), 1.3)  # what the fit of the expected value said
    tables, scale = fit_ratios(ratio * 1.3, expected, CELL, np.arange(len(CELL)), len(CELL), LEVELS)
    np.testing.assert_allclose(mean_ratio(LEVELS, tables.reshape(CELLS, -1)), 1.0, rtol=1e-6)
    for c, (table, factor) in enumerate(zip(tables.reshape(CELLS, -1), scale, strict=True)):
        own = ratio[c == CELL]
        assert factor == pytest.approx(own.mean(), rel=0.02)
        assert np.interp(0.5, LEVELS, table) * factor == pytest.approx(1.0, abs=0.01)
        assert share_above(table, 2.0 / factor) == pytest.approx((own > 2).mean(), rel=0.25)


def test_sizes_of_outliers_are_those_of_the_device_not_of_the_width_of_a_cell() -> None:
    # They were once pooled relative to the cell's own tail: a wide cell drew outliers too large.
    wide = np.array([0.01, 0.01, 0.01, 0.01, 0.01, 0.3])
    tables = quantile_tables(noise(0.001, widths=wide), CELL, ONES, LEVELS)
    above = [np.interp(1.0 - 2.0**-12, LEVELS, table) for table in tables]
    assert max(above) / min(above) < 1.5


def test_a_cell_without_its_own_outliers_gets_those_of_the_device() -> None:
    ratio = noise()
    for row, column in [(3, 4), (500, 1), (900, 7), (901, 7), (1700, 2)]:
        ratio[row, column] = 1000.0
    tables = quantile_tables(ratio, CELL, ONES, LEVELS)
    assert (tables[:, -1] > 500.0).all()
    assert all(share_above(table, 100.0) < 2e-4 for table in tables)


def test_rates_of_cells_are_pooled_as_far_as_they_do_not_differ() -> None:
    far = np.zeros((len(CELL), 10), dtype=bool)
    far[:: PER_CELL // 4, 0] = True  # four architectures of every cell
    np.testing.assert_allclose(outlier_rates(far, CELL, ONES), 4 / PER_CELL / 10)
    far[CELL == 2] = False
    pooled = outlier_rates(far, CELL, ONES)
    assert np.ptp(pooled) == 0.0 and pooled[0] == pytest.approx(20 / len(CELL) / 10)
    far[np.flatnonzero(CELL == 2)[:200], :5] = True  # far more than chance
    own = outlier_rates(far, CELL, ONES)
    assert own[2] == pytest.approx(0.25, rel=0.05)
    np.testing.assert_allclose(own[[0, 1, 3, 4, 5]], 0.001, atol=0.002)
    assert (outlier_rates(np.zeros_like(far), CELL, ONES) == 0.0).all()


@pytest.mark.parametrize("repeats", [1, 10])
def test_tables_are_calibrated_ascending_and_positive(repeats: int) -> None:
    ratio = noise(widths=np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.4]))[:, :repeats]
    tables = quantile_tables(ratio, CELL, ONES, LEVELS)
    assert (np.diff(tables) >= 0).all() and (tables > 0).all()
    for c, table in enumerate(tables):
        inside = (ratio[c == CELL] < np.interp(0.25, LEVELS, table)).mean()
        assert inside == pytest.approx(0.25, abs=2 / PER_CELL)


def test_unit_mean_is_a_matter_of_scale() -> None:
    tables = quantile_tables(noise(0.001), CELL, ONES, LEVELS)
    before = tables.copy()
    unit = with_unit_mean(tables, LEVELS)
    np.testing.assert_allclose(mean_ratio(LEVELS, unit), 1.0, rtol=1e-6)
    np.testing.assert_allclose(unit / unit[:, :1], tables / tables[:, :1], rtol=1e-6)
    np.testing.assert_array_equal(unit, unit.astype(np.float32))
    np.testing.assert_array_equal(tables, before)


def test_a_size_that_few_architectures_reach_is_not_believed() -> None:
    ratio = noise()[:100]
    assert supported_sizes(ratio, 5) is not ratio
    np.testing.assert_array_equal(supported_sizes(ratio, 5), ratio)  # nothing unusual
    for k, size in enumerate([1000.0, 50.0, 40.0, 30.0, 20.0, 10.0]):
        ratio[10 * k, k] = size
    found = supported_sizes(ratio, 5)
    assert found.max() == 20.0 and found[50, 5] == 10.0
    assert ((found > 2.0) == (ratio > 2.0)).all()  # as many outliers as were measured


def test_every_stretch_of_the_profiling_has_the_same_weight() -> None:
    order = np.concatenate([np.arange(50), np.arange(50, 100, 5)])
    weights = time_weights(order, 100)
    assert weights[:50].sum() == pytest.approx(weights[50:].sum())


def test_weighted_quantiles_count_a_value_as_often_as_it_weighs() -> None:
    values, weights = np.array([3.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])
    often = np.repeat(values, weights.astype(int))
    levels = np.array([0.3, 0.6, 0.9])
    found = weighted_quantile(values, weights, levels)
    assert (np.abs(found - np.quantile(often, levels, method="hazen")) <= 1.0).all()
    np.testing.assert_array_equal(weighted_quantile(values, weights, np.array([0.0, 1.0])), [1, 3])
