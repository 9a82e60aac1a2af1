"""Which partial sums another one in another state beats, whatever layers follow.

With the same layers to come, sums that differ in their state differ in the end by what they differ
now and by what the states make of these layers. The *pessimistic* sums of one and the *optimistic*
sums of another are apart by no more than that: if they are no larger in any objective and smaller
in one, the other is never on a front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Promising = Callable[[Array, NDArray[np.intp]], NDArray[np.bool_]]
"""Which of given sums, shape (n, objectives), in given states, shape (n,), to consider at all."""

_SLACK = 1e-12
"""Allowance for rounding, relative to the size of all sums."""

_FEW = 500
"""Sums that are cheaper to keep than to compare."""
_CELLS = 65_536
"""Cells of the table that sums are compared with."""


class Allowances:
    """How much to add to the partial sums of each state for its pessimistic and optimistic sums.

    :param chain: what each layer adds, each of shape (states, codes, objectives)
    :param following: state after each code, shape (states, codes)
    """

    def __init__(self, chain: Sequence[Array], following: NDArray[np.intp]) -> None:
        slack = _SLACK * sum(np.abs(step).max(axis=(0, 1)) for step in chain)
        states, objectives = len(following), chain[0].shape[-1]
        worst, mean = np.zeros((states, states, objectives)), np.zeros((states, objectives))
        found = [(mean, mean)]
        for step in reversed(chain):
            apart = step[:, None] - step + worst[following[:, None], following]
            worst = apart.max(axis=2)
            """By how much the sums to come from the first state exceed those from the second"""
            mean = (step + mean[following]).mean(axis=1)
            matters = worst.any(axis=(0, 1))
            middle = np.where(matters, mean, 0.0)
            beside = np.where(matters, worst - mean[:, None] + mean, 0.0)
            room = np.where(matters, slack, 0.0)
            found.append(
                (
                    middle + beside.max(axis=1) / 2 + room,
                    middle - beside.max(axis=0) / 2 - room,
                )
            )
        self._found = found[::-1]

    def after(self, layer: int) -> tuple[Array, Array]:
        """What to add for pessimistic and for optimistic sums, each of shape (states, objectives).

        After the last layer nothing is to come; so it is after any later one.
        """
        return self._found[min(layer + 1, len(self._found) - 1)]


def unbeaten(allowances: Sequence[Allowances], layer: int) -> Promising:
    """What is promising after a layer: what no other sum beats in all of some chains.

    :param allowances: of the chains
    """
    found = [own.after(layer) for own in allowances]
    above = np.max([high for high, _ in found], axis=0)
    below = np.min([low for _, low in found], axis=0)
    last = int((above - below).max(axis=0).argmax())
    rest = [j for j in range(above.shape[1]) if j != last]
    most_lines = int(_CELLS ** (1 / len(rest)))

    def promising(sums: Array, states: NDArray[np.intp]) -> NDArray[np.bool_]:
        if len(sums) < _FEW:
            return np.ones(len(sums), dtype=np.bool_)
        # Cells lie between lines; a sum is compared with those no larger than the line before it.
        to_cell, from_cell = np.zeros((2, len(sums)), dtype=np.intp)
        compared, shape = np.ones(len(sums), dtype=np.bool_), []
        for j in rest:
            high = sums[:, j] + above[states, j]
            lines = np.unique(high[:: 1 + len(high) // (8 * most_lines)])
            lines = lines[:: 1 + len(lines) // most_lines]
            line = np.searchsorted(lines, high)
            to_cell = to_cell * (len(lines) + 1) + line
            if above[:, j].any() or below[:, j].any():
                line = np.searchsorted(lines, sums[:, j] + below[states, j], side="right") - 1
            else:
                line = line - (np.append(lines, np.inf)[line] != high)
            compared &= line >= 0
            from_cell = from_cell * (len(lines) + 1) + np.maximum(line, 0)
            shape.append(len(lines) + 1)
        smallest = np.full(shape, np.inf)
        np.minimum.at(smallest.reshape(-1), to_cell, sums[:, last] + above[states, last])
        for axis in range(len(shape)):
            np.minimum.accumulate(smallest, axis=axis, out=smallest)
        beaten = smallest.reshape(-1)[from_cell] < sums[:, last] + below[states, last]
        return np.asarray(~(compared & beaten))

    return promising
