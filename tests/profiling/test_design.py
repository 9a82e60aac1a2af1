"""The design knows effects better than random architectures do, and can be prolonged."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from fakes import TINY

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding
from hwgpt_blackbox.domain.spaces import SPACES, Space
from hwgpt_blackbox.profiling.design import candidates, design, features, reference_architecture

TWO_CHOICES = Space("two", (8, 16), (1, 2), (1, 2), (1, 2), 1)


def first(space: Space, number: int, seed: int = 0) -> np.ndarray:
    return np.array(list(islice(design(space, seed), number)))


def spread(space: Space, matrix: np.ndarray) -> float:
    """Log det of the information of an intercept and all totals, of the first embed_dim."""
    values, precision = features(
        space, np.concatenate([candidates(space, np.random.default_rng(1)), matrix])
    )
    own = values[-len(matrix) :][matrix[:, EMBED_DIM] == 0]
    return float(np.linalg.slogdet(own.T @ own + np.diag(precision))[1])


@pytest.mark.parametrize("space", [SPACES["s"], SPACES["l"], TINY], ids=lambda s: s.name)
def test_48_chosen_architectures_say_more_than_72_random_ones(space: Space) -> None:
    rng = np.random.default_rng(5)
    random = Encoding(space).sample(72, rng, stratified=True)
    assert spread(space, first(space, 48)) > spread(space, random)


@pytest.mark.parametrize("space", [SPACES["m"], TINY, TWO_CHOICES], ids=lambda s: s.name)
def test_architectures_are_distinct_canonical_and_of_every_cell(space: Space) -> None:
    cells = 2 * len(space.embed_dims)
    found = first(space, 2 * cells)
    assert (found == Encoding(space).canonical(found)).all()
    assert len(np.unique(found, axis=0)) == len(found)
    counts = np.bincount(2 * found[:, EMBED_DIM] + found[:, BIAS], minlength=cells)
    assert (counts == 2).all()


def test_a_longer_design_begins_with_the_shorter_one() -> None:
    assert (first(SPACES["s"], 60)[:30] == first(SPACES["s"], 30)).all()
    assert (first(SPACES["s"], 30, seed=1) != first(SPACES["s"], 30)).any()


def test_a_space_of_few_architectures_ends() -> None:
    found = first(TWO_CHOICES, 10_000)
    assert len(found) == TWO_CHOICES.num_architectures == len(np.unique(found, axis=0))


def test_candidates_reach_the_edges_of_the_totals() -> None:
    space = SPACES["l"]
    totals = Encoding(space).mean_layer_choices(candidates(space, np.random.default_rng(0)))
    uniform = Encoding(space).mean_layer_choices(
        Encoding(space).sample(3000, np.random.default_rng(0))
    )
    assert (np.ptp(totals, axis=0) > 1.5 * np.ptp(uniform, axis=0)).all()


def test_the_reference_is_in_the_middle() -> None:
    row = reference_architecture(SPACES["s"])
    found = Encoding(SPACES["s"]).decode_one(row)
    assert (found["num_layers"], found["embed_dim"], found["bias"]) == (11, 384, False)
    assert found["mlp_ratio_10"] == 3 and found["mlp_ratio_11"] == 2  # canonical
    assert row[NUM_LAYERS] == 1
