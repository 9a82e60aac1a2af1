"""Fits of noisy metrics: draws have the expected value as mean, drift is told from effects."""

from __future__ import annotations

import numpy as np
import pytest
from noise_floor import effect_errors

from hwgpt_blackbox.convert.fitting.expected_value import (
    DESIGNS,
    WITHOUT_DRIFT,
    Regression,
    choose_design,
    make_folds,
)
from hwgpt_blackbox.convert.fitting.features import Architectures, pair_counts
from hwgpt_blackbox.convert.fitting.few_architectures import fit_few
from hwgpt_blackbox.convert.fitting.noise_tables import quantile_levels
from hwgpt_blackbox.convert.fitting.whole_space import PAIRS, fit_noisy, fit_perplexity
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import SPACES, Space
from hwgpt_blackbox.models.noise import mean_ratio
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate

SPACE, N, REPEATS = SPACES["s"], 900, 10
LEVELS = quantile_levels()
SMALL_SPACES = (
    Space("two", (8, 16), (4, 5), (1, 2), (1, 2), 1),
    Space("many", (8, 16), (2, 4, 6, 8), (1, 2, 3, 4), (1, 2, 4, 8), 1),
)


@pytest.fixture(scope="module")
def sample() -> Architectures:
    return Architectures(SPACE, Encoding(SPACE).sample(N, np.random.default_rng(0)))


def truth(sample: Architectures) -> np.ndarray:
    """Expected values without noise or drift, shape (n,)."""
    effects = np.array([1.0, 1.1, 1.2, 1.5, 1.6, 1.7, 2.0, 2.1, 2.2])
    return (1.0 + sample.embed) * (3.0 + pair_counts(sample) @ effects)


def measured(values: np.ndarray, rate: float = 0.0, drift: float = 0.0) -> np.ndarray:
    """Repeats with 3 % of noise, outliers of ten times at a rate, and drift, shape (n, r)."""
    rng = np.random.default_rng(1)
    noise = np.exp(0.03 * rng.standard_normal((len(values), REPEATS)))
    noise *= np.where(rng.random(noise.shape) < rate, 10.0, 1.0)
    return values[:, None] * noise * np.exp(drift * np.sin(np.arange(len(values)) / 40.0))[:, None]


@pytest.mark.parametrize("fitter", ["many", "few"])
def test_the_mean_of_the_draws_is_the_expected_value_and_that_of_the_data(
    sample: Architectures, fitter: str
) -> None:
    repeats = measured(truth(sample), rate=0.004)
    regression = Regression(sample, np.arange(N))
    if fitter == "many":
        model, _ = fit_noisy(regression, make_folds(regression), repeats, N, LEVELS)
    else:
        model, _, _ = fit_few(sample, repeats, LEVELS)
    assert model.ratio is not None
    np.testing.assert_allclose(mean_ratio(LEVELS, model.ratio), 1.0, rtol=1e-6)
    surrogate = Surrogate(SPACE, {"energy@a100": model}, LEVELS, {})
    predictor = Predictor(surrogate, [Column("energy", "a100")])
    expected = predictor.expected(sample.matrix)
    assert repeats.mean() / expected.mean() == pytest.approx(1.0, abs=0.01)
    draws = [predictor.measurements(sample.matrix, np.array([k], np.uint64)) for k in range(200)]
    assert np.mean([d.mean() for d in draws]) / expected.mean() == pytest.approx(1.0, abs=0.01)
    middle = np.median(np.hstack(draws), axis=1) / truth(sample)
    np.testing.assert_allclose(middle, 1.0, atol=0.05)  # outliers do not move the body


