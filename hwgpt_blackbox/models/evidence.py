"""Bayesian linear regression from sums over rows; penalties of blocks of features are learned.

The features of a block share one prior variance. A block's *penalty* is the variance of the noise
divided by it: infinite for a block that is dropped, 0 for one without a prior. Penalties are
learned by maximal evidence (type II maximum likelihood; MacKay 1992, "Bayesian interpolation").

Arguments are the same everywhere: ``gram`` is X'X, shape (p, p); ``moment`` is X'y, shape (p,);
``square`` is y'y; ``block`` is the block of each feature, 0, 1, ..., shape (p,).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Blocks = NDArray[np.intp]

_CONVERGED = 0.05
"""Change of the logarithm of every penalty below which learning ends."""
_NOISE_FLOOR = 1e-13
"""Share of y'y that is noise at least: rounding."""
_MIN_EFFECTIVE, _MIN_EFFECTIVE_SHARE = 0.05, 0.02
"""A block of which the data determine fewer parameters, or a smaller share of them, is dropped."""


class Regression(NamedTuple):
    """What the data say of a regression with given penalties.

    :param weights: posterior means, shape (p,); 0 in blocks that are dropped
    :param effective: how many parameters of each block the data determine, shape (blocks,)
    :param squares: sum of the squared weights of each block, shape (blocks,)
    :param residual: sum of the squared residuals
    """

    weights: Array
    effective: Array
    squares: Array
    residual: float


def regress(gram: Array, moment: Array, square: float, penalty: Array, block: Blocks) -> Regression:
    """One step of the evidence: the regression for given penalties.

    :param penalty: of each block, shape (blocks,)
    """
    alive = np.isfinite(penalty)
    keep = alive[block]
    finite = np.where(alive, penalty, 0.0)
    diagonal = finite[block[keep]] + _jitter(gram)
    found, leverage, residual = _solve(gram[np.ix_(keep, keep)], moment[keep], square, diagonal)
    weights, leverages = np.zeros(len(moment)), np.zeros(len(moment))
    weights[keep], leverages[keep] = found, leverage
    sizes = np.bincount(block[keep], minlength=len(penalty))
    effective = sizes - finite * _block_sums(leverages, block, len(penalty))
    return Regression(weights, effective, _block_sums(weights**2, block, len(penalty)), residual)


def ridge(gram: Array, moment: Array, penalty: Array) -> Array:
    """Weights of a ridge regression, shape (p,).

    :param penalty: of each feature, shape (p,); infinite: the feature is dropped
    """
    keep = np.isfinite(penalty)
    weights = np.zeros(len(moment))
    system = gram[np.ix_(keep, keep)] + np.diag(penalty[keep] + _jitter(gram))
    weights[keep] = np.linalg.solve(system, moment[keep])
    return weights


def empirical_bayes(
    gram: Array, moment: Array, square: float, rows: int, block: Blocks, iterations: int = 25
) -> Array:
    """Penalty of each feature that maximises the evidence, shape (p,).

    Blocks that the data do not support are dropped: their penalty is infinite. Block 0 has none.

    :param rows: number of rows of X
    :param iterations: most steps
    """
    penalty, variance = _start(gram, moment, square, rows, block)
    least = np.maximum(_MIN_EFFECTIVE_SHARE * np.bincount(block), _MIN_EFFECTIVE)
    least[0] = -np.inf
    for _ in range(iterations):
        found = regress(gram, moment, square, penalty, block)
        new = np.maximum(found.effective, 1e-12) * variance / np.maximum(found.squares, 1e-300)
        new[0] = 0.0
        new[found.effective < least] = np.inf
        known = float(np.cumsum(found.effective)[-1])  # in order: fits repeat to the last bit
        variance = _variance(found.residual, square, max(rows - known, 1.0))
        kept = np.flatnonzero(np.isfinite(new))[1:]
        ratio = np.maximum(new[kept], 1e-300) / np.maximum(penalty[kept], 1e-300)
        penalty = new
        if np.abs(np.log(ratio)).max(initial=0.0) < _CONVERGED:
            break
    return np.asarray(penalty[block])


def _start(
    gram: Array, moment: Array, square: float, rows: int, block: Blocks
) -> tuple[Array, float]:
    """First penalties by moments: a block's mean square weight less the noise's share."""
    # With more features than rows a tiny penalty would interpolate and leave no residual.
    small = (1e-6 if rows > 2 * len(gram) else 1e-2) * np.trace(gram) / len(gram)
    diagonal = np.where(block > 0, small, _jitter(gram))
    weights, leverage, residual = _solve(gram, moment, square, diagonal)
    variance = _variance(residual, square, max(rows - len(weights), rows // 2))
    penalty = np.zeros(int(block.max()) + 1)
    for k in range(1, len(penalty)):
        members = block == k
        signal = float((weights[members] ** 2).sum() - variance * leverage[members].sum())
        prior = max(signal, 0.0) / float(members.sum())
        penalty[k] = variance / max(prior, 0.2 * variance * float(leverage[members].min()), 1e-300)
    return penalty, variance


def _solve(
    gram: Array, moment: Array, square: float, diagonal: Array
) -> tuple[Array, Array, float]:
    """Weights (p,), diagonal of the inverse (p,) and squared residuals, penalties on a diagonal."""
    inverse = np.linalg.inv(gram + np.diag(diagonal))
    weights = inverse @ moment
    residual = square - 2.0 * weights @ moment + weights @ gram @ weights
    return weights, np.diag(inverse), float(residual)


def _variance(residual: float, square: float, freedom: float) -> float:
    return max(residual, _NOISE_FLOOR * square) / freedom


def _jitter(gram: Array) -> float:
    """A penalty too small to matter that keeps collinear features solvable."""
    return 1e-11 * float(np.trace(gram)) / len(gram)


def _block_sums(values: Array, block: Blocks, blocks: int) -> Array:
    """Sum of the values (p,) of each block, shape (blocks,)."""
    return np.array([values[block == k].sum() for k in range(blocks)])
