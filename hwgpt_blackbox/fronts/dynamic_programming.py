"""Dynamic programming over layers: the non-dominated sums of every group, with architectures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.fronts.layer_sums import LayerSums
from hwgpt_blackbox.fronts.nondominated import box_corners, boxes, nondominated
from hwgpt_blackbox.fronts.reach import Promising, Reach
from hwgpt_blackbox.models.chains import next_states

MAX_POINTS = 50_000
"""Partial sums that are kept for one group before they are thinned."""


@dataclass(frozen=True)
class Partial:
    """Sums over the first layers, and the architecture of each.

    :param sums: shape (n, objectives)
    :param codes: code of each layer so far, shape (n, layers so far)
    :param states: see :mod:`hwgpt_blackbox.models.chains`, shape (n,), those of a state together
    """

    sums: NDArray[np.float64]
    codes: NDArray[np.uint16]
    states: NDArray[np.intp]

    @classmethod
    def empty(cls, objectives: int) -> Partial:
        """No layer yet: one sum, zero."""
        states = np.zeros(1, dtype=np.intp)
        return cls(np.zeros((1, objectives)), np.zeros((1, 0), dtype=np.uint16), states)

    def __len__(self) -> int:
        return len(self.sums)

    def take(self, rows: NDArray[np.intp]) -> Partial:
        """Some of the sums."""
        return Partial(self.sums[rows], self.codes[rows], self.states[rows])

    def extend(
        self, step: NDArray[np.float64], order: int, promising: Promising | None = None
    ) -> Partial:
        """Sums with one layer more, those left out that another of the same state dominates.

        A dominated sum stays dominated whatever layers follow from the same state, and where terms
        depend on no state a choice that another choice dominates is never needed, so neither is
        kept. Of equal sums of one state the one with the smallest code in the oldest layer of the
        state before is kept: exact sums that end in the same codes began equal, so by induction the
        architecture kept is the first when codes are compared from the last layer to the first.

        :param step: what the layer adds, shape (states, codes, objectives)
        :param order: how many layers back terms look
        :param promising: which sums to consider at all
        """
        codes = step.shape[1]
        options = np.arange(codes) if order else np.sort(nondominated(step[0]))
        sums = (step[self.states][:, options] + self.sums[:, None, :]).swapaxes(0, 1)
        sums = sums.reshape(-1, step.shape[2])
        states = next_states(self.states, codes, order).T[options].ravel()
        rows = np.arange(len(sums))
        if promising is not None:
            rows = np.flatnonzero(promising(sums, states))
        # Of one state all come from states that differ in their oldest layer, ascending.
        rows = rows[np.argsort(states[rows], kind="stable")] if order else rows
        found = [own[nondominated(sums[own])] for own in _runs(rows, states[rows])]
        rows = np.concatenate(found) if found else rows
        layer, parent = np.divmod(rows, len(self))
        last = options[layer].astype(np.uint16)[:, None]
        codes_so_far = np.concatenate([self.codes[parent], last], axis=1)
        return Partial(sums[rows], codes_so_far, states[rows])

    def front(self, layer_codes: int) -> Partial:
        """The non-dominated sums of all states together, of equal ones the first architecture."""
        digits, left = [], self.states
        while left.any():
            left, digit = np.divmod(left, layer_codes)
            digits.append(digit)
        order = np.lexsort(digits[::-1]) if digits else np.arange(len(self))
        return self.take(order[nondominated(self.sums[order])])

    def thin(self, limit: int, *, outer: bool) -> Partial:
        """About ``limit`` sums at most, in each state one for each box of a grid.

        :param outer: replace the points of a box by the box's smallest value of every objective (a
            bound, no architecture); else by one of them
        """
        runs = _runs(np.arange(len(self)), self.states)
        parts = []
        for rows in runs:
            own = self.take(rows)
            label = boxes(own.sums, max(1, limit * len(rows) // len(self)))
            corners, chosen = box_corners(own.sums, label)
            kept = own.take(chosen)
            parts.append(replace(kept, sums=corners) if outer else kept)
        return Partial(
            np.concatenate([part.sums for part in parts]),
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.states for part in parts]),
        )


def _runs(rows: NDArray[np.intp], states: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows split where their states, equal ones together, change."""
    if not len(rows):
        return []
    return np.split(rows, np.flatnonzero(np.diff(states)) + 1)


def group_fronts(
    problem: LayerSums, max_points: int = MAX_POINTS, *, outer: bool = False
) -> tuple[list[tuple[int, Partial]], bool]:
    """Sums of every group that hold all that can be on the front of the space.

    Groups whose layers have the same effects (often all depths of a width) share one sweep. Where
    terms look back, two objectives have a bound beside that discards partial sums which cannot end
    on the front: see :class:`.Reach`.

    If ``max_points`` is exceeded, partial sums are thinned. With ``outer`` unset, every sum
    returned belongs to an architecture. With it set, every architecture is weakly dominated by a
    sum returned. Proof by induction over layers: let each partial sum a have a kept q <= a of the
    same state. A layer's term t gives q + t <= a + t; dropping dominated sums leaves one below
    q + t; thinning replaces that by its box's corner, which is below it too. What the bound
    discards is dominated by an architecture on the front, which it does not discard.

    :return: by ascending group its number and its sums, start included; and whether nothing was
        thinned
    """
    chains: dict[bytes, list[int]] = {}
    for group in range(problem.surrogate.num_groups):
        key = b"".join(step[group].tobytes() for step in problem.steps)
        chains.setdefault(key, []).append(group)
    reach = Reach(problem) if problem.order and len(problem.columns) == 2 else None
    # Of two objectives no state has many.
    limit = max_points * problem.space.layer_codes**problem.order if reach else max_points
    fronts: dict[int, Partial] = {}
    exact = True
    for groups in chains.values():
        partial = Partial.empty(len(problem.columns))
        deepest = max(groups, key=problem.depth)
        promising = reach.of(groups) if reach else None
        for i, step in enumerate(problem.chain(deepest)):
            partial = partial.extend(step, problem.order, promising and promising(i))
            if len(partial) > limit:
                partial, exact = partial.thin(limit, outer=outer), False
            for g in groups:
                if problem.depth(g) == i + 1:
                    done = partial.front(problem.space.layer_codes) if problem.order else partial
                    fronts[g] = replace(done, sums=problem.start[g] + done.sums)
    return sorted(fronts.items()), exact


def merge(
    problem: LayerSums, fronts: list[tuple[int, Partial]]
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Non-dominated sums over all groups, of equal sums that of the first group.

    :param fronts: number and sums of each group, ascending
    :return: sums, shape (n, objectives), and canonical choice indices, shape (n, hyperparameters)
    """
    sums = np.concatenate([partial.sums for _, partial in fronts])
    begin = np.cumsum([0] + [len(partial.sums) for _, partial in fronts])
    keep = np.sort(nondominated(sums))
    rows = [
        problem.matrix(group, partial.codes[keep[(keep >= low) & (keep < high)] - low])
        for (group, partial), low, high in zip(fronts, begin[:-1], begin[1:], strict=True)
    ]
    return sums[keep], np.concatenate(rows)
