"""Hypervolume of every beginning of a sequence: each point adds the volume that it alone dominates.

That volume lies in a box between the point and, along each objective, the nearest earlier point
that is at least as good in all others: its neighbours (Beume et al., 2009). Beyond a neighbour all
is dominated, and few earlier points are inside the box. All points are known from the start, so
they are sorted along every objective, and both neighbours and points inside are found within a
short stretch of an order instead of among all. What is inside is left to moocore.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import require

_CHUNK = 2048
"""Points that are sorted together with the front before them."""

_FIRST_WINDOW = 64
_MAX_CELLS = 1 << 20
"""Length of the first stretch that is searched, and largest number of comparisons at a time."""

_BEFORE = -1


def cumulative(points: NDArray[np.float64], reference: float) -> NDArray[np.float64]:
    """Hypervolume of the first 1, 2, … rows.

    :param points: minimised, finite, shape (n, m), m at least 2
    :param reference: reference point, the same in every objective
    :return: shape (n,), ascending
    :raises MissingExtraError: moocore is not installed
    """
    require("moocore", extra="analysis")
    from moocore import is_nondominated

    added = np.zeros(len(points))
    inside = np.flatnonzero((points < reference).all(axis=1))
    if len(inside):
        # With time as one more objective, a point is dominated if an earlier one dominates it.
        timed = np.column_stack([points[inside], np.arange(len(inside))])
        new = inside[is_nondominated(timed)]
        added[new] = _added(points[new], reference)
    return np.cumsum(added)


def _added(points: NDArray[np.float64], reference: float) -> NDArray[np.float64]:
    """Volume that each point adds to what those before it dominate.

    :param points: none dominated by an earlier one, all below the reference, shape (n, m)
    :return: shape (n,)
    """
    added = np.empty(len(points))
    front = points[:0]
    for begin in range(0, len(points), _CHUNK):
        chunk = points[begin : begin + _CHUNK]
        stage = _Stage(front, chunk, reference)
        added[begin : begin + len(chunk)] = [stage.add(i) for i in range(len(chunk))]
        front = stage.front
    return added


class _Stage:
    """A front and the points that come after it, sorted along every objective.

    :param front: shape (k, m)
    :param chunk: what comes after it, in order, shape (n, m)
    :param reference: reference point, the same in every objective
    """

    def __init__(
        self, front: NDArray[np.float64], chunk: NDArray[np.float64], reference: float
    ) -> None:
        m = chunk.shape[1]
        # The last row, the reference point, comes last in each order: every point has a neighbour.
        self._points = np.concatenate([front, chunk, np.full((1, m), reference)])
        self._times = np.concatenate(
            [np.full(len(front), _BEFORE), np.arange(len(chunk)), [_BEFORE]]
        )
        self._alive = np.ones(len(self._points), dtype=np.bool_)
        self._first = len(front)
        self._orders = [np.append(o, len(o)) for o in self._points[:-1].argsort(axis=0).T]
        self._begins, self._ends = np.empty((2, m, len(chunk)), dtype=np.intp)
        for axis, order in enumerate(self._orders):
            places = np.empty_like(order)
            places[order] = np.arange(len(order))
            self._begins[axis] = places[self._first : -1] + 1
            self._ends[axis] = self._neighbours(axis, order)

    @property
    def front(self) -> NDArray[np.float64]:
        """What is not dominated when all points have been added, shape (k, m)."""
        return self._points[:-1][self._alive[:-1]]

    def _neighbours(self, axis: int, order: NDArray[np.intp]) -> NDArray[np.intp]:
        """Place in the order of the next earlier point that is as good in all other objectives.

        :return: of every point of the chunk, shape (n,)
        """
        others = [self._points[order, j] for j in range(self._points.shape[1]) if j != axis]
        for values in others:
            values[-1] = -np.inf
        times, begins = self._times[order], self._begins[axis]
        mine = [values[begins - 1] for values in others]
        found = np.empty(len(begins), dtype=np.intp)
        left, offset, width = np.arange(len(begins)), 0, _FIRST_WINDOW
        while len(left):
            missed = []
            for rows in _batches(left, width):
                places = begins[rows, None] + np.arange(offset, offset + width)
                np.minimum(places, len(order) - 1, out=places)
                fits = times[places] < rows[:, None]
                for values, own in zip(others, mine, strict=True):
                    fits &= values[places] <= own[rows, None]
                first = fits.argmax(axis=1)
                there = fits[np.arange(len(rows)), first]
                found[rows[there]] = places[there, first[there]]
                missed.append(rows[~there])
            left, offset, width = np.concatenate(missed), offset + width, 2 * width
        return found

    def add(self, i: int) -> float:
        """Add point i of the chunk; those before it must have been added.

        :return: the volume that it adds
        """
        import moocore

        point = self._points[self._first + i]
        spans = sorted(
            zip(self._orders, self._begins[:, i].tolist(), self._ends[:, i].tolist(), strict=True),
            key=lambda span: span[2] - span[1],
        )
        neighbours = [order[end] for order, end in zip(self._orders, self._ends[:, i], strict=True)]
        corner = self._points[neighbours].diagonal()
        # What is inside the box is worse in two objectives at least: all orders but one hold it.
        near = np.concatenate([order[begin:end] for order, begin, end in spans[:-1]])
        near = near[(self._times[near] < i) & self._alive[near]]
        values = self._points[near]
        clipped = np.maximum(values, point)
        self._alive[near[(clipped == values).all(axis=1)]] = False
        for neighbour in neighbours:  # equal in all objectives but one
            if (self._points[neighbour] >= point).all():
                self._alive[neighbour] = False
        box = float(np.prod(corner - point))
        if not len(near):
            return box
        return max(0.0, box - float(moocore.hypervolume(clipped, ref=corner)))


def _batches(rows: NDArray[np.intp], width: int) -> Sequence[NDArray[np.intp]]:
    """Rows in parts, each of which needs a limited number of comparisons."""
    return np.array_split(rows, -(-len(rows) * width // _MAX_CELLS))
