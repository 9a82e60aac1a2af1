"""Sums over chains of layers: a term for each layer that depends on the layers just before it.

The *state* of a chain is what the terms to come depend on: for each of the last layers, as many as
terms look back, the class of its code. Codes that no later term tells apart are one class. Before
the first layer the state is 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
States = NDArray[np.intp]


def chain_steps(layer: Array, neighbours: Sequence[Array]) -> tuple[Array, States]:
    """What each layer adds to the sums of its chain, and the state after it, from every state.

    :param layer: term of each layer, shape (groups, layers, codes, sums)
    :param neighbours: terms of layers 1, 2, ... apart, each of shape (groups, layers, codes of the
        earlier layer, codes of the later, sums), at the place of the later
    :return: shapes (layers, groups, states, codes, sums) and (states, codes)
    """
    groups, layers, codes, sums = layer.shape
    pairs = [part.copy() for part in neighbours]
    classes, members = [], []  # of the codes of the oldest layer first; a code of each class
    seen = np.zeros((codes, 0))
    for apart in range(len(pairs), 0, -1):
        pairs[apart - 1][:, :apart] = 0.0
        seen = np.hstack([seen, np.moveaxis(pairs[apart - 1], 2, 0).reshape(codes, -1)])
        rows = [row.tobytes() for row in seen]
        distinct = list(dict.fromkeys(rows))
        label = np.array([distinct.index(row) for row in rows])
        classes.append(label)
        members.append(np.array([rows.index(row) for row in distinct]))
        seen = label[:, None].astype(np.float64)
    sizes = [len(first) for first in members]
    states = int(np.prod(sizes))
    total = np.zeros((groups, layers, *sizes, codes, sums))
    total += layer.reshape(groups, layers, *[1] * len(sizes), codes, sums)
    for place, (first, part) in enumerate(zip(members, reversed(pairs), strict=True)):
        shape = [1] * len(sizes)
        shape[place] = sizes[place]
        total += part[:, :, first].reshape(groups, layers, *shape, codes, sums)
    digits = np.indices(sizes).reshape(len(sizes), states)
    held = [first[digit][:, None] for first, digit in zip(members, digits, strict=True)]
    following = np.zeros((states, codes), dtype=np.intp)
    for label, size, code in zip(classes, sizes, [*held, np.arange(codes)][1:], strict=True):
        following = following * size + label[code]
    return np.moveaxis(total.reshape(groups, layers, states, codes, sums), 1, 0), following


def least_to_come(steps: Sequence[Array], following: States) -> list[Array]:
    """Smallest sum of the layers to come from every state: before each layer, and after the last.

    :param steps: of each layer, shape (..., states, codes)
    :param following: state after each code, shape (states, codes)
    :return: one more than steps, each of shape (..., states)
    """
    found = [np.zeros(steps[-1].shape[:-1])]
    for step in reversed(steps):
        found.append((step + found[-1][..., following]).min(axis=-1))
    return found[::-1]
