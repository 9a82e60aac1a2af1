"""What holds for any architecture, repeat, artifact, set of points and run."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers import embedded, equivalent, random_surrogate
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.convert.fitting.whole_space import write_surrogate
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import decode, encode
from hwgpt_blackbox.experiments.runs import RunSettings
from hwgpt_blackbox.fronts import reference_front
from hwgpt_blackbox.fronts.nondominated import hypervolume, nondominated
from hwgpt_blackbox.models.noise import (
    MAX_REPEAT,
    Dependence,
    QuantileTables,
    make_streams,
    mean_ratio,
    uniforms,
)
from hwgpt_blackbox.models.portable_arithmetic import mix64
from hwgpt_blackbox.storage.manifest import read_arrays, read_manifest, write_manifest
from hwgpt_blackbox.storage.surrogates import read_surrogate

ENCODINGS = {name: Encoding(space) for name, space in SPACES.items()}
BLACKBOXES = {name: HWGPTBlackbox(embedded(name), "rtx2080") for name in ("s", "m", "l")}

seeds = st.integers(0, 2**32 - 1)
repeats = st.one_of(st.integers(0, 100), st.integers(0, MAX_REPEAT - 1))
few = settings(max_examples=max(15, settings().max_examples // 10))
"""For properties of which one example takes tenths of a second."""


@st.composite
def architectures(draw: Any, encoding: Encoding, most: int = 4) -> np.ndarray:
    """Choice indices, canonical or not, in any type of integer and memory order."""
    rows = draw(st.integers(1, most))
    columns = [st.integers(0, size - 1) for size in encoding.sizes.tolist()]
    matrix = np.array([draw(st.tuples(*columns)) for _ in range(rows)])
    matrix = matrix.astype(draw(st.sampled_from([np.uint8, np.int8, np.int64, np.uint64])))
    return np.asfortranarray(matrix) if draw(st.booleans()) else matrix


# -- encoding and canonical form ---------------------------------------------------------------


@given(data=st.data(), name=st.sampled_from(sorted(SPACES)))
def test_any_matrix_is_its_configurations(data: Any, name: str) -> None:
    encoding = ENCODINGS[name]
    matrix = data.draw(architectures(encoding))
    configurations = encoding.decode(matrix)
    np.testing.assert_array_equal(encoding.encode(configurations), matrix)
    for config in configurations:
        assert json.loads(json.dumps(config)) == config  # plain numbers and truth values


@given(data=st.data(), name=st.sampled_from(sorted(SPACES)), seed=seeds)
def test_a_canonical_form_stands_for_all_names_of_an_architecture(
    data: Any, name: str, seed: int
) -> None:
    encoding = ENCODINGS[name]
    matrix = encoding.as_matrix(data.draw(architectures(encoding)))
    canonical = encoding.canonical(matrix)
    np.testing.assert_array_equal(encoding.canonical(canonical), canonical)
    other = equivalent(encoding, matrix, np.random.default_rng(seed))
    np.testing.assert_array_equal(encoding.canonical(other), canonical)
    active = encoding.active(matrix)
    for mine, its in zip(
        encoding.layer_choices(matrix), encoding.layer_choices(canonical), strict=True
    ):
        np.testing.assert_array_equal(mine[active], its[active])
    for row, one in zip(matrix.tolist(), canonical.tolist(), strict=True):
        assert encoding.canonical_row(row) == one


# -- measurements ------------------------------------------------------------------------------


@given(data=st.data(), name=st.sampled_from(["s", "m", "l"]), seed=seeds)
def test_a_measurement_is_a_function_of_architecture_and_repeat(
    data: Any, name: str, seed: int
) -> None:
    box = BLACKBOXES[name]
    matrix = box.encoding.as_matrix(data.draw(architectures(box.encoding)))
    numbers = data.draw(st.lists(repeats, min_size=len(matrix), max_size=len(matrix)))
    measured = box.measurements(matrix, numbers)
    assert np.isfinite(measured).all()
    assert (measured > 0).all()
    other = equivalent(box.encoding, matrix, np.random.default_rng(seed))
    np.testing.assert_array_equal(box.measurements(other, numbers), measured)
    order = data.draw(st.permutations(range(len(matrix))))
    np.testing.assert_array_equal(
        box.measurements(matrix[order], [numbers[i] for i in order]), measured[order]
    )
    config = box.encoding.decode_one(other[0])
    np.testing.assert_array_equal(box(config, seed=numbers[0])[0], measured[0])


@given(data=st.data(), repeat=repeats)
def test_other_architectures_have_other_keys(data: Any, repeat: int) -> None:
    box = BLACKBOXES["s"]
    matrix = box.encoding.as_matrix(data.draw(architectures(box.encoding)))
    canonical = np.unique(box.encoding.canonical(matrix), axis=0)
    u = [box.predictor._words.take(box.predictor._index(row[None])[1])[0] for row in canonical]
    assert len({int(np.bitwise_xor.reduce(words)) for words in u}) == len(canonical)


@given(
    key=st.integers(0, 2**64 - 1),
    repeat=repeats,
    spread=st.floats(0, 1),
    coupling=st.floats(0, 1),
    sign=st.sampled_from([1.0, -1.0]),
    seed=seeds,
)
def test_one_draw_has_the_bits_of_many_whatever_the_dependence(
    key: int, repeat: int, spread: float, coupling: float, sign: float, seed: int
) -> None:
    names = ["latency@a100", "energy@a100", "latency@v100"]
    streams = make_streams(names, [Dependence(spread, coupling, sign)] * 3)
    levels = np.array([0.0, 0.3, 0.31, 0.9, 1.0])
    quantiles = np.sort(np.random.default_rng(seed).lognormal(size=(2, 3, 5)), axis=-1)
    table = QuantileTables(levels, quantiles, streams)
    keys = mix64(np.array([key, key ^ 1], dtype=np.uint64))
    u = uniforms(keys, streams, np.array([repeat], dtype=np.uint64))
    assert ((u >= 0) & (u <= 1)).all()
    ratios = table.ratios(np.array([1, 0]), u)
    for row, group in enumerate((1, 0)):
        assert table.ratios_one(group, int(keys[row]), repeat) == ratios[row].tolist()
        assert (ratios[row] >= quantiles[group, :, 0]).all()
        assert (ratios[row] <= quantiles[group, :, -1] * (1 + 1e-15)).all()
    mean = mean_ratio(levels, quantiles)
    assert (quantiles[..., 0] <= mean).all()
    assert (mean <= quantiles[..., -1]).all()


# -- artifacts ---------------------------------------------------------------------------------

numbers = hnp.arrays(
    dtype=st.sampled_from(["<f8", "<f4", "<f2", "|u1", "<i8", "<u8", "<i2", "|b1"]).map(np.dtype),
    shape=hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    elements={"allow_nan": False, "allow_infinity": False},
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20).filter(lambda text: text.isprintable()),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(arrays=st.dictionaries(st.text("abc@/_0é", min_size=1, max_size=9), numbers, max_size=5))
def test_arrays_that_numpy_wrote_are_read(arrays: dict[str, np.ndarray]) -> None:
    assume("file" not in arrays)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        for save in (np.savez, np.savez_compressed):
            save(path, **{name: np.copy(a, order="F") for name, a in arrays.items()})
            read = read_arrays(path)
            assert list(read) == list(arrays)
            for name, array in arrays.items():
                np.testing.assert_array_equal(read[name], array, strict=True)
                assert read[name].flags.writeable


@given(extra=st.dictionaries(st.text(max_size=9), json_values, max_size=5))
def test_what_a_manifest_says_is_read_again(extra: dict[str, Any]) -> None:
    stated = {**extra, "kind": "surrogate", "name": "n"}
    for reserved in ("schema_version", "files"):
        stated.pop(reserved, None)
    with tempfile.TemporaryDirectory() as folder:
        write_manifest(Path(folder), stated)
        read = read_manifest(Path(folder), kind="surrogate")
    assert {k: v for k, v in read.items() if k not in ("schema_version", "files")} == stated


@few
@given(name=st.sampled_from(["s", "m", "l"]), seed=seeds, repeat=repeats)
def test_a_surrogate_that_was_written_answers_with_the_same_bits(
    name: str, seed: int, repeat: int
) -> None:
    surrogate = random_surrogate(SPACES[name], seed)
    with tempfile.TemporaryDirectory() as folder:
        write_surrogate(surrogate, Path(folder), dict(surrogate.manifest))
        read = read_surrogate(Path(folder))
    before, after = (HWGPTBlackbox(found, "all") for found in (surrogate, read))
    matrix = before.encoding.sample(5, np.random.default_rng(seed))
    np.testing.assert_array_equal(before.expected_values(matrix), after.expected_values(matrix))
    np.testing.assert_array_equal(
        before.measurements(matrix, repeat), after.measurements(matrix, repeat)
    )


# -- points and fronts -------------------------------------------------------------------------

coordinates = st.integers(0, 6).map(float) | st.floats(-1e6, 1e6)
points = hnp.arrays(
    np.float64, st.tuples(st.integers(1, 25), st.integers(1, 2)), elements=coordinates
)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


@given(values=points, data=st.data())
def test_non_dominated_points_are_those_that_no_point_dominates(
    values: np.ndarray, data: Any
) -> None:
    keep = nondominated(values)
    kept = values[keep]
    for i, point in enumerate(values):
        beaten = any(dominates(other, point) for other in values)
        first = (values == point).all(axis=1).argmax() == i
        assert (i in keep) == (not beaten and first)
    order = data.draw(st.permutations(range(len(values))))
    again = values[order][nondominated(values[order])]
    assert {tuple(p) for p in again} == {tuple(p) for p in kept}
    assert sorted(nondominated(kept).tolist()) == list(range(len(kept)))


@given(values=points.filter(lambda v: v.shape[1] == 2), extra=st.tuples(coordinates, coordinates))
def test_hypervolume_never_falls_and_counts_non_dominated_points_only(
    values: np.ndarray, extra: tuple[float, float]
) -> None:
    corner = np.array([10.0, 10.0])
    volume = hypervolume(values, corner)
    assert volume >= 0
    assert hypervolume(values[nondominated(values)], corner) == volume
    more = hypervolume(np.vstack([values, extra]), corner)
    assert more >= volume * (1 - 1e-12)
    if any((point <= extra).all() for point in values):
        assert more == volume
    alone = max(np.prod(np.maximum(corner - point, 0)) for point in values)
    assert volume >= alone * (1 - 1e-12)
    moved = hypervolume(values + 64.0, corner + 64.0)
    assert moved == pytest.approx(volume, rel=1e-9, abs=1e-6)


@few
@given(seed=seeds, pair=st.sampled_from([("perplexity", "latency@a100"), ("energy@v100", "params"),
                                         ("elapsed_time@h100", "memory_float16")]))  # fmt: skip
def test_no_architecture_dominates_a_reference_front(seed: int, pair: tuple[str, str]) -> None:
    surrogate = random_surrogate(SPACES["s"], seed)
    front = reference_front("s", pair, surrogate=surrogate)
    values = front.objectives
    assert front.exact
    assert (np.diff(values[:, 0]) > 0).all()
    assert (np.diff(values[:, 1]) < 0).all()
    device = pair[0].partition("@")[2] or pair[1].partition("@")[2]
    box = HWGPTBlackbox(surrogate, device, noise=False)
    columns = [box.objectives_names.index(f"metric_{text.partition('@')[0]}") for text in pair]
    np.testing.assert_array_equal(box.expected_values(front.matrix)[:, columns], values)
    rng = np.random.default_rng(seed)
    near = front.matrix[rng.integers(len(front.matrix), size=300)].copy()
    for row in near:  # one step from the front, and anywhere
        column = rng.integers(len(row))
        row[column] = rng.integers(box.encoding.sizes[column])
    for matrix in (near, box.encoding.sample(300, rng)):
        for point in box.expected_values(matrix)[:, columns]:
            assert not ((point <= values).all(axis=1) & (point < values).any(axis=1)).any()


# -- costs and results -------------------------------------------------------------------------

costs = st.floats(0, 1e6)
models = st.builds(CostModel, costs.map(lambda x: x + 1e-3), costs, costs, costs, costs)


@given(model=models, latency=st.floats(1e-6, 1e6), more=st.floats(1.0, 10.0), share=st.floats(0, 1))
def test_evaluations_cost_more_the_slower_and_the_more_of_them(
    model: CostModel, latency: float, more: float, share: float
) -> None:
    full = model.seconds(latency)
    assert 0 < model.setup_seconds <= full < math.inf
    assert model.seconds(latency * more) >= full
    part = model.partial(full, share)
    tolerance = 1e-9 * full
    assert model.setup_seconds - tolerance <= part <= full + tolerance
    assert model.partial(full, share * 0.5) <= part + tolerance
    assert model.partial(full, 1.0) == full


@few
@given(
    data=st.data(),
    space=st.sampled_from(["s", "m"]),
    objectives=st.sampled_from([["perplexity", "energy@rtx2080"],
                                ["latency@a100", "energy@v100", "params"],
                                ["flops", "memory_float16"]]),
    seed=seeds, trials=st.integers(1, 20), workers=st.integers(1, 100_000), noise=st.booleans(),
    cost=models,
)  # fmt: skip
def test_a_result_file_is_read_as_it_was_written(
    data: Any, space: str, objectives: list[str], seed: int, trials: int, workers: int,
    noise: bool, cost: CostModel,
) -> None:  # fmt: skip
    run = RunSettings(Problem.parse(space, objectives), "RS", seed, trials, workers, noise, cost)
    configurations = ENCODINGS[space].decode(
        ENCODINGS[space].sample(trials, np.random.default_rng(seed))
    )
    columns: dict[str, Any] = {}
    for name in run.columns():
        if name.startswith("config_"):
            columns[name] = [c[name.removeprefix("config_")] for c in configurations]
        elif name == "trial_id":
            columns[name] = np.arange(trials)
        else:
            positive = st.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False)
            columns[name] = data.draw(hnp.arrays(np.float64, trials, elements=positive))
            if name == "simulated_time":  # results are stored in the order in which they end
                columns[name].sort()
    frame = pd.DataFrame(columns)
    stored = decode(encode(run, frame), Path("run.parquet"))
    pd.testing.assert_frame_equal(stored.frame, frame, rtol=0, atol=0)
    assert stored.run == run
