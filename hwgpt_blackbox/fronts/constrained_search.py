"""Minimising one sum over layers under limits on others: dynamic programming with bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.fronts.dynamic_programming import Partial
from hwgpt_blackbox.fronts.layer_sums import LayerSums

_SLACK = 1e-9
"""Allowance for rounding wherever a partial sum is discarded, relative to the sums' size."""

_SCOUT_POINTS = 300
_DUAL_STEPS = 80


@dataclass(frozen=True)
class _Group:
    """One group: its start, and the terms of its active layers.

    :param number: of the group
    :param start: shape (objectives,)
    :param terms: shape (layers, codes, objectives)
    :param bound: no architecture of the group within the limits has a smaller first sum
    :param weights: non-negative weights of sums that have a bound, shape (bounds, objectives)
    """

    number: int
    start: NDArray[np.float64]
    terms: NDArray[np.float64]
    bound: float
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class _Found:
    """An architecture within the limits: its sums, group and codes."""

    sums: tuple[float, ...]
    group: int
    codes: NDArray[np.uint16]


@dataclass(frozen=True)
class Solution:
    """What a search within limits found.

    :param row: choice indices of the best architecture, shape (hyperparameters,); None if none
        within the limits was found
    :param exact: whether no architecture is better (or, without a row, none is within the limits)
    :param lower_bound: on the first objective of architectures within the limits, natural units
    """

    row: NDArray[np.uint8] | None
    exact: bool
    lower_bound: float


