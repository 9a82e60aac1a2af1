"""Regression by maximal evidence: right posteriors, the best penalties, useless blocks dropped."""

from __future__ import annotations

import numpy as np
import pytest

from hwgpt_blackbox.models.evidence import empirical_bayes, regress, ridge

BLOCK = np.repeat([0, 1, 2], [1, 6, 10])


def sums(noise: float, n: int = 400) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Gram matrix, moments, y'y and true weights: block 1 counts, block 2 does not."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, len(BLOCK)))
    truth = np.where(BLOCK == 2, 0.0, rng.standard_normal(len(BLOCK)))
    y = x @ truth + noise * rng.standard_normal(n)
    return x.T @ x, x.T @ y, float(y @ y), truth


def log_evidence(penalty: np.ndarray, variance: float, n: int, noise: float) -> float:
    """Logarithm of the marginal likelihood, by its definition: y is Gaussian."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, len(BLOCK)))
    truth = np.where(BLOCK == 2, 0.0, rng.standard_normal(len(BLOCK)))
    y = x @ truth + noise * rng.standard_normal(n)
    prior = variance / np.where(penalty == 0, 1e-6, penalty)[BLOCK]
    covariance = variance * np.eye(n) + (x * prior) @ x.T
    return float(-0.5 * (np.linalg.slogdet(covariance)[1] + y @ np.linalg.solve(covariance, y)))


def test_one_step_is_the_posterior() -> None:
    gram, moment, square, _ = sums(0.3)
    penalty = np.array([0.0, 0.5, 20.0])
    weights, effective, squares, residual = regress(gram, moment, square, penalty, BLOCK)
    inverse = np.linalg.inv(gram + np.diag(penalty[BLOCK]))
    np.testing.assert_allclose(weights, inverse @ moment)
    np.testing.assert_allclose(weights, ridge(gram, moment, penalty[BLOCK]))
    determined = np.diag(inverse @ gram)  # 1 where the prior says nothing
    np.testing.assert_allclose(effective, np.bincount(BLOCK, determined))
    np.testing.assert_allclose(squares, np.bincount(BLOCK, weights**2))
    assert residual == pytest.approx(square - 2 * weights @ moment + weights @ gram @ weights)


def test_a_dropped_block_is_as_if_it_were_not_there() -> None:
    gram, moment, square, _ = sums(0.3)
    found = regress(gram, moment, square, np.array([0.0, 1.0, np.inf]), BLOCK)
    few = BLOCK < 2
    alone = regress(gram[np.ix_(few, few)], moment[few], square, np.array([0.0, 1.0]), BLOCK[few])
    np.testing.assert_allclose(found.weights, np.append(alone.weights, np.zeros(10)))
    np.testing.assert_allclose(found.effective, [*alone.effective, 0])
    assert found.residual == pytest.approx(alone.residual)


def test_what_does_not_count_is_dropped_and_what_counts_is_found() -> None:
    gram, moment, square, truth = sums(0.1)
    penalty = empirical_bayes(gram, moment, square, 400, BLOCK)
    assert penalty[0] == 0
    assert (penalty[BLOCK == 1] < 1).all()
    assert (penalty[BLOCK == 2] > 20).all()
    np.testing.assert_allclose(ridge(gram, moment, penalty), truth, atol=0.03)


def test_penalties_have_the_largest_evidence() -> None:
    n, noise = 60, 1.0
    gram, moment, square, _ = sums(noise, n)
    penalty = empirical_bayes(gram, moment, square, n, BLOCK, iterations=500)
    blocks = np.array([penalty[k == BLOCK][0] for k in range(3)])
    found = regress(gram, moment, square, blocks, BLOCK)
    variance = found.residual / (n - found.effective.sum())
    best = log_evidence(np.minimum(blocks, 1e9), variance, n, noise)
    for factor in (0.2, 5.0):
        other = blocks * np.array([1.0, factor, 1.0])
        assert log_evidence(np.minimum(other, 1e9), variance, n, noise) < best
