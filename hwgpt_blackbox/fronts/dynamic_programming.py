"""Dynamic programming over layers: the non-dominated sums of every group, with architectures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.fronts.across_states import Allowances, Promising, unbeaten
from hwgpt_blackbox.fronts.layer_sums import LayerSums
from hwgpt_blackbox.fronts.nondominated import box_corners, boxes, nondominated

MAX_POINTS = 50_000
"""Partial sums that are kept for each state of one group before they are thinned."""


@dataclass(frozen=True)
class Partial:
    """Sums over the first layers, and the architecture of each.

    :param sums: shape (n, objectives)
    :param codes: code of each layer so far, shape (n, layers so far)
    :param states: see :mod:`hwgpt_blackbox.models.chains`, shape (n,)
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
        self,
        step: NDArray[np.float64],
        following: NDArray[np.intp],
        promising: Promising | None = None,
    ) -> Partial:
        """Sums with one layer more, those left out that another of the same state dominates.

        A dominated sum stays dominated whatever layers follow from the same state, and where terms
        depend on no state a choice that another choice dominates is never needed, so neither is
        kept. Architectures stay in order, codes compared from the last layer to the first: of equal
        sums of one state the first is kept.

        :param step: what the layer adds, shape (states, codes, objectives)
        :param following: state after each code, shape (states, codes)
        :param promising: which sums to consider at all
        """
        alone = len(step) == 1
        options = np.sort(nondominated(step[0])) if alone else np.arange(step.shape[1])
        sums = (step[self.states][:, options] + self.sums[:, None, :]).swapaxes(0, 1)
        sums = sums.reshape(-1, step.shape[2])
        states = following[self.states].T[options].ravel()
        rows = np.arange(len(sums))
        if promising is not None:
            rows = np.flatnonzero(promising(sums, states))
        found = [own[nondominated(sums[own])] for own in _by_state(rows, states[rows])]
        rows = np.concatenate(found) if found else rows
        rows = rows if alone else np.sort(rows)
        layer, parent = np.divmod(rows, len(self))
        last = options[layer].astype(np.uint16)[:, None]
        codes_so_far = np.concatenate([self.codes[parent], last], axis=1)
        return Partial(sums[rows], codes_so_far, states[rows])

    def front(self) -> Partial:
        """The non-dominated sums of all states together, of equal ones the first architecture."""
        return self.take(nondominated(self.sums))

    def thin(self, limit: int, *, outer: bool) -> Partial:
        """About ``limit`` sums at most, in each state one for each box of a grid.

        :param outer: replace the points of a box by the box's smallest value of every objective (a
            bound, no architecture); else by one of them
        """
        lowest, kept = self.sums.copy(), []
        for rows in _by_state(np.arange(len(self)), self.states):
            sums = self.sums[rows]
            label = boxes(sums, max(1, limit * len(rows) // len(self)))
            corners, chosen = box_corners(sums, label)
            lowest[rows[chosen]] = corners
            kept.append(rows[chosen])
        thinned = replace(self, sums=lowest) if outer else self
        return thinned.take(np.sort(np.concatenate(kept)))


def _by_state(rows: NDArray[np.intp], states: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Rows of each state, in their order."""
    order = np.argsort(states, kind="stable")
    ends = np.flatnonzero(np.diff(states[order])) + 1
    return np.split(rows[order], ends) if len(rows) else []


def group_fronts(
    problem: LayerSums, max_points: int = MAX_POINTS, *, outer: bool = False
) -> tuple[list[tuple[int, Partial]], bool]:
    """Sums of every group that hold all that can be on the front of the space.

    Groups whose layers have the same effects (often all depths of a width) share one sweep. Where
    terms look back, sums of different states are compared, too: see
    :mod:`hwgpt_blackbox.fronts.across_states`.

    If there are more than ``max_points`` for each state, partial sums are thinned. With ``outer``
    unset, every sum returned belongs to an architecture. With it set, every architecture is weakly
    dominated by a sum returned. Proof by induction over layers: let each partial sum a have a kept
    q <= a of the same state. A layer's term t gives q + t <= a + t; dropping dominated sums leaves
    one below q + t; thinning replaces that by its box's corner, which is below it too. Where a sum
    of another state beats q, the same layers lead from there to no larger a sum.

    :return: by ascending group its number and its sums, start included; and whether nothing was
        thinned
    """
    chains: dict[bytes, list[int]] = {}
    for group in range(problem.surrogate.num_groups):
        key = problem.steps[:, group].tobytes()
        chains.setdefault(key, []).append(group)
    states = len(problem.following)
    fronts: dict[int, Partial] = {}
    exact = True
    for groups in chains.values():
        partial = Partial.empty(len(problem.columns))
        deepest = max(groups, key=problem.depth)
        allowances = [Allowances(problem.chain(g), problem.following) for g in groups]
        for i, step in enumerate(problem.chain(deepest)):
            promising = unbeaten(allowances, i) if states > 1 else None
            partial = partial.extend(step, problem.following, promising)
            if len(partial) > states * max_points:
                partial, exact = partial.thin(states * max_points, outer=outer), False
            for g in groups:
                if problem.depth(g) == i + 1:
                    done = partial.front() if states > 1 else partial
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
