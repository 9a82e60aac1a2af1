"""Non-dominated ranks and crowding distances, in numpy alone. All objectives are minimised."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]


def dominates(a: Values, b: Values) -> npt.NDArray[np.bool_]:
    """Whether rows of ``a`` dominate rows of ``b``: at least as good in all, better in one.

    :param a: minimised, shape (..., objectives)
    :param b: minimised, of a shape that broadcasts with that of ``a``
    :return: booleans of the broadcast shape without the last axis
    """
    no_worse, better = a[..., 0] <= b[..., 0], a[..., 0] < b[..., 0]
    for k in range(1, a.shape[-1]):  # a loop over few objectives is several times faster than all()
        no_worse &= a[..., k] <= b[..., k]
        better |= a[..., k] < b[..., k]
    return np.asarray(no_worse & better)


def front_rows(values: Values) -> Ranks:
    """Rows of the points that nobody dominates, increasing; O(m n) for each of them.

    :param values: minimised, finite, shape (n, m)
    """
    left = np.lexsort(values.T[::-1])  # whoever dominates a point comes before it
    found = []
    while len(left):
        found.append(left[0])
        left = left[1:][~dominates(values[left[0]], values[left[1:]])]
    return np.sort(np.array(found, dtype=np.int64))


def nondominated_ranks(values: Values) -> Ranks:
    """Index of the front to which each point belongs (0: nobody dominates it).

    The fast non-dominated sort of Deb et al. (2002), O(m n^2).

    :param values: minimised, finite, shape (n, m)
    :return: ranks, shape (n,)
    """
    beats = dominates(values[:, None], values[None])
    dominators = beats.sum(axis=0)
    ranks = np.full(len(values), -1, dtype=np.int64)
    rank = 0
    while (front := np.flatnonzero((ranks < 0) & (dominators == 0))).size:
        ranks[front] = rank
        dominators -= beats[front].sum(axis=0)
        rank += 1
    return ranks


def crowding_distances(values: Values, *, finite_ends: bool = False) -> Values:
    """Crowding distance of each point of one front (Deb et al., 2002).

    The sum over objectives of the gap between a point's neighbours, divided by the objective's
    range and by m. At the ends it is infinite, or, with ``finite_ends`` and more than two points,
    twice the gap to the one neighbour. Of points with equal values one keeps its distance and the
    others get 0, as in pymoo.

    :param values: one front, shape (n, m)
    :param finite_ends: for parents chosen by distance: they would be the ends most of the time
    :return: distances, shape (n,)
    """
    distances = np.zeros(len(values))
    order = np.lexsort(values.T[::-1])  # as np.unique(axis=0) would, in a fraction of the time
    first = np.ones(len(values), dtype=bool)
    first[1:] = (values[order[1:]] != values[order[:-1]]).any(axis=1)
    where = order[first]
    unique = values[where]
    n, m = unique.shape
    if n <= 2:
        distances[where] = np.inf
        return distances
    order = np.argsort(unique, axis=0, kind="stable")
    ordered = np.take_along_axis(unique, order, axis=0)
    span = ordered[-1] - ordered[0]
    gaps = np.full((n, m), np.inf)
    gaps[1:-1] = (ordered[2:] - ordered[:-2]) / np.where(span > 0, span, 1)
    if finite_ends:
        ends = 2 * np.stack([ordered[1] - ordered[0], ordered[-1] - ordered[-2]])
        gaps[[0, -1]] = ends / np.where(span > 0, span, 1)
    gaps[:, span == 0] = 0.0
    summed = np.zeros((n, m))
    np.put_along_axis(summed, order, gaps, axis=0)
    distances[where] = summed.sum(axis=1) / m
    return distances


def rank_and_crowding(values: Values, *, finite_ends: bool = False) -> tuple[Ranks, Values]:
    """Ranks and, within each front, :func:`crowding_distances`: both of shape (n,)."""
    ranks = nondominated_ranks(values)
    crowding = np.zeros(len(values))
    for rank in range(int(ranks.max(initial=-1)) + 1):
        front = np.flatnonzero(ranks == rank)
        crowding[front] = crowding_distances(values[front], finite_ends=finite_ends)
    return ranks, crowding


class ParetoFront:
    """The non-dominated points among those added so far.

    :ivar rows: the number (0, 1, ... in the order of adding) of each point of the front
    :ivar added: how many points were added so far
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._values: Values | None = None
        self.added = 0

    def add(self, values: Values) -> bool:
        """Add a point (shape (m,)); says whether the front changed. Equals of it may stay."""
        row, self.added = self.added, self.added + 1
        if self._values is None:
            self._values = np.empty((0, len(values)))
        if dominates(self._values, values).any():
            return False
        keep = ~dominates(values, self._values)
        self._values = np.vstack([self._values[keep], values])
        self.rows = [r for r, kept in zip(self.rows, keep.tolist(), strict=True) if kept] + [row]
        return True


class RankedFronts:
    """Non-dominated ranks that follow points as they are added, one at a time.

    Adding a point moves only the points that it pushes back, front by front, instead of sorting
    all of them again (as in Li et al., "Efficient non-domination level update", 2017).
    """

    def __init__(self) -> None:
        self._fronts: list[Values] = []

    def __len__(self) -> int:
        return sum(len(front) for front in self._fronts)

    def add(self, values: Values) -> int:
        """Add a point; returns how many points come before it by rank, then crowding distance.

        :param values: shape (m,), minimised and finite
        :return: from 0 (first) to ``len(self) - 1``
        """
        # whoever is dominated by a point of one front is dominated by some point of each before it
        rank = bisect_left(self._fronts, True, key=lambda f: not dominates(f, values).any())
        moving = values[None]
        for k in range(rank, len(self._fronts)):
            front = self._fronts[k]
            pushed = dominates(moving[:, None], front[None]).any(axis=0)
            self._fronts[k] = np.vstack([front[~pushed], moving])
            moving = front[pushed]
            if not len(moving):
                break
        else:
            self._fronts.append(moving)
        crowding = crowding_distances(self._fronts[rank])
        before = sum(len(front) for front in self._fronts[:rank])
        return before + int((crowding > crowding[-1]).sum())