def test_one_huge_outlier_does_not_move_a_fit_of_few(sample: Architectures) -> None:
    # 500 architectures of a device with outliers of 1,000 times: errors of 22 % instead of 8 %.
    few = sample.take(np.arange(300))
    plain = measured(truth(few))
    spoilt = plain.copy()
    spoilt[17, 3] *= 1000.0
    fits = [fit_few(few, repeats, LEVELS)[0] for repeats in (plain, spoilt)]
    means = [
        Predictor(Surrogate(SPACE, {"energy@a100": fit}, LEVELS, {}), [Column("energy", "a100")])
        .expected(sample.matrix)
        .mean()
        for fit in fits
    ]
    assert means[1] / means[0] == pytest.approx(1.0, abs=0.02)


def test_designs_are_those_that_are_asked_for(sample: Architectures) -> None:
    regression = Regression(sample, np.arange(N))
    repeats = measured(truth(sample), drift=0.2)
    folds = make_folds(regression)
    with_drift = choose_design(regression, repeats, folds, lambda fit: True, DESIGNS)
    left_in = choose_design(regression, repeats, folds, lambda fit: True, WITHOUT_DRIFT)
    assert with_drift.fit.design.drift and not left_in.fit.design.drift
    errors = [
        effect_errors(truth(sample), choice.fit.predict(regression), regression.order, sample.embed)
        for choice in (with_drift, left_in)
    ]
    assert errors[0]["rmse_effects"] < 0.7 * errors[1]["rmse_effects"]


def test_scaling_a_fit_scales_its_values_by_cell(sample: Architectures) -> None:
    regression = Regression(sample, np.arange(N))
    repeats = measured(truth(sample))
    fit = choose_design(regression, repeats, make_folds(regression), lambda fit: True).fit
    factor = np.linspace(0.9, 1.1, 6)
    scaled = fit.scaled(factor).predict(regression)
    np.testing.assert_allclose(
        scaled, fit.predict(regression) * factor[regression.cell], rtol=1e-12
    )


def perplexities(sample: Architectures, strength: float, apart: int) -> np.ndarray:
    """Values with half a percent of noise, in which layers some layers apart interact."""
    mlp, heads, active = sample.layers
    logs = 3.0 - 0.3 * sample.embed - 0.02 * np.where(active, mlp + heads, 0).sum(axis=1)
    products = (mlp[:, :-apart] - 1.0) * (heads[:, apart:] - 1.0)
    pairs = np.where(active[:, apart:], products, 0.0).sum(axis=1)
    noise = np.random.default_rng(2).standard_normal(len(sample))
    return np.asarray(np.exp(logs + strength * pairs + 0.005 * noise))


def predicted(model: AdditiveModel, sample: Architectures) -> np.ndarray:
    surrogate = Surrogate(sample.space, {"perplexity": model}, LEVELS, {})
    return Predictor(surrogate, [Column("perplexity")]).expected(sample.matrix)[:, 0]


@pytest.mark.parametrize(
    ("strength", "apart"),
    [(0.03, 1), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((0.0, 1), (0.03, 2)))],
)
def test_pairs_of_layers_have_effects_where_they_interact(strength: float, apart: int) -> None:
    sample = Architectures(SPACE, Encoding(SPACE).sample(2400, np.random.default_rng(0)))
    values = perplexities(sample, strength, apart)
    learn, held = np.arange(1800), np.arange(1800, 2400)
    model = fit_perplexity(sample.take(learn), values[learn])
    assert len(model.neighbours) == (apart if strength else 0)
    error = np.log(predicted(model, sample.take(held)) / values[held])
    assert np.sqrt((error**2).mean()) < 0.0065


@pytest.mark.parametrize("space", SMALL_SPACES, ids=lambda space: space.name)
def test_pairs_of_layers_do_not_spoil_a_fit_of_few(space: Space) -> None:
    sample = Architectures(space, Encoding(space).sample(400, np.random.default_rng(0)))
    values = perplexities(sample, 0.03, 1)
    few = sample.take(np.arange(200))
    chosen, single = (
        np.log(predicted(fit_perplexity(few, values[:200], pairs), sample) / values)[200:]
        for pairs in (PAIRS, PAIRS[:1])
    )
    assert np.sqrt((chosen**2).mean()) < 1.05 * np.sqrt((single**2).mean())
