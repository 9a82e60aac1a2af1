"""Predictions: against a reference by hand, and bit-equal however they are asked for."""

from __future__ import annotations

import functools
import hashlib
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import embedded, equivalent, random_surrogate
from scipy import stats

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import Column, dataset_columns
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate, modelled_targets

measured_spaces = pytest.mark.parametrize("space", ["s", "m", "l"])
ALL = list(dataset_columns("all").values())


@functools.cache
def predictor(space: str, kind: str = "embedded") -> Predictor:
    surrogate = embedded(space) if kind == "embedded" else random_surrogate(SPACES[space])
    return Predictor(surrogate, ALL)


def architectures(space: str, size: int, seed: int = 0) -> np.ndarray:
    return Encoding(SPACES[space]).sample(size, np.random.default_rng(seed))


def terms_by_hand(model: AdditiveModel, space: str, row: np.ndarray) -> list[float]:
    """Intercept and effects of the active layers of one architecture, and of pairs of them."""

    def at(array: np.ndarray, index: tuple[int, ...]) -> float:
        cut = tuple(i if n > 1 else 0 for i, n in zip(index, array.shape, strict=True))
        return float(array[cut])

    layers = SPACES[space].max_layers
    group = (int(row[1]), int(row[0]), int(row[2]))
    mlp, heads = row[3 : 3 + layers], row[3 + layers :]
    depth = SPACES[space].num_layers[row[0]]
    code = [3 * int(m) + int(h) for m, h in zip(mlp, heads, strict=True)]
    return [
        at(model.intercept, group),
        *(
            at(part, (*group, i, int(mlp[i]), int(heads[i])))
            for part in (model.effect, *model.corrections)
            for i in range(depth)
        ),
        *(
            at(part, (*group, i, code[i - apart], code[i]))
            for apart, part in enumerate(model.neighbours, start=1)
            for i in range(apart, depth)
        ),
    ]


@measured_spaces
@pytest.mark.parametrize("kind", ["embedded", "random"])
def test_expected_values_are_links_of_sums_over_layers(space, kind):
    p, matrix = predictor(space, kind), architectures(space, 8)
    values = p.expected(matrix)
    for target in modelled_targets():
        model = p.surrogate.models[target]
        j = [c.target for c in ALL].index(target)
        for row, value in zip(matrix, values[:, j], strict=True):
            total = math.fsum(terms_by_hand(model, space, row))
            exact = math.exp(total) if model.link == "log" else total
            assert value == pytest.approx(exact, rel=1e-15 if model.link == "identity" else 1e-14)
    for what in ("params", "flops"):
        j = [c.target for c in ALL].index(what)
        np.testing.assert_array_equal(values[:, j], count(p.encoding, matrix, what))


@measured_spaces
@pytest.mark.parametrize("kind", ["embedded", "random"])
def test_the_order_of_layers_in_a_sum_changes_no_bit(space, kind):
    p, matrix = predictor(space, kind), architectures(space, 4, seed=1)
    rng = np.random.default_rng(0)
    for target in modelled_targets():
        for row in matrix:
            terms = terms_by_hand(p.surrogate.models[target], space, row)
            exact = math.fsum(terms)
            for _ in range(3):
                total = 0.0
                for term in rng.permutation(terms).tolist():
                    total += term
                assert total == exact, target


# -- bit-equality ------------------------------------------------------------------------------


@measured_spaces
@pytest.mark.parametrize("kind", ["embedded", "random"])
def test_single_and_batched_have_the_same_bits(space, kind):
    p, matrix = predictor(space, kind), architectures(space, 150)
    repeats = np.random.default_rng(1).integers(2**62, size=150, dtype=np.uint64)
    expected, drawn = p.expected(matrix), p.measurements(matrix, repeats)
    rows = matrix.tolist()
    np.testing.assert_array_equal(expected, [p.one(row, None) for row in rows])
    np.testing.assert_array_equal(
        drawn, [p.one(row, int(k)) for row, k in zip(rows, repeats, strict=True)]
    )
    assert (expected != drawn).sum(axis=0).max() > 140


