"""Chains of layers: states join the codes that no later term tells apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwgpt_blackbox.models.chains import chain_steps, least_to_come

CODES, LAYERS = 4, 4
EVERY = np.arange(CODES)
KINDS = {
    "no pairs": ([], 1),
    "neighbours": ([EVERY], 4),
    "two apart": ([EVERY, EVERY], 16),
    "two apart, of classes": ([EVERY, EVERY % 2], 8),
    "classes": ([EVERY % 2, EVERY % 2], 4),
    "only two apart, of classes": ([EVERY * 0, EVERY % 2], 4),
    "classes across": ([EVERY % 2, EVERY // 2], 8),
    "the same for all": ([EVERY * 0, EVERY * 0], 1),
}


@pytest.mark.parametrize(("classes", "states"), KINDS.values(), ids=KINDS)
def test_sums_along_states_are_sums_of_all_terms(classes, states):
    rng = np.random.default_rng(0)
    layer = rng.integers(0, 99, (2, LAYERS, CODES, 3)).astype(float)
    pairs = [rng.integers(0, 99, (2, LAYERS, CODES, CODES, 3)).astype(float) for _ in classes]
    pairs = [pair[:, :, own] for pair, own in zip(pairs, classes, strict=True)]
    given = [pair.copy() for pair in pairs]
    steps, following = chain_steps(layer, pairs)
    assert steps.shape == (LAYERS, 2, states, CODES, 3)
    assert all(np.array_equal(*both) for both in zip(pairs, given, strict=True))
    least = [least_to_come(list(steps[:, g, :, :, 0]), following)[0][0] for g in (0, 1)]
    sums = []
    for codes in itertools.product(range(CODES), repeat=LAYERS):
        state, total = 0, np.zeros((2, 3))
        for step, code in zip(steps, codes, strict=True):
            total += step[:, state, code]
            state = following[state, code]
        direct = sum(layer[:, i, code] for i, code in enumerate(codes))
        for apart, pair in enumerate(pairs, start=1):
            for i in range(apart, LAYERS):
                direct = direct + pair[:, i, codes[i - apart], codes[i]]
        np.testing.assert_array_equal(total, direct)
        sums.append(total[:, 0])
    np.testing.assert_array_equal(least, np.min(sums, axis=0))


def test_no_group_is_left():
    """A search under limits that no group meets once could not shape what is empty."""
    steps, following = chain_steps(
        np.zeros((0, LAYERS, CODES, 1)), [np.zeros((0, LAYERS, 1, CODES, 1))]
    )
    assert least_to_come(list(steps[..., 0]), following)[0].shape[0] == 0
