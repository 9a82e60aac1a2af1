"""Denoising: noise is taken away where there is some; exact values stay."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from syne_tune.config_space import choice, randint, uniform

from hwgpt_blackbox.optimizers._denoising import Denoiser, noise_share
from hwgpt_blackbox.optimizers._space import SearchSpace

LAYERS = 12
SPACE = SearchSpace(
    {"embed": choice([1, 2, 4]), **{f"w_{i}": choice([1, 2, 3]) for i in range(12)}}
)
WEIGHTS = 1 + np.arange(LAYERS) / LAYERS


def walk(space: SearchSpace, n: int) -> np.ndarray:
    """Architectures as a search makes them: random ones, then neighbours of earlier ones."""
    rng = np.random.default_rng(0)
    codes = list(space.sample(rng, n // 4))
    while len(codes) < n:
        codes.append(space.change_one(rng, codes[int(rng.integers(len(codes)))]))
    return np.array(codes)


def cost(codes: np.ndarray) -> np.ndarray:
    """A sum over layers, larger in a wider network; positive."""
    return (1 + codes[:, 0]) * (20 + codes[:, 1:] @ WEIGHTS)


def interacting(codes: np.ndarray) -> np.ndarray:
    """No sum over layers: neighbouring layers count together. Positive."""
    return 1 + (codes[:, 1:-1] * codes[:, 2:] * WEIGHTS[1:]).sum(axis=1)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_noise_is_taken_away(sign: float) -> None:
    codes = walk(SPACE, 300)
    exact = np.stack([cost(codes), interacting(codes)], axis=1)
    factors = np.exp(0.2 * np.random.default_rng(1).standard_normal(len(codes)))
    measured = sign * exact * np.stack([factors, np.ones(len(codes))], axis=1)
    denoiser = Denoiser(SPACE, None)
    assert denoiser.update(codes, measured)
    raw, left = (np.log(np.abs(v[:, 0]) / exact[:, 0]).std() for v in (measured, denoiser.values))
    assert left < 0.5 * raw  # some 40 of 300 degrees of freedom are left: a third
    np.testing.assert_array_equal(denoiser.values[:, 1], measured[:, 1])  # has no noise


@pytest.mark.parametrize("function", [cost, interacting])
def test_exact_values_stay_as_they_are(function: Any) -> None:
    codes = walk(SPACE, 300)
    values = np.stack([function(codes), -function(codes)], axis=1)
    denoiser = Denoiser(SPACE, None)
    for n in (20, 40, 80, 150, 300):
        assert not denoiser.update(codes[:n], values[:n])
    np.testing.assert_array_equal(denoiser.values, values)


def test_values_come_one_by_one_as_all_at_once() -> None:
    codes = walk(SPACE, 120)
    noise = np.random.default_rng(1).standard_normal((120, 2))
    values = np.stack([cost(codes), interacting(codes)], axis=1) + 20 * noise
    denoiser = Denoiser(SPACE, None)
    for n in range(1, 121):
        denoiser.update(codes[:n], values[:n])
        assert denoiser.values.shape == (n, 2)
    kept = pickle.loads(pickle.dumps(denoiser))
    for one in (denoiser, kept):
        one.update(codes, values)
    np.testing.assert_array_equal(kept.values, denoiser.values)
    assert (denoiser.values != values).any()


@pytest.mark.parametrize(
    "values", [np.zeros((80, 2)), np.random.default_rng(0).standard_normal((80, 2)) ** 7]
)
def test_constant_and_wild_values_are_survived(values: np.ndarray) -> None:
    space = SearchSpace({"a": uniform(0, 1), "b": randint(0, 9), "c": choice(["x", "y", "z"])})
    denoiser = Denoiser(space, None)
    denoiser.update(walk(space, 80), values)
    assert np.isfinite(denoiser.values).all()


def test_share_of_noise_is_that_of_the_sample() -> None:
    rng = np.random.default_rng(0)
    places = rng.random((120, 1))
    distances = np.abs(places - places.T)
    smooth = np.sin(6 * places[:, 0])
    assert noise_share(smooth, distances) == 0
    assert noise_share(rng.standard_normal(120), distances) > 0.8
    assert 0.2 <= noise_share(smooth + 0.7 * rng.standard_normal(120), distances) <= 0.8
