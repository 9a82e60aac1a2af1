"""Hypervolume of every beginning of a sequence, each point added to what is there.

A point adds the volume that it alone dominates. That lies in a box between the point and, along
each objective, the nearest front point that is at least as good in all others (Beume et al., 2009,
call it the exclusive contribution); few front points are inside the box. So an addition costs a few
comparisons with the front and one small hypervolume, instead of that of the whole front.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import require

_CAPACITY = 256


class GrowingFront:
    """A front that knows its hypervolume while points are added, all objectives minimised.

    :param objectives: number of objectives m, 2 or more
    :param reference: reference point, the same in every objective
    """

    def __init__(self, objectives: int, reference: float) -> None:
        require("moocore", extra="analysis")
        self.volume = 0.0
        """Hypervolume of the points added so far"""
        self._reference = reference
        self._points = np.empty((objectives, _CAPACITY))  # a row per objective: contiguous
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def points(self) -> NDArray[np.float64]:
        """The front, shape (n, m), a copy."""
        return self._points[:, : self._size].T.copy()

    def add(self, point: NDArray[np.float64]) -> float:
        """Add a point.

        :param point: finite, shape (m,)
        :return: the hypervolume now
        """
        if not (point < self._reference).all():
            return self.volume
        front = self._points[:, : self._size]
        as_good = front <= point[:, None]
        count = as_good[0].view(np.int8).copy()  # objectives in which a front point is as good
        for row in as_good[1:]:
            count += row.view(np.int8)
        if not len(count) or count.max() < len(point):  # else it is nowhere worse than the point
            self._add_to_front(point, front, as_good, count)
        return self.volume

    def _add_to_front(
        self,
        point: NDArray[np.float64],
        front: NDArray[np.float64],
        as_good: NDArray[np.bool_],
        count: NDArray[np.int8],
    ) -> None:
        """Add a point that nothing dominates."""
        corner = np.full(len(point), self._reference)
        (neighbours,) = np.nonzero(count == len(point) - 1)
        axes = np.argmin(as_good[:, neighbours], axis=0)
        np.minimum.at(corner, axes, front[axes, neighbours])
        inside = front[0] < corner[0]
        for values, limit in zip(front[1:], corner[1:], strict=True):
            inside &= values < limit
        (chosen,) = np.nonzero(inside)
        self.volume += _exclusive(point, corner, front[:, chosen])
        # A point that the new one dominates is inside the box, or a neighbour equal in all but one.
        candidates = np.concatenate([chosen, neighbours])  # disjoint: a neighbour is at the corner
        dominated = candidates[(front[:, candidates] >= point[:, None]).all(axis=0)]
        for place in np.sort(dominated)[::-1]:  # the last point takes its place
            self._size -= 1
            self._points[:, place] = self._points[:, self._size]
        if self._size == self._points.shape[1]:
            self._points = np.concatenate([self._points, np.empty_like(self._points)], axis=1)
        self._points[:, self._size] = point
        self._size += 1


def _exclusive(
    point: NDArray[np.float64], corner: NDArray[np.float64], within: NDArray[np.float64]
) -> float:
    """Volume of the box from point to corner that no front point dominates.

    :param within: the front points that are better than the corner, shape (m, n)
    """
    import moocore

    box = float(np.prod(corner - point))
    if not within.size:
        return box
    clipped = np.maximum(within.T, point)
    if len(clipped) == 1:
        return box - float(np.prod(corner - clipped[0]))
    return max(0.0, box - float(moocore.hypervolume(clipped, ref=corner)))


def cumulative(points: NDArray[np.float64], reference: float) -> NDArray[np.float64]:
    """Hypervolume of the first 1, 2, … rows.

    :param points: minimised, finite, shape (n, m)
    :param reference: reference point, the same in every objective
    :return: shape (n,), ascending
    """
    front = GrowingFront(points.shape[1], reference)
    return np.array([front.add(point) for point in points], dtype=np.float64)
