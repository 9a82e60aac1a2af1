"""Regression by maximal evidence: right posteriors, the best penalties, useless blocks dropped."""

from __future__ import annotations

import numpy as np
import pytest

from hwgpt_blackbox.models.evidence import empirical_bayes, improve_variances, posterior, ridge

BLOCK = np.repeat([0, 1, 2], [1, 6, 10])


def regression(noise: float, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, results and true weights: block 1 counts, block 2 does not."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, len(BLOCK)))
    truth = np.where(BLOCK == 2, 0.0, rng.standard_normal(len(BLOCK)))
    return x, x @ truth + noise * rng.standard_normal(n), truth


def penalties(x: np.ndarray, y: np.ndarray, iterations: int = 25) -> np.ndarray:
    return empirical_bayes(x.T @ x, x.T @ y, float(y @ y), len(y), BLOCK, iterations)


def test_the_posterior_is_that_of_gaussian_rows() -> None:
    x, y, _ = regression(0.5)
    prior, noise = np.array([10.0, 0.5, 0.05])[BLOCK], 0.25
    mean, variance = posterior(x.T @ x, x.T @ y, 1 / prior, noise)
    across = prior[:, None] * x.T  # the same by conditioning on the rows
    gain = np.linalg.solve((x * prior) @ x.T + noise * np.eye(len(y)), across.T).T
    np.testing.assert_allclose(mean, gain @ y)
    np.testing.assert_allclose(variance, np.diag(np.diag(prior) - gain @ across.T))


def test_a_penalty_is_the_noise_over_the_prior_variance() -> None:
    x, y, _ = regression(0.5)
    prior, noise = np.array([10.0, 0.5, 0.05])[BLOCK], 0.25
    mean, variance = posterior(x.T @ x, x.T @ y, 1 / prior, noise)
    same, share = posterior(x.T @ x, x.T @ y, noise / prior)
    np.testing.assert_allclose(same, mean)
    np.testing.assert_allclose(share * noise, variance)
    np.testing.assert_allclose(ridge(x.T @ x, x.T @ y, noise / prior), mean)


def test_what_does_not_count_is_dropped_and_what_counts_is_found() -> None:
    x, y, truth = regression(0.1)
    extra = x[:, BLOCK == 2]
    y -= extra @ np.linalg.lstsq(x, y, rcond=None)[0][BLOCK == 2]  # not even by chance
    penalty = penalties(x, y, 200)
    assert penalty[0] == 0
    assert (penalty[BLOCK == 1] < 1).all()
    assert np.isinf(penalty[BLOCK == 2]).all()
    found = ridge(x.T @ x, x.T @ y, penalty)
    np.testing.assert_allclose(found, truth, atol=0.03)
    np.testing.assert_array_equal(found[BLOCK == 2], 0)


def test_both_ways_to_the_largest_evidence_end_there() -> None:
    x, y, _ = regression(1.0, 60)
    y[:] = (y - y.mean()) / y.std()
    x -= x.mean(axis=0)
    start = np.array([1.0, 1.0, 1.0, 0.1])
    weights, variances = improve_variances(x, y, BLOCK, start, 2000)
    penalty = penalties(x, y, 2000)

    def evidence(changed: np.ndarray) -> float:
        """Logarithm of the marginal likelihood, by its definition."""
        covariance = (x * changed[BLOCK]) @ x.T + changed[-1] * np.eye(len(y))
        fit = y @ np.linalg.solve(covariance, y)
        return float(-0.5 * (np.linalg.slogdet(covariance)[1] + fit))

    for block in (0, 1, 3):  # block 2 has no maximum: its variance goes to 0
        for factor in (0.5, 2.0):
            changed = variances.copy()
            changed[block] *= factor
            assert evidence(changed) < evidence(variances)
    mine = penalty[BLOCK == 1][0]
    assert mine == pytest.approx(
        variances[-1] / variances[1], rel=0.3
    )  # block 0 has no prior there
    np.testing.assert_allclose(ridge(x.T @ x, x.T @ y, penalty), weights, atol=0.1)
