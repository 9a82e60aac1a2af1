"""Calibrated noise: quantiles of measurement over expected value, tails and mean included.

Where a cell has values enough, its quantiles are its own. Beyond, outliers are those of the device:
every cell has its own rate of them (drawn towards the device's as far as the cells do not differ)
and their sizes from all cells. Nothing else moves a quantile: what the mean of the quantiles says
is put into the expected value, so that a rate that was measured is a rate that is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.expected_value import Fold
from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.models.noise import mean_ratio

TAIL_COUNT = 10.0
"""Measurements beyond which the tail of the smallest cell is not its own."""

OUTLIER = 2.0
"""Ratios below this are nothing unusual."""

MAX_TAIL = 0.05
"""Largest share of a cell's measurements in a tail that is not its own."""


def quantile_levels(body: int = 128, halvings: int = 12) -> Array:
    """Levels of the noise tables: even in the body, ever closer towards 0 and 1 in the tails.

    :param body: cells of the even part
    :param halvings: in each tail; two knots for each, the outermost at 2^-halvings / body
    :return: ascending from 0 to 1, exact binary fractions
    """
    power = 2.0 ** -np.arange(halvings, 0, -1) / body
    tail = np.sort(np.concatenate([power, 1.5 * power]))
    return np.concatenate([[0.0], tail, np.arange(1, body) / body, 1.0 - tail[::-1], [1.0]])


def weighted_quantile(values: Array, weights: Array, levels: Array) -> Array:
    """Quantiles of weighted values, shape (levels,)."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    middles = total - weights[order] / 2.0
    return np.asarray(np.interp(levels * total[-1], middles, values[order]))


def time_weights(order: NDArray[np.intp], length: int, block: int = 50) -> Array:
    """Weights that give every stretch of the profiling the same total.

    A random part of the rows holds, by chance, more of one state of the machine than of another.

    :param order: positions while profiling, shape (n,)
    :param length: number of positions
    """
    stretch = order * max(length // block, 1) // length
    count = np.bincount(stretch)
    return np.asarray(count[count > 0].mean() / count[stretch])


def align_folds(
    fitted: Array, out_of_fold: Array, folds: Sequence[Fold], cell: NDArray[np.intp]
) -> Array:
    """Out-of-fold predictions brought to the level of the final fit per fold and cell.

    Keeps the spread that unseen architectures have (the conformal part), drops the level error of
    the folds, which the final fit does not have.
    """
    out = out_of_fold.copy()
    for fold in folds:
        for c in np.unique(cell[fold.own_rows]):
            rows = fold.own_rows[cell[fold.own_rows] == c]
            out[rows] *= np.median(fitted[rows] / out_of_fold[rows])
    return out


def supported_sizes(ratio: Array, architectures: int) -> Array:
    """Ratios whose outliers are no larger than those of some architectures.

    The mean of a few hundred architectures is else that of the one with the largest outlier.

    :param ratio: measurements over expected values, shape (n, r)
    :param architectures: how many must have an outlier of a size for it to be believed
    """
    largest = np.sort(ratio.max(axis=1))[::-1]
    return np.minimum(ratio, max(float(largest[architectures - 1]), OUTLIER))


def outlier_rates(far: NDArray[np.bool_], cell: NDArray[np.intp], weights: Array) -> Array:
    """Share of measurements that are outliers, per cell, shape (cells,).

    A cell's own share and that of all cells, mixed by how much of the cells' differences is more
    than chance (a method of moments). An architecture counts once: its outliers come together.

    :param far: whether a measurement is an outlier, shape (n, r)
    :param cell: shape (n,)
    :param weights: shape (n,)
    """
    total = np.bincount(cell, weights)
    hit = np.bincount(cell, weights * far.mean(axis=1))
    own, pooled = hit / total, float(hit.sum() / total.sum())
    counts = np.bincount(cell)
    share = np.bincount(cell, far.any(axis=1)) / counts
    middle = float(far.any(axis=1).mean())
    chance = middle * (1.0 - middle) / float(counts.mean())
    real = max(0.0, float(share.var(ddof=1)) - chance)
    trust = real / (real + chance) if real > 0.0 else 0.0
    return np.asarray(trust * own + (1.0 - trust) * pooled)


def quantile_tables(ratio: Array, cell: NDArray[np.intp], weights: Array, levels: Array) -> Array:
    """Quantiles per cell; what lies beyond the tails of all cells is pooled, by rate and by size.

    :param ratio: measurements over expected values, shape (n, r)
    :param cell: shape (n,); every cell has members
    :param weights: shape (n,)
    :return: shape (cells, levels), ascending
    """
    members = [cell == c for c in range(int(cell.max()) + 1)]
    each = np.repeat(weights[:, None], ratio.shape[1], axis=1)
    fewest = min(int(own.sum()) for own in members) * ratio.shape[1]
    tail = min(TAIL_COUNT / fewest, MAX_TAIL)
    ends = np.array([tail, 1.0 - tail])
    first, last = np.transpose(
        [weighted_quantile(ratio[own].ravel(), each[own].ravel(), ends) for own in members]
    )
    sides = [ratio < first.min(), ratio > last.max()]
    rates = [outlier_rates(far, cell, weights) for far in sides]
    near = ~(sides[0] | sides[1])
    out = np.empty((len(members), len(levels)))
    for c, own in enumerate(members):
        parts = [near & own[:, None], *sides]
        shares = [1.0 - rates[0][c] - rates[1][c], rates[0][c], rates[1][c]]
        values = np.concatenate([ratio[part] for part in parts])
        scaled = [
            each[part] * share / max(float(each[part].sum()), 1e-300)
            for part, share in zip(parts, shares, strict=True)
        ]
        out[c] = weighted_quantile(values, np.concatenate(scaled), levels)
    return out


def with_unit_mean(tables: Array, levels: Array) -> Array:
    """Tables divided by their mean, and rounded to single precision.

    :param tables: shape (cells, levels), positive and ascending
    """
    out = tables / mean_ratio(levels, tables)[:, None]
    return out.astype(np.float32).astype(np.float64)


def fit_ratios(
    repeats: Array,
    expected: Array,
    cell: NDArray[np.intp],
    order: NDArray[np.intp],
    length: int,
    levels: Array,
) -> tuple[Array, Array]:
    """Noise tables of one metric of one device, and what they say of the expected value.

    :param repeats: measurements, shape (n, r), positive
    :param expected: expected value of each architecture as predicted without it, shape (n,)
    :param cell: (embed_dim, bias) cell, shape (n,)
    :param order: positions while profiling, shape (n,)
    :param length: number of positions
    :return: tables, shape (embed_dims, 1, 2, levels): positive, ascending, mean 1, single
        precision values; and the factor per cell by which expected values are to be multiplied,
        shape (cells,), near 1
    """
    weights = time_weights(order, length)
    tables = quantile_tables(repeats / expected[:, None], cell, weights, levels)
    unit = with_unit_mean(tables, levels).reshape(-1, 1, 2, len(levels))
    return unit, mean_ratio(levels, tables)