class ConstrainedSearch:
    """Smallest first objective with the others within limits.

    :param problem: the first objective is minimised, the others are limited
    :param limits: largest value of the others, natural units, shape (objectives - 1,)
    """

    def __init__(self, problem: LayerSums, limits: NDArray[np.float64]) -> None:
        self.problem = problem
        self.limits = limits
        self.slack = _SLACK * (
            np.abs(problem.start).max(axis=0) + np.abs(problem.layers).max(axis=(0, 2)).sum(axis=0)
        )
        self.caps = self._caps()

    def solve(self, max_points: int) -> Solution:
        """Find it."""
        numbers = range(self.problem.surrogate.num_groups)
        groups = [group for g in numbers if (group := self._group(g)) is not None]
        best: _Found | None = None
        for group in groups:  # a narrow search first: a good value lets the exact one discard more
            best, _ = self._search(group, best, _SCOUT_POINTS)
        bound, exact = np.inf, True
        for group in sorted(groups, key=lambda g: g.bound):
            best, complete = self._search(group, best, max_points)
            if not complete:
                bound, exact = min(bound, group.bound), False
        lowest = np.array([min(bound, best.sums[0] if best else np.inf)])
        lower = float(self.problem.natural_one(0, lowest)[0]) if lowest[0] < np.inf else np.inf
        row = self.problem.matrix(best.group, best.codes[None])[0] if best else None
        return Solution(row, exact, lower)

    def _caps(self) -> NDArray[np.float64]:
        """For each limit, a number that no sum within it exceeds, shape (objectives - 1,)."""
        caps = np.empty(len(self.limits))
        layers = self.problem.layers
        high = (self.problem.start + layers.max(axis=2).clip(min=0).sum(axis=1)).max(axis=0)
        low = (self.problem.start + layers.min(axis=2).clip(max=0).sum(axis=1)).min(axis=0)
        for j in range(1, len(high)):
            below, above = low[j], high[j]
            for _ in range(80):  # the link is monotone: bisect for the sum at the limit
                middle = np.array([(below + above) / 2])
                if self.problem.natural_one(j, middle)[0] <= self.limits[j - 1]:
                    below = middle[0]
                else:
                    above = middle[0]
            caps[j - 1] = above + self.slack[j]
        return caps

    def _group(self, number: int) -> _Group | None:
        """A group with its bound; None if none of its architectures is within the limits."""
        start, terms = self.problem.start[number], self.problem.terms(number)
        smallest = self.problem.smallest(number)
        if (smallest[1:] > self.caps).any():
            return None
        bound, weights = float(smallest[0]), np.zeros((0, len(smallest)))
        if len(self.caps):
            excess, certificate = self._dual(start, terms, 0.0)
            if excess > 0:
                return None
            dual, price = self._dual(start, terms, 1.0)
            bound = max(dual - float(self.slack[0]), bound)
            weights = np.stack([price, certificate])
        return _Group(number, start, terms, bound, weights)

    def _dual(
        self, start: NDArray[np.float64], terms: NDArray[np.float64], first: float
    ) -> tuple[float, NDArray[np.float64]]:
        """A lower bound by Lagrangian relaxation, maximised by subgradient steps.

        For weights w >= 0 with w_0 = ``first`` every architecture within the limits has
        first * S_0 >= min_S w . S - sum_j w_j cap_j, where the minimum over all architectures of
        the group is a sum of minima over layers. With ``first`` 0 a positive bound proves that the
        group has none within the limits.

        :return: the largest bound met (less an allowance for rounding), and its weights
        """
        spread = (terms.max(axis=1) - terms.min(axis=1)).sum(axis=0)
        unit = np.where(spread > 0, spread, 1.0)
        scale = (unit[0] if first else 1.0) / unit[1:]
        price = np.full(len(self.caps), 0.0 if first else 1.0 / len(self.caps))
        best, chosen = -np.inf, np.zeros(len(unit))
        for step in range(_DUAL_STEPS):
            weights = np.concatenate([[first], price * scale])
            weighted = terms @ weights
            pick = weighted.argmin(axis=1)
            sums = start + terms[np.arange(len(pick)), pick].sum(axis=0)
            value = sums @ weights - weights[1:] @ self.caps - 2 * self.slack @ weights
            if value > best:
                best, chosen = float(value), weights
            slope = (sums[1:] - self.caps) / unit[1:]
            norm = float(np.abs(slope).max())
            if norm == 0:
                break
            price = np.maximum(price + slope / norm * (2.0 / (1 + step) ** 0.75), 0.0)
            if not first:
                total = price.sum()
                price = price / total if total > 0 else np.full_like(price, 1.0 / len(price))
        return best, chosen

    def _search(
        self, group: _Group, best: _Found | None, max_points: int
    ) -> tuple[_Found | None, bool]:
        """Improve on ``best`` within one group.

        :return: the better of ``best`` and what was found, and whether nothing in the group can be
            better than that
        """
        target = (best.sums[0] if best else np.inf) + self.slack[0]
        if group.bound > target:
            return best, True
        caps = np.concatenate([[target], self.caps])
        weights = np.concatenate([np.eye(len(caps)), group.weights])
        used = weights[:, 0] > 0
        ceilings = np.where(used & np.isinf(target), np.inf, 0.0)
        finite = np.where(np.isinf(caps), 0.0, caps)
        ceilings += weights @ (finite + 2 * self.slack)
        weighted = group.terms @ weights.T
        rest = np.cumsum(weighted.min(axis=1)[::-1], axis=0)[::-1]
        rest = np.concatenate([rest[1:], np.zeros((1, len(weights)))])
        partial, complete = Partial.empty(len(caps)), True
        for i, terms in enumerate(group.terms):
            promising = _below(weights, ceilings - rest[i] - weights @ group.start)
            partial = partial.extend(terms, promising)
            if not len(partial.sums):
                return best, complete
            if len(partial.sums) > max_points:
                partial, complete = partial.thin(max_points, outer=False), False
        sums = group.start + partial.sums
        values = self.problem.natural(sums)
        within = np.flatnonzero((values[:, 1:] <= self.limits).all(axis=1))
        for i in within[np.lexsort(sums[within].T[::-1])[:1]]:
            found = _Found(tuple(sums[i].tolist()), group.number, partial.codes[i])
            if best is None or (found.sums, found.group) <= (best.sums, best.group):
                best = found
        return best, complete


def _below(
    weights: NDArray[np.float64], room: NDArray[np.float64]
) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    """Whether every weighted total of sums is within its room."""
    return lambda sums: np.logical_and.reduce(sums @ weights.T <= room, axis=1)
