"""Dynamic programming over layers: the non-dominated sums of every group, with architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.fronts.layer_sums import LayerSums
from hwgpt_blackbox.fronts.nondominated import box_corners, boxes, nondominated

MAX_POINTS = 50_000
"""Partial sums that are kept for one group before they are thinned."""


@dataclass(frozen=True)
class Partial:
    """Sums over the first layers, and the architecture of each.

    :param sums: shape (n, objectives)
    :param codes: code of each layer so far, shape (n, layers so far)
    """

    sums: NDArray[np.float64]
    codes: NDArray[np.uint16]

    @classmethod
    def empty(cls, objectives: int) -> Partial:
        """No layer yet: one sum, zero."""
        return cls(np.zeros((1, objectives)), np.zeros((1, 0), dtype=np.uint16))

    def extend(
        self,
        terms: NDArray[np.float64],
        promising: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None,
    ) -> Partial:
        """Non-dominated sums with one layer more.

        A dominated sum stays dominated whatever layers follow, and a choice of one layer that
        another choice dominates is never needed, so neither is kept. Of equal sums the one with
        the smallest code in this layer is kept: exact sums that end in the same code began equal,
        so by induction the architecture kept is the first when codes are compared from the last
        layer to the first.

        :param terms: of the layer, shape (codes, objectives)
        :param promising: which of given sums, shape (n, objectives), to consider at all
        """
        options = np.sort(nondominated(terms))
        sums = (terms[options][:, None, :] + self.sums[None, :, :]).reshape(-1, terms.shape[1])
        index = None if promising is None else np.flatnonzero(promising(sums))
        if index is not None:
            sums = sums[index]
            if not len(sums):
                return Partial(sums, np.zeros((0, self.codes.shape[1] + 1), dtype=np.uint16))
        keep = nondominated(sums)
        chosen = keep if index is None else index[keep]
        layer, parent = np.divmod(chosen, len(self.sums))
        last = options[layer].astype(np.uint16)[:, None]
        return Partial(sums[keep], np.concatenate([self.codes[parent], last], axis=1))

    def thin(self, limit: int, *, outer: bool) -> Partial:
        """At most ``limit`` sums, one for each box of a grid.

        :param outer: replace the points of a box by the box's smallest value of every objective (a
            bound, no architecture); else by one of them
        """
        corners, chosen = box_corners(self.sums, boxes(self.sums, limit))
        return Partial(corners if outer else self.sums[chosen], self.codes[chosen])


def group_fronts(
    problem: LayerSums, max_points: int = MAX_POINTS, *, outer: bool = False
) -> tuple[list[tuple[int, Partial]], bool]:
    """Non-dominated sums of every group.

    Groups whose layers have the same effects (often all depths of a width) share one sweep.

    If ``max_points`` is exceeded, partial sums are thinned. With ``outer`` unset, every sum
    returned belongs to an architecture. With it set, every architecture of the group is weakly
    dominated by a sum returned. Proof by induction over layers: let each partial sum a have a kept
    q <= a. A layer's term t gives q + t <= a + t; dropping dominated sums leaves one below q + t;
    thinning replaces that by its box's corner, which is below it too.

    :return: by ascending group its number and its sums, start included; and whether nothing was
        thinned
    """
    chains: dict[bytes, list[int]] = {}
    for group in range(problem.surrogate.num_groups):
        chains.setdefault(problem.layers[group].tobytes(), []).append(group)
    fronts: dict[int, Partial] = {}
    exact = True
    for groups in chains.values():
        partial = Partial.empty(len(problem.columns))
        for i in range(max(map(problem.depth, groups))):
            partial = partial.extend(problem.layers[groups[0], i])
            if len(partial.sums) > max_points:
                partial, exact = partial.thin(max_points, outer=outer), False
            for g in groups:
                if problem.depth(g) == i + 1:
                    fronts[g] = Partial(problem.start[g] + partial.sums, partial.codes)
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
