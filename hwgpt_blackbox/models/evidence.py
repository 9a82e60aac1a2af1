"""Bayesian linear regression from sums over rows; penalties of blocks of features are learned.

The features of a block share one prior variance. A block's *penalty* is the variance of the noise
divided by it: infinite for a block that is dropped, 0 for one without a prior. Penalties are
learned by maximal evidence (type II maximum likelihood; MacKay 1992, "Bayesian interpolation").

Arguments are the same everywhere: ``gram`` is X'X, shape (p, p); ``moment`` is X'y, shape (p,);
``square`` is y'y; ``block`` is the block of each feature, 0, 1, ..., shape (p,).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.models.portable_algebra import inverse_factor, product

Array = NDArray[np.float64]
Blocks = NDArray[np.intp]

_CONVERGED = 0.05
"""Change of the logarithm of every penalty below which learning ends."""
_NOISE_FLOOR = 1e-13
"""Share of y'y that is noise at least: rounding."""
_MIN_EFFECTIVE, _MIN_EFFECTIVE_SHARE = 0.05, 0.02
"""A block of which the data determine fewer parameters, or a smaller share of them, is dropped."""
_MIN_KNOWN = 1e-9
"""Share of a weight that the data determine, at least: rounding."""


def posterior(
    gram: Array, moment: Array, precision: Array, noise: float = 1.0
) -> tuple[Array, Array]:
    """Mean and variance of each weight, given prior and noise: both of shape (p,).

    :param precision: one over the prior variance of each feature, shape (p,). A penalty, if
        ``noise`` is 1: the variance returned is then a share of that of the noise.
    :param noise: variance of the noise
    """
    covariance = np.linalg.inv(gram / noise + np.diag(precision))
    return covariance @ moment / noise, np.diag(covariance)


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
    sizes, blocks = np.bincount(block), len(penalty)
    least = np.maximum(_MIN_EFFECTIVE_SHARE * sizes, _MIN_EFFECTIVE)
    least[0] = -np.inf
    for _ in range(iterations):
        alive = np.isfinite(penalty)
        keep, finite = alive[block], np.where(alive, penalty, 0.0)
        system, target, kept = gram[np.ix_(keep, keep)], moment[keep], block[keep]
        weights, leverage = posterior(system, target, finite[kept] + _jitter(gram))
        effective = alive * sizes - finite * _block_sums(leverage, kept, blocks)
        new = np.maximum(effective, 1e-12) * variance
        new /= np.maximum(_block_sums(weights**2, kept, blocks), 1e-300)
        new[0] = 0.0
        new[effective < least] = np.inf
        known = float(np.cumsum(effective)[-1])  # in order: fits repeat to the last bit
        variance = _variance(system, target, square, weights, max(rows - known, 1.0))
        left = np.flatnonzero(np.isfinite(new))[1:]
        ratio = np.maximum(new[left], 1e-300) / np.maximum(penalty[left], 1e-300)
        penalty = new
        if np.abs(np.log(ratio)).max(initial=0.0) < _CONVERGED:
            break
    return np.asarray(penalty[block])


def improve_variances(
    features: Array,
    target: Array,
    block: Blocks,
    variances: Array,
    iterations: int,
    gram: Array | None = None,
) -> tuple[Array, Array]:
    """Some steps towards the prior variances of the largest evidence. No block is dropped.

    With the same bits on every machine.

    :param features: X, centred, shape (n, p)
    :param target: y, of mean 0 and variance 1, shape (n,)
    :param variances: prior variance of each block and, last, of the noise, to start from, shape
        (blocks + 1,)
    :param iterations: how many steps; at least 1
    :param gram: X'X, if it is known
    :return: weights, shape (p,), and the variances after these steps
    """
    few = len(target) < len(block)
    if gram is None and not few:
        gram = product(features.T, features)
    moment, weights = (features.T * target).sum(axis=1), np.zeros(len(block))
    for _ in range(iterations):
        prior, noise = variances[block], variances[-1]
        if few or gram is None:  # of the size of the rows
            covariance = product(features * prior, features.T) + noise * np.eye(len(target))
            root = inverse_factor(covariance)
            told = product(root, features)
            weights = prior * (told * (root * target).sum(axis=1)[:, None]).sum(axis=0)
            known = prior * (told**2).sum(axis=0)  # told by the data
        else:  # of the size of the columns
            root = inverse_factor(gram / noise + np.diag(1 / prior))
            weights = (root * (root * (moment / noise)).sum(axis=1)[:, None]).sum(axis=0)
            known = 1 - (root**2).sum(axis=0) / prior
        known = np.clip(known, _MIN_KNOWN, 1)
        own = np.bincount(block, weights**2) / np.bincount(block, known)
        # From the rows, since the sums cancel where there is next to no noise.
        residual = float(((target - (features * weights).sum(axis=1)) ** 2).sum())
        rest = residual / max(len(target) - float(known.sum()), 1.0)
        variances = np.clip(np.append(own, rest), 1e-8, 1e4)
    return weights, variances


def _start(
    gram: Array, moment: Array, square: float, rows: int, block: Blocks
) -> tuple[Array, float]:
    """First penalties by moments: a block's mean square weight less the noise's share."""
    # With more features than rows a tiny penalty would interpolate and leave no residual.
    small = (1e-6 if rows > 2 * len(gram) else 1e-2) * np.trace(gram) / len(gram)
    weights, leverage = posterior(gram, moment, np.where(block > 0, small, _jitter(gram)))
    freedom = max(rows - len(weights), rows // 2)
    variance = _variance(gram, moment, square, weights, freedom)
    penalty = np.zeros(int(block.max()) + 1)
    for k in range(1, len(penalty)):
        members = block == k
        signal = float((weights[members] ** 2).sum() - variance * leverage[members].sum())
        prior = max(signal, 0.0) / float(members.sum())
        penalty[k] = variance / max(prior, 0.2 * variance * float(leverage[members].min()), 1e-300)
    return penalty, variance


def _variance(gram: Array, moment: Array, square: float, weights: Array, freedom: float) -> float:
    """Variance of what the weights leave of y, over so many degrees of freedom."""
    residual = float(square - 2.0 * weights @ moment + weights @ gram @ weights)
    return max(residual, _NOISE_FLOOR * square) / freedom


def _jitter(gram: Array) -> float:
    """A penalty too small to matter that keeps collinear features solvable."""
    return 1e-11 * float(np.trace(gram)) / len(gram)


def _block_sums(values: Array, block: Blocks, blocks: int) -> Array:
    """Sum of the values (p,) of each block, shape (blocks,)."""
    return np.array([values[block == k].sum() for k in range(blocks)])
