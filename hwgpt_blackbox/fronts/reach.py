"""Which partial sums of two objectives can still end on the front of a space.

Known architectures bound the front from above. For some directions, dynamic programming gives the
smallest sums that the layers to come can add from every state; what lies between the lines of these
directions is the convex hull of all that can still be reached. A partial sum is discarded if every
point of its hull is dominated by a known architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.fronts.layer_sums import LayerSums
from hwgpt_blackbox.fronts.nondominated import box_corners, boxes, nondominated
from hwgpt_blackbox.models.chains import after_each, next_states

Array = NDArray[np.float64]
Promising = Callable[[Array, NDArray[np.intp]], NDArray[np.bool_]]
"""Which of given sums, shape (n, objectives), in given states, shape (n,), to consider at all."""

_SLACK = 1e-9
"""Allowance for rounding, relative to the sums' size."""

_DIRECTIONS = 33
_SCOUT_POINTS = 2_000
_CORNERS, _GRID = 800, 64


class Reach:
    """The bound of one problem.

    :param problem: of two objectives
    """

    def __init__(self, problem: LayerSums) -> None:
        self.problem = problem
        known = [self._scout(group) for group in range(problem.surrogate.num_groups)]
        sums = np.concatenate(known)
        width = sums.max(axis=0) - sums.min(axis=0)
        angle = np.linspace(0.0, np.pi / 2, _DIRECTIONS)
        self._weights = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        self._weights[0], self._weights[-1] = (1.0, 0.0), (0.0, 1.0)
        self._weights /= np.where(width > 0, width, 1.0)
        front = sums[nondominated(sums)]
        self._slack = _SLACK * np.abs(front).max(axis=0)
        # Between two known points in a row, what is not dominated lies below their common corner.
        every = np.linspace(0, len(front) - 1, min(len(front), _CORNERS)).astype(np.intp)
        x, y = front[every].T
        self._corners = np.stack([np.r_[x, np.inf], np.r_[np.inf, y]])

    def of(self, groups: Sequence[int]) -> Callable[[int], Promising]:
        """For groups that share a sweep, by layer: what is promising after it."""
        bounds = {g: self.problem.to_come(g, self._weights) for g in groups}

        def after(layer: int) -> Promising:
            own = [g for g in groups if self.problem.depth(g) > layer]
            tests = [self._test(self.problem.start[g], bounds[g][layer + 1]) for g in own]
            return lambda sums, states: np.logical_or.reduce([t(sums, states) for t in tests])

        return after

    def _test(self, start: Array, least: Array) -> Promising:
        """What is promising in a group after a layer.

        :param least: smallest weighted sums to come, shape (directions, states)
        """
        # The hulls of states differ little but in place: one hull for all, moved for each state.
        common, (first, second) = least.min(axis=1), self._weights.T
        apart = least - common[:, None]
        move_x = (apart[:-1] / first[:-1, None]).min(axis=0)
        apart = apart - first[:, None] * move_x
        move_y = np.maximum((apart[1:] / second[1:, None]).min(axis=0), 0.0)
        move = np.stack([move_x, move_y], axis=1) + start - self._slack
        # Each line touches the hull, so that the hull's corners are where the next ones meet.
        across = first[:-1] * second[1:] - first[1:] * second[:-1]
        hull_x = (common[:-1] * second[1:] - common[1:] * second[:-1]) / across
        hull_y = (first[:-1] * common[1:] - first[1:] * common[:-1]) / across
        hull_x = np.maximum.accumulate(hull_x)
        corner_x, corner_y = self._corners

        def promising(sums: Array, states: NDArray[np.intp]) -> NDArray[np.bool_]:
            if not len(sums):
                return np.zeros(0, dtype=np.bool_)
            x, y = (sums + move[states]).T
            low, high = x.min(), x.max()
            grid = np.linspace(low, high, _GRID)
            room = corner_x - grid[:, None]
            below = corner_y - np.interp(room, hull_x, hull_y)
            most = np.where(room < hull_x[0], -np.inf, below).max(axis=1)  # less, the larger x
            step = (high - low) / (_GRID - 1)
            cell = ((x - low) / step).astype(np.intp) if step > 0 else np.zeros(len(x), np.intp)
            return np.asarray(y <= most[np.clip(cell - 1, 0, _GRID - 1)])

        return promising

    def _scout(self, group: int) -> Array:
        """Sums of good architectures of a group, shape (n, objectives)."""
        chain, order = self.problem.chain(group), self.problem.order
        codes, objectives = chain[0].shape[1:]
        # Partial sums of different states are compared with the mean of what is to come.
        final = codes ** min(len(chain), order)
        mean = [np.zeros((objectives, final))]
        for step in reversed(chain):
            parts = np.moveaxis(step, -1, 0)
            mean.append((parts + after_each(mean[-1], len(step), codes)).mean(axis=-1))
        sums, states = np.zeros((1, objectives)), np.zeros(1, dtype=np.intp)
        for step, to_come in zip(chain, mean[-2::-1], strict=True):
            sums = (sums[:, None] + step[states]).reshape(-1, objectives)
            states = next_states(states, codes, order).ravel()
            hoped = sums + to_come.T[states]
            keep = nondominated(hoped)
            if len(keep) > _SCOUT_POINTS:
                keep = keep[box_corners(hoped[keep], boxes(hoped[keep], _SCOUT_POINTS))[1]]
            sums, states = sums[keep], states[keep]
        return np.asarray(self.problem.start[group] + sums)
