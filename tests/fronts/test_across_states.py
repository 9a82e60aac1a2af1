"""Partial sums that one of another state beats: discarding them loses nothing of a front."""

from __future__ import annotations

import numpy as np
import pytest

from hwgpt_blackbox.fronts.across_states import Allowances, unbeaten
from hwgpt_blackbox.fronts.nondominated import nondominated
from hwgpt_blackbox.models.chains import chain_steps

CODES, LAYERS = 3, 2


def random_chain(order: int, objectives: int, seed: int, *, ties: bool):
    """Layers to come, of which the first objective has effects of pairs, and the next states."""
    rng = np.random.default_rng(seed)
    drawn = (lambda s: rng.integers(0, 3, s) / 8) if ties else (lambda s: rng.uniform(0, 0.3, s))
    layer = drawn((1, LAYERS + order, CODES, objectives))
    pairs = [drawn((1, LAYERS + order, CODES, CODES, objectives)) / 4 for _ in range(order)]
    for pair in pairs:
        pair[..., 1:] = 0.0
    steps, following = chain_steps(layer, pairs)
    return [step[0] for step in steps[order:]], following


def every_end(sums, states, chain, following):
    """Sums after every choice of the layers to come, and the row that each began with."""
    rows = np.arange(len(sums))
    for step in chain:
        sums = (sums[:, None] + step[states]).reshape(-1, sums.shape[1])
        states, rows = following[states].ravel(), np.repeat(rows, CODES)
    return sums, rows


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_what_is_discarded_never_ends_on_the_front(objectives, order, ties):
    if objectives > 2:
        pytest.importorskip("moocore")
    chain, following = random_chain(order, objectives, objectives, ties=ties)
    rng = np.random.default_rng(1)
    sums = rng.integers(0, 40, (700, objectives)) / 16
    if not ties:
        sums = sums + rng.uniform(0, 1, sums.shape) / 16
    states = rng.integers(0, len(following), len(sums))
    for layer in range(len(chain)):
        to_come = chain[layer + 1 :]
        keep = unbeaten([Allowances(chain, following)], layer)(sums, states)
        assert 0 < keep.sum() < len(sums)
        ends, rows = every_end(sums, states, to_come, following)
        front = ends[nondominated(ends)]
        kept = ends[keep[rows]]
        found = kept[nondominated(kept)]
        np.testing.assert_array_equal(np.unique(front, axis=0), np.unique(found, axis=0))


def test_chains_of_two_depths_keep_what_one_of_them_needs():
    chain, following = random_chain(1, 2, 0, ties=False)
    rng = np.random.default_rng(2)
    sums, states = rng.uniform(0, 1, (700, 2)), rng.integers(0, len(following), 700)
    chains = [chain, chain[:1]]
    keep = unbeaten([Allowances(own, following) for own in chains], 0)(sums, states)
    for own in chains:
        ends, rows = every_end(sums, states, own[1:], following)
        assert keep[rows[nondominated(ends)]].all()
    assert keep.sum() < len(sums)


def test_few_sums_are_kept():
    chain, following = random_chain(1, 2, 0, ties=False)
    sums, states = np.arange(6.0).reshape(3, 2), np.zeros(3, dtype=np.intp)
    assert unbeaten([Allowances(chain, following)], 0)(sums, states).all()
