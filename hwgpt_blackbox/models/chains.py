"""Sums over chains of layers: a term for each layer that depends on the layers just before it.

The *state* of a chain is the codes of its last layers, as many as terms look back (its *order*), as
one number in base ``codes``, the newest the last digit; it has fewer digits in the first layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def chain_steps(layer: Array, neighbours: Sequence[Array]) -> list[Array]:
    """What each layer adds to the sum of its chain, from every state before it.

    :param layer: term of each layer, shape (groups, layers, codes)
    :param neighbours: terms of layers 1, 2, ... apart, each of shape (groups, layers, codes of the
        earlier layer, codes of the later), at the place of the later
    :return: of each layer, shape (groups, states, codes)
    """
    groups, layers, codes = layer.shape
    steps = []
    for i in range(layers):
        digits = min(i, len(neighbours))
        total = np.zeros((groups, *[codes] * digits, codes))
        total += layer[:, i].reshape(groups, *[1] * digits, codes)
        for apart in range(1, digits + 1):
            shape = [1] * digits
            shape[-apart] = codes
            total += neighbours[apart - 1][:, i].reshape(groups, *shape, codes)
        steps.append(total.reshape(groups, -1, codes))
    return steps


def next_states(states: NDArray[np.intp], codes: int, order: int) -> NDArray[np.intp]:
    """State after each code of one layer more, shape (n, codes).

    :param states: before it, shape (n,)
    """
    return np.asarray((states[:, None] * codes + np.arange(codes)) % codes**order)


def least_to_come(steps: Sequence[Array], order: int) -> list[Array]:
    """Smallest sum of the layers to come from every state: before each layer, and after the last.

    :param steps: of each layer, shape (..., states, codes)
    :return: one more than steps, each of shape (..., states)
    """
    codes = steps[-1].shape[-1]
    found = [np.zeros((*steps[-1].shape[:-2], codes ** min(len(steps), order)))]
    for step in reversed(steps):
        found.append((step + after_each(found[-1], step.shape[-2], codes)).min(axis=-1))
    return found[::-1]


def after_each(values: Array, states: int, codes: int) -> Array:
    """Values of states after each code of a layer, shape (..., states before it, codes).

    :param values: of the states after the layer, shape (..., states)
    :param states: number of states before the layer
    """
    if values.shape[-1] == 1:
        return values[..., None]
    split = values.reshape(*values.shape[:-1], values.shape[-1] // codes, codes)
    return np.tile(split, (states // split.shape[-2], 1))