@measured_spaces
@pytest.mark.parametrize("rows", [1, 7, 64, 10**6])
def test_chunks_of_any_size_have_the_same_bits(space, rows, monkeypatch):
    p, matrix = predictor(space), architectures(space, 200)
    repeats = np.arange(200, dtype=np.uint64)
    expected, drawn = p.expected(matrix), p.measurements(matrix, repeats)
    same = p.measurements(matrix, repeats[7:8])
    monkeypatch.setattr(p, "_rows", rows)
    np.testing.assert_array_equal(p.expected(matrix), expected)
    np.testing.assert_array_equal(p.measurements(matrix, repeats), drawn)
    np.testing.assert_array_equal(p.measurements(matrix, repeats[7:8]), same)
    np.testing.assert_array_equal(same[7], drawn[7])


def test_chunks_are_bounded():
    sizes = {len(ALL): predictor("l")._rows, 8: predictor("s")._rows}
    assert 0 < max(sizes.values()) * 12 * 29 < 2**18
    assert predictor("l")._rows * 36 * 29 < 2**18


@measured_spaces
def test_any_layout_of_the_matrix_has_the_same_bits(space):
    p, matrix = predictor(space), architectures(space, 60)
    repeats = np.arange(60, dtype=np.uint64)
    drawn = p.measurements(matrix, repeats)
    order = np.random.default_rng(0).permutation(60)
    for form in (matrix.astype(np.int64), np.asfortranarray(matrix), matrix.astype(np.int8)):
        np.testing.assert_array_equal(p.measurements(form, repeats), drawn)
    np.testing.assert_array_equal(p.measurements(matrix[order], repeats[order]), drawn[order])
    np.testing.assert_array_equal(p.measurements(matrix[::-1], repeats[::-1]), drawn[::-1])


@measured_spaces
def test_any_choice_of_columns_has_the_same_bits(space):
    matrix = architectures(space, 40)
    everything = predictor(space).measurements(matrix, np.array([9], np.uint64))
    rng = np.random.default_rng(2)
    for _ in range(4):
        chosen = rng.permutation(len(ALL))[: rng.integers(1, 12)]
        part = Predictor(embedded(space), [ALL[j] for j in chosen])
        values = part.measurements(matrix, np.array([9], np.uint64))
        np.testing.assert_array_equal(values, everything[:, chosen])
    nothing_noisy = Predictor(embedded(space), [Column("perplexity"), Column("flops")])
    values = nothing_noisy.measurements(matrix, np.array([9], np.uint64))
    np.testing.assert_array_equal(values, nothing_noisy.expected(matrix))
    assert nothing_noisy.one(matrix[0].tolist(), 9) == values[0].tolist()


@measured_spaces
def test_names_of_the_same_architecture_have_the_same_bits(space):
    p, matrix = predictor(space), architectures(space, 100)
    other = equivalent(p.encoding, matrix, np.random.default_rng(4))
    assert (other != matrix).any(axis=1).sum() > 30
    repeats = np.arange(100, dtype=np.uint64)
    np.testing.assert_array_equal(p.expected(other), p.expected(matrix))
    np.testing.assert_array_equal(p.measurements(other, repeats), p.measurements(matrix, repeats))
    for one, two in zip(matrix[:20].tolist(), other[:20].tolist(), strict=True):
        assert p.one(one, 3) == p.one(two, 3)


def test_threads_get_the_same_bits():
    matrix, repeats = architectures("s", 2000), np.arange(2000, dtype=np.uint64)
    expected = predictor("s").measurements(matrix, repeats)
    shared = Predictor(embedded("s"), ALL)  # its tables are not built yet
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda i: shared.measurements(matrix[i::8], repeats[i::8]), range(8)))
        single = list(pool.map(lambda i: shared.one(matrix[i].tolist(), i), range(100)))
    for i, part in enumerate(parts):
        np.testing.assert_array_equal(part, expected[i::8])
    np.testing.assert_array_equal(single, expected[:100])


