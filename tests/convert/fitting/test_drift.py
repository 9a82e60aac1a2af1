"""Drift: what neighbours in profiling order have in common."""

from __future__ import annotations

import numpy as np
import pytest

from hwgpt_blackbox.convert.fitting.drift import (
    CANDIDATES,
    Drift,
    choose,
    estimate,
    running_median,
)


@pytest.mark.parametrize("n", [1, 2, 5, 10, 16, 17, 40, 300])
@pytest.mark.parametrize("half", [1, 6, 8, 25])
def test_the_running_median_is_of_the_neighbours_without_the_own_value(n: int, half: int) -> None:
    values = np.random.default_rng(n).standard_normal(n)
    found = running_median(values, half)
    for i in range(n):
        others = np.r_[values[max(0, i - half) : i], values[i + 1 : i + 1 + half]]
        assert found[i] == (np.median(others) if len(others) else 0.0)


@pytest.mark.parametrize("kind", CANDIDATES)
def test_no_row_sees_its_own_residual(kind: Drift) -> None:
    rng = np.random.default_rng(0)
    n = 300
    residuals, order = rng.standard_normal(n), rng.permutation(n)
    embed = rng.integers(0, 3, n)
    before = estimate(residuals, order, embed, kind)
    residuals[17] = 100.0
    assert estimate(residuals, order, embed, kind)[17] == before[17]


def test_rows_are_neighbours_by_their_order_not_by_their_place() -> None:
    rng = np.random.default_rng(0)
    n = 500
    drift = np.sin(np.arange(n) / 60.0)
    order = rng.permutation(n)
    embed = np.zeros(n, dtype=np.intp)
    found = estimate(drift[order], order, embed, Drift(8))
    np.testing.assert_allclose(found, drift[order], atol=0.15)
    assert (estimate(drift, order, embed, Drift()) == 0.0).all()


def test_drift_is_believed_only_where_it_is() -> None:
    rng = np.random.default_rng(0)
    n = 2000
    order, embed = np.arange(n), rng.integers(0, 3, n)
    noise = 0.1 * rng.standard_normal(n)
    assert choose(noise, order, embed) == Drift()
    wave = np.sin(order / 100.0)
    common = choose(noise + wave, order, embed)
    assert common.half and not common.by_embed
    single = choose(noise + wave * (embed == 1), order, embed)
    assert single.half and single.by_embed
