"""Minimising one sum over layers under limits on others: dynamic programming with bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.fronts.dynamic_programming import Partial
from hwgpt_blackbox.fronts.layer_sums import LayerSums
from hwgpt_blackbox.fronts.reach import Promising

_SLACK = 1e-9
"""Allowance for rounding wherever a partial sum is discarded, relative to the sums' size."""

_SCOUT_POINTS = 300
_DUAL_STEPS = 80


@dataclass(frozen=True)
class _Group:
    """One group with what bounds its architectures.

    :param number: of the group
    :param bound: no architecture of the group within the limits has a smaller first sum
    :param weights: non-negative weights of sums that have a bound, shape (bounds, objectives)
    """

    number: int
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
            np.abs(problem.start).max(axis=0)
            + sum(np.abs(step).max(axis=(0, 1, 2)) for step in problem.steps)
        )
        self.caps = self._caps()

    def solve(self, max_points: int) -> Solution:
        """Find it."""
        groups = self._groups()
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
        start, steps = self.problem.start, self.problem.steps
        high = (start + sum(step.max(axis=(1, 2)).clip(min=0) for step in steps)).max(axis=0)
        low = (start + sum(step.min(axis=(1, 2)).clip(max=0) for step in steps)).min(axis=0)
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

    def _groups(self) -> list[_Group]:
        """Groups with their bounds; those left out have no architecture within the limits."""
        smallest = np.array(
            [self.problem.smallest(g) for g in range(self.problem.surrogate.num_groups)]
        )
        numbers = np.flatnonzero((smallest[:, 1:] <= self.caps).all(axis=1))
        objectives = len(self.slack)
        if not len(self.caps):
            none = np.zeros((0, objectives))
            return [_Group(int(g), float(smallest[g, 0]), none) for g in numbers]
        excess, certificates = self._duals(numbers, 0.0)
        numbers, certificates = numbers[excess <= 0], certificates[excess <= 0]
        duals, prices = self._duals(numbers, 1.0)
        bounds = np.maximum(duals - self.slack[0], smallest[numbers, 0])
        rows = zip(numbers.tolist(), bounds.tolist(), prices, certificates, strict=True)
        return [_Group(g, bound, np.stack(weights)) for g, bound, *weights in rows]

    def _duals(
        self, groups: NDArray[np.intp], first: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower bounds by Lagrangian relaxation, maximised by subgradient steps.

        For weights w >= 0 with w_0 = ``first`` every architecture of a group within the limits has
        first * S_0 >= min_S w . S - sum_j w_j cap_j, where dynamic programming finds the minimum
        over all architectures of the group. With ``first`` 0 a positive bound proves that the group
        has none within the limits.

        :param groups: shape (g,)
        :return: the largest bound met of each (less an allowance for rounding), shape (g,), and its
            weights, shape (g, objectives)
        """
        problem, caps = self.problem, self.caps
        spread = problem.spread(groups)
        unit = np.where(spread > 0, spread, 1.0)
        scale = (unit[:, :1] if first else 1.0) / unit[:, 1:]
        price = np.full(scale.shape, 0.0 if first else 1.0 / len(caps))
        best, chosen = np.full(len(groups), -np.inf), np.zeros(unit.shape)
        for step in range(_DUAL_STEPS):
            weights = np.column_stack([np.full(len(groups), first), price * scale])
            sums = problem.cheapest(groups, weights)
            value = (sums * weights).sum(axis=1) - weights[:, 1:] @ caps - 2 * weights @ self.slack
            better = value > best
            best[better], chosen[better] = value[better], weights[better]
            slope = (sums[:, 1:] - caps) / unit[:, 1:]
            norm = np.abs(slope).max(axis=1, keepdims=True)
            slope = slope / np.where(norm > 0, norm, 1.0)
            price = np.maximum(price + slope * (2.0 / (1 + step) ** 0.75), 0.0)
            if not first:
                total = price.sum(axis=1, keepdims=True)
                price = np.where(total > 0, price / np.where(total > 0, total, 1.0), 1 / len(caps))
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
        problem, start = self.problem, self.problem.start[group.number]
        rest = problem.to_come(group.number, weights)[1:]
        partial, complete = Partial.empty(len(caps)), True
        for step, to_come in zip(problem.chain(group.number), rest, strict=True):
            promising = _below(weights, ceilings - to_come.T - weights @ start)
            partial = partial.extend(step, problem.order, promising)
            if not len(partial.sums):
                return best, complete
            if len(partial.sums) > max_points:
                partial, complete = partial.thin(max_points, outer=False), False
        partial = partial.front(problem.space.layer_codes)
        sums = start + partial.sums
        values = problem.natural(sums)
        within = np.flatnonzero((values[:, 1:] <= self.limits).all(axis=1))
        for i in within[np.lexsort(sums[within].T[::-1])[:1]]:
            found = _Found(tuple(sums[i].tolist()), group.number, partial.codes[i])
            if best is None or (found.sums, found.group) <= (best.sums, best.group):
                best = found
        return best, complete


def _below(weights: NDArray[np.float64], room: NDArray[np.float64]) -> Promising:
    """Whether every weighted total of sums is within the room of its state.

    :param room: shape (states, weights)
    """
    return lambda sums, states: np.logical_and.reduce(sums @ weights.T <= room[states], axis=1)