FINGERPRINT = """
import hashlib, numpy as np
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.surrogates import read_surrogate
from hwgpt_blackbox.domain.objectives import dataset_columns
digest = hashlib.sha256()
for space in ("s", "m", "l"):
    surrogate = read_surrogate(EMBEDDED / f"hwgpt-{space}")
    p = Predictor(surrogate, list(dataset_columns("all").values()))
    matrix = p.encoding.sample(300, np.random.default_rng(0))
    digest.update(p.measurements(matrix, np.arange(300, dtype=np.uint64)).tobytes())
    digest.update(np.array([p.one(row, 2**61) for row in matrix[:20].tolist()]).tobytes())
print(digest.hexdigest())
"""


def test_another_process_gets_the_same_bits(run_python):
    digest = hashlib.sha256()
    for space in ("s", "m", "l"):
        p, matrix = predictor(space), architectures(space, 300)
        digest.update(p.measurements(matrix, np.arange(300, dtype=np.uint64)).tobytes())
        digest.update(np.array([p.one(row, 2**61) for row in matrix[:20].tolist()]).tobytes())
    for seed in ("1", "77"):
        assert run_python(FINGERPRINT, PYTHONHASHSEED=seed).stdout.strip() == digest.hexdigest()


# -- independence ------------------------------------------------------------------------------


def with_uniform_ratios(space: str) -> Surrogate:
    """A surrogate whose draws are the expected value times 0.5 + u: they show the uniform u."""
    surrogate = random_surrogate(SPACES[space])
    levels = np.array([0.0, 0.5, 1.0])
    ratio = np.array([0.5, 1.0, 1.5]).reshape(1, 1, 1, 3)
    models = {
        t: AdditiveModel(m.link, m.intercept, m.effect, None if m.ratio is None else ratio)
        for t, m in surrogate.models.items()
    }
    return Surrogate(surrogate.space, models, levels, surrogate.manifest)


def shown_uniforms(p: Predictor, matrix: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    return p.measurements(matrix, repeats.astype(np.uint64)) / p.expected(matrix) - 0.5


NOISY = [c for c in ALL if c.metric in ("latency", "energy")]


@measured_spaces
def test_draws_of_seeds_devices_metrics_and_architectures_are_uniform_and_uncorrelated(space):
    p, n = Predictor(with_uniform_ratios(space), NOISY), 20_000
    assert len(NOISY) == 26
    same = np.repeat(architectures(space, 1), n, axis=0)
    other = same.copy()
    other[:, 3] = (other[:, 3] + 1) % 3  # the next architecture: one MLP ratio differs
    by_seed = shown_uniforms(p, same, np.arange(n))
    draws = [
        by_seed,
        shown_uniforms(p, same, np.arange(n) + 1),  # the next seed
        shown_uniforms(p, other, np.arange(n)),
        shown_uniforms(p, architectures(space, n), np.zeros(1)),
    ]
    for u in draws:
        assert all(stats.kstest(column, "uniform").pvalue > 1e-4 for column in u.T)
    correlations = np.corrcoef(np.concatenate(draws, axis=1).T)
    off_diagonal = np.abs(correlations[~np.eye(len(correlations), dtype=bool)])
    assert off_diagonal.max() < 5.5 / np.sqrt(n)


def test_all_architectures_of_a_small_neighbourhood_have_draws_of_their_own():
    p = Predictor(with_uniform_ratios("s"), NOISY[:1])
    base = architectures("s", 1, seed=5)[0]
    base[0] = 2  # every layer active
    rows = [base]
    for column, size in enumerate(p.encoding.sizes):
        for value in range(size):
            row = base.copy()
            row[column] = value
            rows.append(row)
    matrix = np.unique(p.encoding.canonical(np.array(rows)), axis=0)
    u = shown_uniforms(p, matrix, np.zeros(1)).ravel()
    assert len(np.unique(u.round(12))) == len(matrix)


def test_swapping_two_layers_gives_another_draw():
    p = Predictor(with_uniform_ratios("s"), NOISY[:1])
    matrix = architectures("s", 200)
    matrix[:, 3], matrix[:, 4] = 0, 1
    swapped = matrix.copy()
    swapped[:, [3, 4]] = matrix[:, [4, 3]]
    swapped[:, [15, 16]] = matrix[:, [16, 15]]
    u, v = (shown_uniforms(p, m, np.zeros(1)).ravel() for m in (matrix, swapped))
    assert (u != v).all()
    assert abs(np.corrcoef(u, v)[0, 1]) < 0.3
