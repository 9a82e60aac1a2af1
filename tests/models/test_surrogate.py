"""The surrogate artifacts: those of the wheel, and what a sound one must be."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import embedded, random_surrogate, rewrite_manifest, write_random_surrogate

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.noise import POSITION_LEVELS, mean_ratio
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate, modelled_targets
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.surrogates import read_surrogate

measured_spaces = pytest.mark.parametrize("space", ["s", "m", "l"])


def test_the_models_are_those_of_every_device_and_metric():
    exact = ["perplexity", "memory_float16", "memory_bfloat16"]
    noisy = [f"{m}@{d}" for m in ("latency", "energy") for d in DEVICES]
    assert sorted(modelled_targets()) == sorted(exact + noisy)


def test_written_and_read_artifacts_are_the_same(tmp_path):
    written = write_random_surrogate(tmp_path / "hwgpt-m", "m", seed=4)
    read = read_surrogate(tmp_path / "hwgpt-m")
    assert read.space is SPACES["m"]
    np.testing.assert_array_equal(read.levels, written.levels)
    assert list(read.models) == list(written.models)
    assert "error" in read.measured.metrics
    for target, model in written.models.items():
        again = read.models[target]
        assert (again.positions is None) == (model.positions is None)
        if model.positions is not None:
            np.testing.assert_array_equal(again.positions, model.positions)
        assert again.link == model.link
        np.testing.assert_array_equal(again.intercept, model.intercept)
        np.testing.assert_array_equal(again.effect, model.effect)
        assert len(again.corrections) == len(model.corrections)
        for parts in ("corrections", "neighbours"):
            for one, two in zip(getattr(again, parts), getattr(model, parts), strict=True):
                np.testing.assert_array_equal(one, two)
        assert (again.ratio is None) == (model.ratio is None)
        if model.ratio is not None:
            np.testing.assert_array_equal(again.ratio, model.ratio)


def test_terms_of_every_shape_are_those_of_the_full_one():
    surrogate = random_surrogate(SPACES["s"])
    group = surrogate.group_shape
    for target, model in surrogate.models.items():
        start, layer = surrogate.terms(target)
        assert start.shape == (18,)
        assert layer.shape == (18, 12, 10)
        assert (layer[:, :, -1] == 0).all()  # an inactive layer adds nothing
        parts = (model.effect, *model.corrections)
        effect = sum(np.broadcast_to(part, (*group, 12, 3, 3)) for part in parts)
        for g, at in enumerate(np.ndindex(*group)):
            assert start[g] == np.broadcast_to(model.intercept, group)[at]
            np.testing.assert_array_equal(layer[g, :, :-1], effect[at].reshape(12, 9))


# -- the artifacts of the wheel ----------------------------------------------------------------


def extreme_sums(surrogate: Surrogate, target: str) -> tuple[float, float]:
    """Smallest and largest sum of a target over every architecture of the space."""
    start, layer = surrogate.terms(target)
    depths = np.array(surrogate.space.num_layers)
    groups = np.arange(surrogate.num_groups).reshape(surrogate.group_shape)
    active = np.arange(surrogate.space.max_layers) < depths[:, None]
    lows, highs = [], []
    for n in range(len(depths)):
        chosen = layer[groups[:, n].ravel()][:, active[n], :-1]
        lows.append((start[groups[:, n].ravel()] + chosen.min(axis=-1).sum(axis=-1)).min())
        highs.append((start[groups[:, n].ravel()] + chosen.max(axis=-1).sum(axis=-1)).max())
    return min(lows), max(highs)


@measured_spaces
def test_every_architecture_has_positive_finite_values_and_draws(space):
    # Exact over the whole space, because the models are sums: no draw at or below zero, ever.
    surrogate = embedded(space)
    for target, model in surrogate.models.items():
        low, high = model.sum_range(surrogate.space)
        if not model.neighbours:
            assert (low, high) == extreme_sums(surrogate, target)
        if model.link == "log":
            assert -100 < low < high < 100, target
        else:
            assert 0 < low < high < 1e9, target
        if model.ratio is not None:
            assert (model.ratio > 0).all()


@measured_spaces
def test_draws_have_the_expected_value_as_their_mean(space):
    surrogate = embedded(space)
    for target in surrogate.models:
        if surrogate.is_noisy(target):
            means = mean_ratio(surrogate.levels, surrogate.quantiles(target))
            np.testing.assert_allclose(means, 1.0, rtol=1e-6, err_msg=target)


@measured_spaces
def test_the_manifest_says_units_and_where_it_comes_from(space):
    manifest = embedded(space).manifest
    assert manifest["units"] == {row.name: row.unit for row in METRICS.values()}
    assert manifest["name"] == f"hwgpt-{space}"
    assert manifest["space"] == space
    assert {"schema_version", "files", "links", "source"} <= set(manifest)


def test_embedded_artifacts_take_two_megabytes_at_most_and_hold_no_pickle():
    files = [path for path in EMBEDDED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 2e6
    assert {path.suffix for path in files} <= {".json", ".npz"}
    assert {path.parent.name for path in files} >= {"hwgpt-s", "hwgpt-m", "hwgpt-l"}


# -- artifacts that are not sound --------------------------------------------------------------


def replace_arrays(folder, **changes) -> None:
    """Write changed arrays under a manifest whose checksums fit; None removes one."""
    with np.load(folder / "arrays.npz") as archive:
        arrays = dict(archive)
    for name, value in changes.items():
        if value is None:
            del arrays[name]
        else:
            arrays[name] = value
    np.savez_compressed(folder / "arrays.npz", **arrays)
    rewrite_manifest(folder)


A100 = "latency@a100"
EVEN = np.tile(POSITION_LEVELS, (1, 1, 1, 10, 1))
BAD_ARRAYS = {
    "missing levels": ({"levels": None}, "levels"),
    "missing model": ({f"{A100}/effect": None}, f"{A100}/effect"),
    "nine positions": ({f"{A100}/positions": EVEN[..., :9, :]}, "positions"),
    "fewer levels of positions": ({f"{A100}/positions": EVEN[..., 1:]}, "positions"),
    "positions that descend": ({f"{A100}/positions": EVEN[..., ::-1]}, "no distributions"),
    "positions to less than 1": ({f"{A100}/positions": EVEN * 0.9}, "no distributions"),
    "positions not uniform together": ({f"{A100}/positions": EVEN**2}, "not uniform together"),
    "positions that are no numbers": ({f"{A100}/positions": EVEN * np.nan}, "positions"),
    "error without its effect": ({"error/effect": None}, "error/effect"),
    "missing ratio": ({f"{A100}/ratio": None}, f"{A100}/ratio"),
    "descending levels": ({"levels": np.array([0, 0.5, 0.4, 0.6, 1.0])}, "levels"),
    "levels to less than 1": ({"levels": np.array([0, 0.2, 0.4, 0.6, 0.9])}, "levels"),
    "levels of two dimensions": ({"levels": np.zeros((5, 1))}, "levels"),
    "a number for levels": ({"levels": np.array(0.5)}, "levels"),
    "other number of levels": ({"levels": np.array([0, 0.5, 1.0])}, "ratio of"),
    "intercept of another space": ({f"{A100}/intercept": np.ones((3, 4, 2))}, "intercept of"),
    "intercept without axes": ({f"{A100}/intercept": np.array(1.0)}, "intercept of"),
    "effect of fewer layers": ({f"{A100}/effect": np.ones((1, 1, 1, 11, 3, 3))}, "effect of"),
    "empty effect": ({f"{A100}/effect": np.ones((0, 1, 1, 1, 3, 3))}, "effect of"),
    "effect with an axis more": ({f"{A100}/effect": np.ones((1,) * 7)}, "effect of"),
    "ratio at zero": ({f"{A100}/ratio": np.array([0, 1, 2, 3, 4.0]).reshape(1, 1, 1, 5)}, "ratio"),
    "ratio descends": ({f"{A100}/ratio": np.array([5, 4, 3, 2, 1.0]).reshape(1, 1, 1, 5)}, "ratio"),
    "neighbours of other codes": (
        {"perplexity/neighbours1": np.ones((1, 1, 1, 12, 9, 3))},
        "neighbours1",
    ),
    "neighbours of overflowing sums": (
        {"perplexity/neighbours2": np.full((1, 1, 1, 1, 1, 1), 1e308)},
        "not positive and finite",
    ),
    "nan": ({f"{A100}/intercept": np.full((1, 1, 1), np.nan)}, "not finite"),
    "infinite": ({f"{A100}/effect": np.full((1, 1, 1, 1, 1, 1), np.inf)}, "not finite"),
    "complex": ({f"{A100}/intercept": np.ones((1, 1, 1), complex)}, "dtype '<c16'"),
    "text": ({f"{A100}/intercept": np.full((1, 1, 1), "1.0")}, "dtype"),
    "dates": ({f"{A100}/intercept": np.zeros((1, 1, 1), "M8[s]")}, "dtype"),
}


@pytest.mark.parametrize(("changes", "says"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays_are_refused_by_folder_and_array(changes, says, tmp_path):
    folder = tmp_path / "hwgpt-s"
    write_random_surrogate(folder)
    replace_arrays(folder)
    read_surrogate(folder)  # sound before
    replace_arrays(folder, **changes)
    with pytest.raises(DataError) as error:
        read_surrogate(folder)
    assert str(folder) in str(error.value)
    assert says in str(error.value)


BAD_KEYS = {
    "unknown space": ({"space": "xxl"}, "xxl"),
    "unmeasured space": ({"space": "s-wide"}, "s-wide"),
    "space of another type": ({"space": ["s"]}, "['s']"),
    "other space": ({"space": "m"}, "shape"),
    "no links": ({"links": {}}, "perplexity"),
    "links of another type": ({"links": [1, 2]}, "complete"),
    "null links": ({"links": None}, "complete"),
    "unknown link": ({"links": dict.fromkeys(modelled_targets(), "logit")}, "'logit'"),
    "link of another type": ({"links": {t: ["log"] for t in modelled_targets()}}, "['log']"),
}


@pytest.mark.parametrize(("changes", "says"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_bad_keys_of_the_manifest_are_refused(changes, says, tmp_path):
    folder = tmp_path / "hwgpt-s"
    write_random_surrogate(folder)
    rewrite_manifest(folder, **changes)
    with pytest.raises(DataError) as error:
        read_surrogate(folder)
    assert str(folder) in str(error.value)
    assert says in str(error.value)


RANGES = {
    "negative": ("intercept", (1, 1, 1), -1e6),
    "overflows": ("intercept", (1, 1, 1), 1e305),
    "overflows in a sum": ("effect", (1,) * 6, 1.7e308),
    "negative in deep networks": ("effect", (1,) * 6, -100.0),
}


@pytest.mark.parametrize("link", ["identity", "log"])
@pytest.mark.parametrize(("part", "shape", "value"), RANGES.values(), ids=RANGES)
def test_models_of_values_that_are_not_positive_and_finite_are_refused(
    link, part, shape, value, tmp_path
):
    # They gave draws at or below zero, and inf in a batch but an OverflowError in one query.
    folder = tmp_path / "hwgpt-s"
    models = write_random_surrogate(folder).models
    target = next(t for t, m in models.items() if m.link == link and m.ratio is not None)
    replace_arrays(folder, **{f"{target}/{part}": np.full(shape, value)})
    with pytest.raises(DataError, match=f"{target} of some architectures") as error:
        read_surrogate(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("error_of", ["arrays", "keys"])
def test_errors_say_what_to_do(error_of, tmp_path):
    folder = tmp_path / "hwgpt-s"
    write_random_surrogate(folder)
    if error_of == "arrays":
        replace_arrays(folder, levels=np.zeros(5))
    else:
        rewrite_manifest(folder, space="xxl")
    with pytest.raises(DataError, match="convert or pull"):
        read_surrogate(folder)


def test_a_model_without_noise_has_no_quantiles():
    surrogate = random_surrogate(SPACES["s"])
    assert not surrogate.is_noisy("perplexity")
    assert not surrogate.is_noisy("flops")
    with pytest.raises(ValueError, match="no noise"):
        surrogate.quantiles("perplexity")
    assert isinstance(surrogate.models["perplexity"], AdditiveModel)
