"""Rates of outliers, measured and drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers import random_surrogate

from hwgpt_blackbox.convert.fitting.features import Sample
from hwgpt_blackbox.convert.judging.holdouts import Trial
from hwgpt_blackbox.convert.judging.outliers import (
    THRESHOLDS,
    beyond,
    rate_interval,
    rates_about_own_median,
    rates_about_prediction,
    repeat_effects,
)
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.models.noise import SESSIONS, Dependence
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate

LEVELS = np.array([0.0, 0.01, 0.5, 0.98, 1.0])
RATIO = np.array([0.2, 0.9, 1.0, 1.1, 20.0])
TARGET = "energy@a100"
N, REPEATS = 3000, 10


def trial_of(dependence: Dependence, seed: int = 0) -> Trial:
    """A trial whose measurements are draws of its own model, repeats of a session each."""
    base = random_surrogate(SPACES["s"])
    middles = (RATIO[1:] + RATIO[:-1]) / 2
    ratio = (RATIO / (middles * np.diff(LEVELS)).sum())[None, None, None]
    model = replace(base.models[TARGET], ratio=ratio, dependence=dependence)
    surrogate = Surrogate(base.space, {TARGET: model}, LEVELS, {})
    matrix = Encoding(base.space).sample(N, np.random.default_rng(seed))
    predictor = Predictor(surrogate, [Column("energy", "a100")])
    numbers = np.uint64(1000) + np.arange(REPEATS, dtype=np.uint64) * np.uint64(SESSIONS)
    drawn = np.hstack([predictor.measurements(matrix, numbers[k : k + 1]) for k in range(REPEATS)])
    noisy = {TARGET: drawn}
    floor: dict[str, AdditiveModel] = {}
    return Trial(None, surrogate, Sample(base.space, matrix), {}, noisy, floor, N, {})


@pytest.mark.parametrize("spread", [1.0, 0.6])
def test_a_model_draws_outliers_at_the_rate_of_its_own_draws(spread: float) -> None:
    trial = trial_of(Dependence(spread=spread))
    for found in (
        rates_about_prediction(trial, TARGET),
        rates_about_own_median(trial, TARGET, sessions=3),
    ):
        assert [row.threshold for row in found] == list(THRESHOLDS)
        for row in found:
            assert row.low <= row.measured <= row.high
            assert row.drawn == pytest.approx(row.measured, rel=0.35, abs=3e-4)


def test_the_rate_of_the_model_is_exact() -> None:
    found = {r.threshold: r for r in rates_about_prediction(trial_of(Dependence()), TARGET)}
    median, end = 1.0, 20.0
    for threshold in (2.0, 5.0, 10.0):
        exact = 0.02 * (end - threshold * median) / (end - 1.1)
        assert found[threshold].drawn == pytest.approx(exact, rel=1e-9)
    assert found[100.0].drawn == 0.0 and found[100.0].measured == 0.0 and found[100.0].agrees
    assert found[0.5].drawn == pytest.approx(0.01 * 0.3 / 0.7)


def test_a_model_without_the_outliers_is_found_out() -> None:
    trial = trial_of(Dependence())
    spoilt = {TARGET: np.where(np.arange(REPEATS) == 3, 3.0, 1.0) * trial.noisy[TARGET]}
    wrong = replace(trial, noisy=spoilt)
    for rows in (rates_about_prediction(wrong, TARGET), rates_about_own_median(wrong, TARGET)):
        assert not next(row for row in rows if row.threshold == 2.0).agrees


def test_hits_that_come_together_are_worth_fewer() -> None:
    rng = np.random.default_rng(0)
    single = rng.random((5000, 20)) < 0.01
    together = np.repeat(rng.random((5000, 1)) < 0.01, 20, axis=1)
    in_a_row = np.zeros((5000, 20), dtype=bool)
    in_a_row[1000:1050] = True
    widths = [high - low for low, high in map(rate_interval, (single, together, in_a_row))]
    assert widths[0] < widths[1] / 3 < widths[2] / 3
    low, high = rate_interval(np.zeros((5000, 20), dtype=bool))
    assert low == 0.0 and 1 / 5000 < high < 10 / 5000


def test_intervals_hold_the_true_rate_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        low, high = rate_interval(rng.random((2000, 5)) < 0.003)
        held += low <= 0.003 <= high
    assert held / 300 >= 0.9


def test_below_and_above() -> None:
    ratio = np.array([0.4, 1.0, 3.0])
    assert beyond(ratio, 0.5).tolist() == [True, False, False]
    assert beyond(ratio, 2.0).tolist() == [False, False, True]


def test_warm_up_shows_in_the_first_repeats() -> None:
    rng = np.random.default_rng(0)
    repeats = np.exp(0.01 * rng.standard_normal((500, 10)))
    repeats[:, 0] *= 1.2
    effects = repeat_effects(repeats)
    assert effects[0] == pytest.approx(1.2, rel=0.01)
    np.testing.assert_allclose(effects[1:], 1.0, rtol=0.01)
