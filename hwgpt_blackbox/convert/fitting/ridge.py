"""Ridge regression whose penalties, one per block of features, are learned from the data.

Type II maximum likelihood (MacKay 1992, "Bayesian interpolation"): blocks that the data do not
support are dropped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array

_CONVERGED = 0.05
_NOISE_FLOOR = 1e-13
"""Share of y'y that is noise at least: rounding."""
_MIN_EFFECTIVE, _MIN_EFFECTIVE_SHARE = 0.05, 0.02


def ridge(gram: Array, moment: Array, penalty: Array) -> Array:
    """Weights of a ridge regression.

    :param gram: X'X, shape (p, p)
    :param moment: X'y, shape (p,)
    :param penalty: per feature, shape (p,); infinite: the feature is dropped
    """
    keep = np.isfinite(penalty)
    weights = np.zeros(len(moment))
    system = gram[np.ix_(keep, keep)] + np.diag(penalty[keep] + _jitter(gram))
    weights[keep] = np.linalg.solve(system, moment[keep])
    return weights


def _jitter(gram: Array) -> float:
    """A penalty too small to matter that keeps collinear features solvable."""
    return 1e-11 * float(np.trace(gram)) / len(gram)


def empirical_bayes(
    gram: Array,
    moment: Array,
    square: float,
    rows: int,
    block: NDArray[np.intp],
    iterations: int = 25,
) -> Array:
    """Penalty per feature that maximises the marginal likelihood.

    :param gram: X'X, shape (p, p)
    :param moment: X'y, shape (p,)
    :param square: y'y
    :param rows: number of rows of X
    :param block: block of each feature; block 0 has no penalty
    :return: shape (p,); infinite where the block is dropped
    """
    blocks = int(block.max()) + 1
    alpha, variance = _start(gram, moment, square, rows, block)
    alive = np.ones(blocks, dtype=bool)
    for _ in range(iterations):
        keep = alive[block]
        kept = block[keep]
        system, target = gram[np.ix_(keep, keep)], moment[keep]
        inverse = np.linalg.inv(system + np.diag(alpha[kept] + _jitter(gram)))
        weights = inverse @ target
        leverage = np.diag(inverse)
        effective = 0.0
        new = alpha.copy()
        for k in np.flatnonzero(alive):
            members = kept == k
            gamma = float(members.sum() - alpha[k] * leverage[members].sum())
            effective += gamma
            if k:
                new[k] = max(gamma, 1e-12) * variance
                new[k] /= max(float((weights[members] ** 2).sum()), 1e-300)
                floor = max(_MIN_EFFECTIVE_SHARE * float(members.sum()), _MIN_EFFECTIVE)
                alive[k] = gamma >= floor
        residual = square - 2.0 * weights @ target + weights @ system @ weights
        variance = max(float(residual), _NOISE_FLOOR * square) / max(rows - effective, 1.0)
        ratio = np.maximum(new[alive][1:], 1e-300) / np.maximum(alpha[alive][1:], 1e-300)
        alpha = new
        if np.abs(np.log(ratio)).max(initial=0.0) < _CONVERGED:
            break
    return np.where(alive[block], alpha[block], np.inf)


def _start(
    gram: Array, moment: Array, square: float, rows: int, block: NDArray[np.intp]
) -> tuple[Array, float]:
    """First penalties by moments: a block's mean square weight less the noise's share."""
    # With more features than rows a tiny penalty would interpolate and leave no residual.
    small = (1e-6 if rows > 2 * len(gram) else 1e-2) * np.trace(gram) / len(gram)
    system = gram + np.diag(np.where(block > 0, small, _jitter(gram)))
    inverse = np.linalg.inv(system)
    weights = inverse @ moment
    residual = square - 2.0 * weights @ moment + weights @ gram @ weights
    variance = max(float(residual), _NOISE_FLOOR * square) / max(rows - len(weights), rows // 2)
    alpha = np.zeros(int(block.max()) + 1)
    leverage = np.diag(inverse)
    for k in range(1, len(alpha)):
        members = block == k
        signal = float((weights[members] ** 2).sum() - variance * leverage[members].sum())
        prior = max(signal, 0.0) / float(members.sum())
        alpha[k] = variance / max(prior, 0.2 * variance * float(leverage[members].min()), 1e-300)
    return alpha, variance
