"""Held-out measures of a surrogate: location, calibration, sharpness."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array, Sample
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, IntMatrix
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.models.prediction import Predictor, TargetFunction
from hwgpt_blackbox.models.surrogate import Surrogate

COVERAGES = (0.5, 0.9, 0.99)
"""Central intervals whose coverage is reported."""

TEST_SHARE = 0.2
"""Share of architectures that are held out."""

BLOCKS = 10
"""Stretches of the profiling from which hold-outs in blocks are taken."""


def random_split(
    n: int, seed: int = 42, share: float = TEST_SHARE, *, cell: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The paper's protocol: scikit-learn's ``train_test_split(test_size=0.2, random_state=seed)``.

    :param share: how many are held out
    :param cell: of each architecture, shape (n,): hold out this share of every cell instead
    :return: rows to train on and rows held out, each ascending
    """
    # scikit-learn permutes with the legacy generator; the same rows need the same generator.
    position, size = _position_in_cell(np.random.RandomState(seed).permutation(n), cell)
    held = position < np.ceil(share * size)
    return np.flatnonzero(~held), np.flatnonzero(held)


def block_split(
    n: int, fold: int = 0, *, cell: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Two contiguous stretches in profiling order held out, of ten.

    :param fold: which, 0 to 4
    :param cell: of each architecture, shape (n,): hold out these stretches of every cell instead
    :raises InputError: the fold is none of them
    """
    if fold not in range(BLOCKS // 2):
        raise InputError(f"fold is {fold!r}; expected 0 to {BLOCKS // 2 - 1}")
    position, size = _position_in_cell(np.arange(n), cell)
    held = np.isin(position * BLOCKS // size, (fold, fold + BLOCKS // 2))
    return np.flatnonzero(~held), np.flatnonzero(held)


def _position_in_cell(
    order: NDArray[np.intp], cell: NDArray[np.intp] | None
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Position of each row among those of its cell in an order, and size of its cell, each (n,).

    :param cell: None: all rows are of one
    """
    cell = np.zeros(len(order), dtype=np.intp) if cell is None else cell
    size = np.bincount(cell)
    by_cell = order[np.argsort(cell[order], kind="stable")]
    position = np.empty(len(cell), dtype=np.intp)
    position[by_cell] = np.arange(len(cell)) - (np.cumsum(size) - size)[cell[by_cell]]
    return position, size[cell]


def location_measures(measured: Array, predicted: Array) -> dict[str, float]:
    """Errors of predictions: MAE, RMSE, median absolute error, R² and Kendall's tau.

    :param measured: shape (n,), mean over repeats
    :param predicted: shape (n,)
    """
    from scipy.stats import kendalltau

    error = np.abs(predicted - measured)
    variance = float(measured.var())
    return {
        "mae": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "medae": float(np.median(error)),
        "r2": 1.0 - float((error**2).mean()) / variance if variance > 0 else float("nan"),
        "kendall_tau": float(kendalltau(measured, predicted)[0]),
        "mean": float(measured.mean()),
    }


def pit(ratio: Array, levels: Array, table: Array) -> Array:
    """Level of each ratio in a quantile function; the middle of flat pieces.

    :param ratio: any shape
    :param table: quantiles at the levels, ascending, shape (levels,)
    """
    cell = np.clip(np.searchsorted(table, ratio, side="right") - 1, 0, len(table) - 2)
    width = table[cell + 1] - table[cell]
    inside = np.where(width > 0, (ratio - table[cell]) / np.where(width > 0, width, 1.0), 0.5)
    return np.asarray(levels[cell] + np.clip(inside, 0.0, 1.0) * np.diff(levels)[cell])


def crps(ratio: Array, levels: Array, table: Array) -> Array:
    """Exact CRPS of each ratio under a piecewise linear quantile function, same shape.

    E|R - r| - E|R - R'| / 2 (Gneiting and Raftery 2007).
    """
    low, high, width = table[:-1], table[1:], np.diff(levels)
    middle = (low + high) / 2.0
    area = np.concatenate([[0.0], np.cumsum(middle * width)])
    spread = 2.0 * float(
        (width * (middle * (levels[:-1] + levels[1:] - 1.0) + (high - low) * width / 6.0)).sum()
    )
    cell = np.clip(np.searchsorted(table, ratio, side="right") - 1, 0, len(width) - 1)
    step = high[cell] - low[cell]
    inside = np.where(step > 0, (ratio - low[cell]) / np.where(step > 0, step, 1.0), 0.5)
    inside = np.clip(inside, 0.0, 1.0)
    level = levels[cell] + inside * width[cell]
    below = area[cell] + width[cell] * inside * (low[cell] + inside * step / 2.0)
    return np.asarray(ratio * (2.0 * level - 1.0) + area[-1] - 2.0 * below - spread / 2.0)


def miscalibration_area(levels: Array, points: int = 1000) -> float:
    """Area between the coverage curve of levels and the diagonal (0: calibrated, 0.5: worst)."""
    ordered, grid = np.sort(levels.ravel()), (np.arange(points) + 0.5) / points
    share = np.searchsorted(ordered, grid, side="right") / len(ordered)
    return float(np.abs(share - grid).mean())


def groups_of(surrogate: Surrogate, matrix: IntMatrix) -> NDArray[np.intp]:
    """Index of the (embed_dim, num_layers, bias) group of each architecture, shape (n,)."""
    columns = tuple(matrix[:, c].astype(np.intp) for c in (EMBED_DIM, NUM_LAYERS, BIAS))
    return np.asarray(np.ravel_multi_index(columns, surrogate.group_shape))


def levels_of(surrogate: Surrogate, target: str, matrix: IntMatrix, ratio: Array) -> Array:
    """Level of each measurement in the predictive distribution of its architecture.

    :param matrix: choice indices, shape (n, hyperparameters)
    :param ratio: measurements over expected values, shape (n, r)
    :return: shape (n, r), 0 to 1
    """
    tables, groups = surrogate.quantiles(target), groups_of(surrogate, matrix)
    level = np.empty_like(ratio)
    for group in np.unique(groups):
        rows = groups == group
        level[rows] = pit(ratio[rows], surrogate.levels, tables[group])
    return level


def noise_measures(
    surrogate: Surrogate, target: str, matrix: IntMatrix, repeats: Array, predicted: Array
) -> dict[str, float]:
    """Calibration and sharpness of the predictive distribution of one target.

    :param matrix: choice indices of the held-out architectures, shape (n, hyperparameters)
    :param repeats: their measurements, shape (n, r)
    :param predicted: their expected values, shape (n,)
    """
    tables = surrogate.quantiles(target)
    groups = groups_of(surrogate, matrix)
    ratio = repeats / predicted[:, None]
    level = levels_of(surrogate, target, matrix, ratio)
    score = np.empty_like(ratio)
    for group in np.unique(groups):
        rows = groups == group
        score[rows] = crps(ratio[rows], surrogate.levels, tables[group])
    measures = {
        "crps_over_mean": float((score * predicted[:, None]).mean() / repeats.mean()),
        "miscalibration_area": miscalibration_area(level),
        "share_non_positive": float((tables[:, 0] <= 0).mean()),
    }
    for coverage in COVERAGES:
        inside = np.abs(level - 0.5) <= coverage / 2.0
        measures[f"coverage_{100 * coverage:g}"] = float(inside.mean())
    return measures


def evaluate(
    surrogate: Surrogate,
    sample: Sample,
    exact: Mapping[str, Array],
    noisy: Mapping[str, Array],
    networks: Mapping[str, TargetFunction] | None = None,
) -> dict[str, dict[str, float]]:
    """Measures of every target on held-out architectures.

    :param sample: the architectures
    :param exact: values of exact targets, shape (n,), NaN where not measured
    :param noisy: repeats of noisy targets, shape (n, r)
    :param networks: targets that are answered by something else, see :class:`Predictor`
    :return: by target
    """
    columns = [Column(*name.split("@")) for name in (*exact, *noisy)]
    expected = Predictor(surrogate, columns, networks=networks).expected(sample.matrix)
    found: dict[str, dict[str, float]] = {}
    for j, (name, values) in enumerate((*exact.items(), *noisy.items())):
        known = np.isfinite(values if values.ndim == 1 else values[:, 0])
        if not known.any():
            continue
        measured, predicted = values[known], expected[known, j]
        if values.ndim == 1:
            found[name] = location_measures(measured, predicted)
            continue
        found[name] = location_measures(measured.mean(axis=1), predicted)
        found[name] |= noise_measures(surrogate, name, sample.matrix[known], measured, predicted)
    return found
