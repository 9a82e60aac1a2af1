"""Non-dominated points, hypervolume and thinning. Smaller is better everywhere.

Two objectives need NumPy only; more need moocore (extra ``analysis``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import require

_KEY_BITS = 62


def nondominated(points: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of the non-dominated points, one of each set of equal points: the first.

    A point is dominated if another is no larger in every objective and smaller in one.

    :param points: shape (n, objectives), n >= 1
    :return: indices; by ascending first objective for two objectives, ascending for others
    :raises MissingExtraError: more than two objectives and moocore is not installed
    """
    if points.shape[1] == 1:
        return np.array([points[:, 0].argmin()])
    if points.shape[1] == 2:
        return _nondominated_2d(points[:, 0], points[:, 1])
    require("moocore", extra="analysis")
    import moocore

    return np.flatnonzero(moocore.is_nondominated(points))


def _nondominated_2d(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
    """Sort by ``x`` and keep strict running minima of ``y``; of equal ``x``, the last of them."""
    order = np.argsort(x, kind="stable")
    sorted_y = y[order]
    keep = np.empty(len(order), dtype=np.bool_)
    keep[:1] = True
    np.less(sorted_y[1:], np.minimum.accumulate(sorted_y)[:-1], out=keep[1:])
    order = order[keep]
    sorted_x = x[order]
    last = np.ones(len(order), dtype=np.bool_)
    np.greater(sorted_x[1:], sorted_x[:-1], out=last[:-1])
    return order[last]


def hypervolume(points: NDArray[np.float64], reference: float | NDArray[np.float64]) -> float:
    """Volume dominated by points, up to the reference point.

    :param points: shape (n, objectives)
    :param reference: the reference point, shape (objectives,), or one number for every objective
    :raises MissingExtraError: more than two objectives and moocore is not installed
    """
    corner = np.broadcast_to(np.asarray(reference, dtype=np.float64), points.shape[1:])
    points = points[(points < corner).all(axis=1)]
    if len(points) == 0:
        return 0.0
    if points.shape[1] == 2:
        front = points[_nondominated_2d(points[:, 0], points[:, 1])]
        above = np.concatenate([corner[1:], front[:-1, 1]])
        return float(((corner[0] - front[:, 0]) * (above - front[:, 1])).sum())
    require("moocore", extra="analysis")
    import moocore

    return float(moocore.hypervolume(points, ref=corner))


def boxes(points: NDArray[np.float64], limit: int) -> NDArray[np.intp]:
    """Box of every point in the finest grid over their range that fills ``limit`` boxes at most.

    :param points: shape (n, objectives)
    :param limit: largest number of boxes, 1 or more
    :return: shape (n,), numbers from 0 without gaps
    """
    low = points.min(axis=0)
    width = points.max(axis=0) - low
    scaled = (points - low) / np.where(width > 0, width, 1.0)
    coarse, fine = 1, 1 << min(20, _KEY_BITS // points.shape[1])
    best: NDArray[Any] = np.zeros(len(points), dtype=np.intp)
    while fine - coarse > 1:
        middle = int((coarse * fine) ** 0.5)
        middle = min(max(middle, coarse + 1), fine - 1)
        cell = np.minimum((scaled * middle).astype(np.int64), middle - 1)
        key = cell[:, 0]
        for column in cell.T[1:]:
            key = key * middle + column
        found, label = np.unique(key, return_inverse=True)
        if len(found) <= limit:
            coarse, best = middle, label
        else:
            fine = middle
        if fine <= coarse * 1.02:
            break
    return best


def box_corners(
    points: NDArray[np.float64], label: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Smallest value of every objective in each box, and a point to stand for each box.

    :param points: shape (n, objectives)
    :param label: box of every point, shape (n,), numbers from 0 without gaps
    :return: shapes (boxes, objectives), and (boxes,): the index of the point whose objectives,
        scaled to the range of all, have the smallest sum
    """
    width = points.max(axis=0) - points.min(axis=0)
    total = (points / np.where(width > 0, width, 1.0)).sum(axis=1)
    order = np.lexsort((total, label))
    first = np.flatnonzero(np.diff(label[order], prepend=-1))
    return np.minimum.reduceat(points[order], first, axis=0), order[first]
