"""Calibrated noise: quantiles of measurement over expected value, tails and mean included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.design import Array
from hwgpt_blackbox.convert.location import CELLS, Fold
from hwgpt_blackbox.noise import mean_ratio

TAIL_COUNT = 20.0
"""Measurements that a tail of one cell needs; beyond, the tail's shape is the device's."""

STRETCH_FROM, STRETCH_LIMIT = 0.2, 2.0
"""The mean is set by stretching the heavier tail beyond this level, by at most this factor."""


def quantile_levels(body: int = 128, halvings: int = 12) -> Array:
    """Levels of the noise tables: even in the body, halving towards 0 and 1 in the tails.

    :param body: cells of the even part
    :param halvings: knots in each tail, the outermost at 2^-halvings / body
    :return: ascending from 0 to 1, exact binary fractions
    """
    tail = 2.0 ** -np.arange(halvings, 0, -1) / body
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
        for c in range(CELLS):
            rows = fold.own_rows[cell[fold.own_rows] == c]
            if len(rows):
                out[rows] *= np.median(fitted[rows] / out_of_fold[rows])
    return out


def quantile_tables(ratio: Array, cell: NDArray[np.intp], weights: Array, levels: Array) -> Array:
    """Quantiles per cell; where a cell has too few values, the tails' shape is pooled over cells.

    A 1,000-fold outlier so keeps its rate over the device and belongs to no cell alone.

    :param ratio: measurements over expected values, shape (n, r)
    :param cell: shape (n,)
    :param weights: shape (n,)
    :return: shape (6, levels), ascending
    """
    repeats = ratio.shape[1]
    counts = np.bincount(cell, minlength=CELLS)
    tail = float(np.clip(TAIL_COUNT / (counts[counts > 0].min() * repeats), 0.002, 0.05))
    low, high = levels < tail, levels > 1.0 - tail
    body = ~(low | high)
    out = np.empty((CELLS, len(levels)))
    below, above = [], []
    for c in range(CELLS):
        rows = cell == c if counts[c] else np.ones(len(cell), dtype=bool)
        values, w = ratio[rows].ravel(), np.repeat(weights[rows], repeats)
        found = weighted_quantile(values, w, np.concatenate([levels[body], [tail, 1.0 - tail]]))
        first, last = found[-2:]
        out[c, body], out[c, low], out[c, high] = found[:-2], first, last
        below.append(values[values <= first] / first)
        above.append(values[values >= last] / last)
    down, up = np.concatenate(below), np.concatenate(above)
    out[:, low] *= np.quantile(down, levels[low] / tail, method="hazen")
    out[:, high] *= np.quantile(up, 1.0 - (1.0 - levels[high]) / tail, method="hazen")
    return np.asarray(np.maximum.accumulate(out, axis=1))


def with_unit_mean(tables: Array, levels: Array) -> Array:
    """Tables whose mean is 1, by stretching the heavier of the two tails of each.

    The body, which decides calibration, stays where the measurements put it. What stretching
    cannot do, scaling does.

    :param tables: shape (6, levels), positive and ascending
    """
    out = tables.copy()
    low = int(np.searchsorted(levels, STRETCH_FROM))
    high = int(np.searchsorted(levels, 1.0 - STRETCH_FROM))
    for c, table in enumerate(tables):
        up, down = np.maximum(table - table[high], 0.0), np.maximum(table[low] - table, 0.0)
        gap = 1.0 - float(mean_ratio(levels, table))
        above, below = float(mean_ratio(levels, up)), float(mean_ratio(levels, down))
        if above >= below and above > 0.0:
            factor = np.clip(1.0 + gap / above, 1.0 / STRETCH_LIMIT, STRETCH_LIMIT)
            out[c] = table + (factor - 1.0) * up
        elif below > 0.0:
            most = min(STRETCH_LIMIT, 0.9 * float(table[low] / down.max()))
            factor = np.clip(1.0 - gap / below, 1.0 / STRETCH_LIMIT, most)
            out[c] = table - (factor - 1.0) * down
        out[c] /= mean_ratio(levels, out[c])
    return out


def fit_ratios(
    repeats: Array,
    expected: Array,
    cell: NDArray[np.intp],
    order: NDArray[np.intp],
    length: int,
    levels: Array,
) -> Array:
    """Noise tables of one metric of one device.

    :param repeats: measurements, shape (n, r), positive
    :param expected: expected value of each architecture as predicted without it, shape (n,)
    :param cell: (embed_dim, bias) cell, shape (n,)
    :param order: positions while profiling, shape (n,)
    :param length: number of positions
    :return: shape (3, 1, 2, levels): positive, ascending, mean 1, single precision values
    """
    weights = time_weights(order, length)
    tables = quantile_tables(repeats / expected[:, None], cell, weights, levels)
    tables = with_unit_mean(tables, levels).astype(np.float32).astype(np.float64)
    return tables.reshape(CELLS // 2, 1, 2, len(levels))
