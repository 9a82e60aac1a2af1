"""Noise floors and errors of effects: known noise and drift are found, architecture is not."""

from __future__ import annotations

import numpy as np
import pytest
from noise_floor import effect_errors, noise_floor

N, REPEATS = 4000, 20
RNG = np.random.default_rng(0)
EMBED = RNG.integers(0, 3, N)
PREDICTED = 10.0 * (1.0 + EMBED) * np.exp(0.1 * RNG.standard_normal(N))
ALL = np.arange(N)
DRIFT = 0.1 * np.sin(np.arange(N) / 150.0)


def measured(noise: float, drift: float = 0.0, misfit: float = 0.0) -> np.ndarray:
    """Repeats with relative noise of their own, drift over time, and errors of the prediction."""
    rng = np.random.default_rng(1)
    level = PREDICTED * np.exp(drift * DRIFT / 0.1 + misfit * rng.standard_normal(N))
    return level[:, None] * (1.0 + noise * rng.standard_normal((N, REPEATS)))


def error_of(repeats: np.ndarray) -> np.ndarray:
    return np.abs(repeats.mean(axis=1) - PREDICTED)


def test_a_model_that_knows_architecture_is_at_the_floor_of_its_repeats() -> None:
    repeats = measured(noise=0.2)
    found = noise_floor(repeats, PREDICTED, EMBED, ALL)
    assert found["mae_floor"] == pytest.approx(error_of(repeats).mean(), rel=0.05)
    assert found["rmse_floor"] == pytest.approx(np.sqrt((error_of(repeats) ** 2).mean()), rel=0.05)
    assert found["rmse_repeats"] == pytest.approx(found["rmse_floor"], rel=0.05)


def test_a_model_that_knows_architecture_is_at_the_floor_of_drift() -> None:
    repeats = measured(noise=0.05, drift=0.1)
    found = noise_floor(repeats, PREDICTED, EMBED, ALL)
    assert found["rmse_drift"] > 3 * found["rmse_repeats"]
    assert found["mae_floor"] == pytest.approx(error_of(repeats).mean(), rel=0.05)


def test_errors_that_belong_to_architectures_are_above_the_floor() -> None:
    repeats = measured(noise=0.05, misfit=0.1)
    found = noise_floor(repeats, PREDICTED, EMBED, ALL)
    assert error_of(repeats).mean() > 4 * found["mae_floor"]


def test_the_floor_of_some_rows_is_theirs() -> None:
    repeats = measured(noise=0.2)
    rows = np.flatnonzero(EMBED == 2)
    found = noise_floor(repeats, PREDICTED, EMBED, rows)
    assert found["mae_floor"] == pytest.approx(error_of(repeats)[rows].mean(), rel=0.08)


def test_one_repeat_says_nothing_of_repeats() -> None:
    found = noise_floor(measured(noise=0.1)[:, :1], PREDICTED, EMBED, ALL)
    assert found["rmse_repeats"] == 0.0


def test_errors_of_effects_do_not_see_drift_but_see_effects() -> None:
    still = effect_errors(measured(0.01).mean(axis=1), PREDICTED, ALL, EMBED)
    moving = effect_errors(measured(0.01, drift=0.1).mean(axis=1), PREDICTED, ALL, EMBED)
    wrong = effect_errors(measured(0.01, misfit=0.1).mean(axis=1), PREDICTED, ALL, EMBED)
    assert moving["rmse_effects"] < 0.03
    assert wrong["rmse_effects"] == pytest.approx(0.1, rel=0.1)
    assert still["mae_effects"] < moving["mae_effects"] < wrong["mae_effects"]


def test_predictions_that_are_not_positive_count_as_errors() -> None:
    spoilt = np.where(ALL == 7, -1.0, PREDICTED)
    found = effect_errors(PREDICTED, spoilt, ALL, EMBED)
    assert np.isfinite(found["rmse_effects"]) and found["rmse_effects"] > 0.01
