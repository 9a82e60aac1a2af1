"""Spaces of one's own in Syne Tune: by name, in any process, while their artifact is at hand."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers import Run, own_space, write_own_space
from syne_tune.blackbox_repository import (
    BlackboxRepositoryBackend,
    blackbox_list,
    load_blackbox,
)

import hwgpt_blackbox
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError

SPACE = own_space()


@pytest.fixture
def home(artifacts: Path) -> Path:
    write_own_space(artifacts)
    return artifacts


def test_syne_tune_lists_and_loads_what_is_at_hand(artifacts: Path):
    before = blackbox_list()
    write_own_space(artifacts)
    assert blackbox_list() == [*before, "hwgpt-mine", "hwgpt-mine-repeats"]
    boxes = load_blackbox("hwgpt-mine")
    assert list(boxes) == ["laptop", "board", "all"]
    assert {box.space for box in boxes.values()} == {SPACE}
    assert load_blackbox("hwgpt-mine-repeats")["board"].levels == 10
    for folder in (artifacts / "hwgpt-mine").iterdir():
        folder.unlink()
    assert blackbox_list() == before
    with pytest.raises(AssertionError, match="hwgpt-mine"):
        load_blackbox("hwgpt-mine")


def test_missing_metrics_are_left_out(home: Path):
    boxes = load_blackbox("hwgpt-mine")
    shared = ["metric_flops", "metric_params"]
    assert boxes["laptop"].objectives_names == [
        "metric_perplexity",
        "metric_latency",
        "metric_energy",
        *shared,
        "metric_elapsed_time",
    ]
    assert boxes["board"].objectives_names == [
        "metric_perplexity",
        "metric_latency",
        *shared,
        "metric_elapsed_time",
    ]
    assert boxes["all"].objectives_names == [
        "metric_perplexity",
        "metric_latency_laptop",
        "metric_latency_board",
        "metric_energy_laptop",
        *shared,
        "metric_elapsed_time",
        "metric_elapsed_time_laptop",
        "metric_elapsed_time_board",
    ]
    with pytest.raises(InputError, match="unknown device 'a100'; known: laptop, board"):
        hwgpt_blackbox.load("mine", "a100")


def test_values_are_the_same_in_any_form(home: Path):
    boxes = load_blackbox("hwgpt-mine")
    everything, laptop = boxes["all"], boxes["laptop"]
    matrix = everything.encoding.sample(200, np.random.default_rng(0))
    values, draws = everything.expected_values(matrix), everything.measurements(matrix, seed=5)
    assert (draws > 0).all()
    assert len(np.unique(values[:, 0])) > 100
    for row, expected, drawn in zip(matrix[:40], values, draws, strict=False):
        configuration = everything.encoding.decode_one(row)
        assert everything.objective_function(configuration, seed=5)[0].tolist() == drawn.tolist()
        assert everything.expected_values([configuration])[0].tolist() == expected.tolist()
    at = [everything.objectives_names.index(n) for n in ("metric_latency_laptop", "metric_flops")]
    own = [laptop.objectives_names.index(n) for n in ("metric_latency", "metric_flops")]
    np.testing.assert_array_equal(draws[:, at], laptop.measurements(matrix, seed=5)[:, own])
    slowest = everything.objectives_names.index("metric_elapsed_time")
    np.testing.assert_array_equal(values[:, slowest], values[:, -2:].max(axis=1))
    mean = np.mean([everything.measurements(matrix, seed=k) for k in range(300)], axis=0)
    noisy = everything.standard_deviations(matrix)[0] > 0
    assert [n for n, b in zip(everything.objectives_names, noisy, strict=True) if b] == [
        "metric_latency_laptop",
        "metric_latency_board",
        "metric_energy_laptop",
    ]
    np.testing.assert_allclose(mean[:, ~noisy], values[:, ~noisy], rtol=1e-12)


def test_inactive_layers_change_nothing(home: Path):
    box = hwgpt_blackbox.load("mine", "all")
    matrix = box.encoding.sample(300, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    other = matrix.copy()
    active = box.encoding.active(matrix)
    for columns, size in zip(box.encoding.layer_choices(other), (5, 3), strict=True):
        drawn = rng.integers(0, size, columns.shape).astype(np.uint8)
        columns[~active] = drawn[~active]
    assert (other != matrix).any()
    np.testing.assert_array_equal(box.measurements(other, seed=3), box.measurements(matrix, seed=3))


def test_counts_of_a_space_use_its_own_sizes(home: Path):
    box = hwgpt_blackbox.load("mine", "laptop")
    j = box.objectives_names.index("metric_params")
    for configuration in box.encoding.decode(box.encoding.sample(5, np.random.default_rng(0))):
        config = hwgpt_blackbox.model_config(SPACE, configuration)
        assert box.expected_values([configuration])[0, j] == config.num_parameters


LOADED = """
import json, pickle, sys
import hwgpt_blackbox
from syne_tune.blackbox_repository import load_blackbox, blackbox_list
backend = pickle.loads(bytes.fromhex({backend!r}))
box = load_blackbox("hwgpt-mine")["laptop"]
row = json.loads({row!r})
print(json.dumps([
    "hwgpt-mine" in blackbox_list(),
    box(row, seed=3).tolist(),
    backend.blackbox(row, seed=3).tolist(),
]))
"""


def test_any_process_loads_it_and_a_pickled_backend(home: Path, run_python: Run):
    backend = BlackboxRepositoryBackend(
        "hwgpt-mine", "metric_elapsed_time", dataset="laptop", seed=0
    )
    box = backend.blackbox
    row = box.encoding.decode(box.encoding.sample(1, np.random.default_rng(0)))[0]
    code = LOADED.format(backend=pickle.dumps(backend).hex(), row=json.dumps(row))
    listed, loaded, unpickled = json.loads(run_python(code).stdout.splitlines()[-1])
    assert listed
    assert loaded == unpickled == box(row, seed=3).tolist()


def test_own_spaces_do_not_make_the_import_heavy(home: Path, run_python: Run):
    code = "import hwgpt_blackbox, sys; print('numpy' in sys.modules, 'pandas' in sys.modules)"
    assert run_python(code).stdout.split() == ["False", "False"]


def test_quality_of_a_wide_space_loads_like_an_own_space(artifacts: Path):
    write_own_space(artifacts, SPACES["s-wide"])
    box = load_blackbox("hwgpt-s-wide")["board"]
    assert box.space is SPACES["s-wide"]
    manifest = json.loads((artifacts / "hwgpt-s-wide" / "manifest.json").read_text())
    assert "space_definition" not in manifest
    assert "metric_perplexity" in box.objectives_names


def test_a_space_of_exact_metrics_alone_has_no_device(artifacts: Path):
    space = replace(SPACE, name="exact")
    write_own_space(artifacts, space, ["perplexity"])
    boxes = load_blackbox("hwgpt-exact")
    assert list(boxes) == ["all"]
    assert boxes["all"].objectives_names == ["metric_perplexity", "metric_flops", "metric_params"]
    with pytest.raises(InputError, match="no device was measured in this space"):
        hwgpt_blackbox.Problem.parse("exact", ["perplexity", "params"])
