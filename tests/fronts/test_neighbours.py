"""Exact optima of sums in which neighbouring layers interact, in spaces of any sizes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.fronts import best, reference_front
from hwgpt_blackbox.fronts.layer_sums import LayerSums, parse_columns
from hwgpt_blackbox.fronts.nondominated import nondominated
from hwgpt_blackbox.models.portable_arithmetic import to_grid
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import (
    AdditiveModel,
    Surrogate,
    effect_shape,
    group_shape,
    neighbours_shape,
)

SPACES = (
    Space("three", (8, 16, 24), (1, 2, 3), (1, 2, 4), (1, 2, 3), 1),
    Space("two", (8, 16), (2, 5, 6), (1, 2), (1, 2), 1),
    Space("four", (8, 16), (3, 4), (1, 2), (1, 2, 3, 4), 1),
)
TARGETS = ("perplexity", "latency@a100", "energy@a100", "memory_float16")


def random_models(space: Space, order: int, seed: int, *, ties: bool = False) -> Surrogate:
    """A surrogate of which perplexity and energy have effects of neighbouring layers."""
    rng = np.random.default_rng(seed)

    def drawn(full: tuple[int, ...], size: float) -> np.ndarray:
        shape = [n if rng.random() < 0.6 else 1 for n in full]
        if ties:
            return rng.integers(0, 3, shape) / 8
        return to_grid(rng.uniform(-size / 3, size, shape), 16.0)

    models = {}
    for target in TARGETS:
        apart = {"perplexity": order, "energy@a100": 1}.get(target, 0)
        models[target] = AdditiveModel(
            rng.choice(["identity", "log"]),
            1.5 + drawn(group_shape(space), 0.3),
            drawn(effect_shape(space), 0.3),
            None,
            neighbours=tuple(drawn(neighbours_shape(space), 0.2) for _ in range(apart)),
        )
    return Surrogate(space, models, np.array([0.0, 0.5, 1.0]), {})


def every_row(space: Space) -> np.ndarray:
    """All architectures in the documented order of ties: group, then layers from last to first."""
    encoding, parts = Encoding(space), []
    groups = itertools.product(range(len(space.embed_dims)), range(len(space.num_layers)), (0, 1))
    for e, n, b in groups:
        depth = space.num_layers[n]
        codes = np.array(list(itertools.product(range(space.layer_codes), repeat=depth)))[:, ::-1]
        rows = np.zeros((len(codes), encoding.num_columns), dtype=np.uint8)
        rows[:, [EMBED_DIM, NUM_LAYERS, BIAS]] = e, n, b
        mlp, heads = encoding.layer_choices(rows)
        mlp[:, :depth], heads[:, :depth] = np.divmod(codes, len(space.num_heads))
        parts.append(rows)
    return np.concatenate(parts)


def by_hand(surrogate: Surrogate, target: str, row: np.ndarray) -> float:
    """The sum of one architecture, term by term."""
    space, model = surrogate.space, surrogate.models[target]
    mlp, heads = Encoding(space).layer_choices(row[None])
    code = mlp[0] * len(space.num_heads) + heads[0]
    at = row[EMBED_DIM], row[NUM_LAYERS], row[BIAS]
    total = np.broadcast_to(model.intercept, group_shape(space))[at]
    effect = np.broadcast_to(model.effect, effect_shape(space))
    pairs = [np.broadcast_to(part, neighbours_shape(space)) for part in model.neighbours]
    for i in range(space.num_layers[row[NUM_LAYERS]]):
        total = total + effect[(*at, i, mlp[0, i], heads[0, i])]
        for apart, pair in enumerate(pairs, start=1):
            if i >= apart:
                total = total + pair[(*at, i, code[i - apart], code[i])]
    return float(total)


cases = pytest.mark.parametrize(
    ("space", "order", "seed", "ties"),
    [(s, k, seed, ties) for s in SPACES for k in (1, 2) for seed, ties in ((0, False), (1, True))],
    ids=lambda x: x.name if isinstance(x, Space) else str(x),
)


@cases
def test_values_are_sums_of_every_term_single_and_batched(space, order, seed, ties):
    surrogate = random_models(space, order, seed, ties=ties)
    predictor = Predictor(surrogate, parse_columns(TARGETS))
    rows = Encoding(space).sample(300, np.random.default_rng(seed))
    batch = predictor.expected(rows)
    for row, values in zip(rows, batch, strict=True):
        assert predictor.one(row.tolist(), None) == values.tolist()
        for target, value in zip(TARGETS, values, strict=True):
            total = by_hand(surrogate, target, row)
            if surrogate.link(target) == "identity":
                assert value == total
            else:
                np.testing.assert_allclose(value, np.exp(total), rtol=1e-14)


@cases
def test_ranges_are_those_of_every_architecture(space, order, seed, ties):
    surrogate = random_models(space, order, seed, ties=ties)
    rows = every_row(space)
    for target, model in surrogate.models.items():
        plain = Surrogate(
            space,
            {target: AdditiveModel("identity", *_parts(model), neighbours=model.neighbours)},
            surrogate.levels,
            {},
        )
        sums = Predictor(plain, parse_columns([target])).expected(rows)
        assert model.sum_range(space) == (sums.min(), sums.max())


def _parts(model: AdditiveModel) -> tuple[np.ndarray, np.ndarray, None]:
    return model.intercept, model.effect, None


@cases
def test_fronts_equal_brute_force(space, order, seed, ties):
    surrogate = random_models(space, order, seed, ties=ties)
    rows = every_row(space)
    pairs = [("perplexity", "latency@a100"), ("energy@a100", "perplexity"), ("flops", "perplexity")]
    for objectives in pairs:
        columns = parse_columns(objectives)
        values = Predictor(surrogate, columns).expected(rows)
        front = reference_front(space.name, objectives, surrogate=surrogate)
        assert front.exact
        kept = values[nondominated(values)]
        np.testing.assert_array_equal(front.objectives, kept)
        sums = LayerSums(surrogate, columns)
        assert sums.order == max(order, int("energy@a100" in objectives))
        for point, row in zip(front.objectives, front.matrix, strict=True):
            np.testing.assert_array_equal(row, rows[(values == point).all(axis=1).argmax()])


@cases
def test_three_objectives_equal_brute_force(space, order, seed, ties):
    pytest.importorskip("moocore")
    surrogate = random_models(space, order, seed, ties=ties)
    rows = every_row(space)
    objectives = ("perplexity", "latency@a100", "energy@a100")
    values = np.unique(Predictor(surrogate, parse_columns(objectives)).expected(rows), axis=0)
    front = reference_front(space.name, objectives, surrogate=surrogate)
    np.testing.assert_array_equal(front.objectives, values[nondominated(values)])
    thinned = reference_front(space.name, objectives, surrogate=surrogate, max_points=4)
    if not thinned.exact:
        for point in values:
            assert (thinned.outer <= point).all(axis=1).any()


@cases
def test_best_under_limits_equals_brute_force(space, order, seed, ties):
    pytest.importorskip("moocore")
    surrogate = random_models(space, order, seed, ties=ties)
    rows = every_row(space)
    names = ("perplexity", "latency@a100", "energy@a100")
    values = Predictor(surrogate, parse_columns(names)).expected(rows)
    for share in (0.02, 0.2, 0.7):
        for limited in ((), names[1:2], names[1:]):
            limits = {n: float(np.quantile(values[:, names.index(n)], share)) for n in limited}
            columns = [names.index(n) for n in limited]
            within = (values[:, columns] <= list(limits.values())).all(axis=1)
            if not within.any():
                continue
            found = best(space.name, "perplexity", limits, surrogate=surrogate)
            assert found.exact
            assert found.values["perplexity"] == values[within, 0].min()
            row = Predictor(surrogate, parse_columns(names)).expected(found.row[None])[0]
            assert (row[columns] <= list(limits.values())).all()


def test_effects_of_neighbours_off_the_grid_are_refused():
    space = SPACES[0]
    surrogate = random_models(space, 1, 0)
    model = surrogate.models["perplexity"]
    fine = tuple(np.random.default_rng(0).uniform(size=p.shape) for p in model.neighbours)
    models = surrogate.models | {
        "perplexity": AdditiveModel("identity", *_parts(model), neighbours=fine)
    }
    with pytest.raises(DataError, match="too fine"):
        LayerSums(
            Surrogate(space, models, surrogate.levels, {}), parse_columns(["perplexity", "flops"])
        )
