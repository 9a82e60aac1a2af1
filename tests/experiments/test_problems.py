from __future__ import annotations

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from helpers import rewrite_manifest, write_random_surrogate

import hwgpt_blackbox
from hwgpt_blackbox.blackboxes.loading import load
from hwgpt_blackbox.domain.objectives import DEFAULT_DEVICE
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.storage.locations import EMBEDDED


@pytest.mark.parametrize(
    ("objectives", "dataset", "attributes", "devices"),
    [
        (["perplexity", "energy@a100"], "a100", ("metric_perplexity", "metric_energy"), ("a100",)),
        (
            ["energy@a6000", "perplexity", "latency@rtx2080"],
            "all",
            ("metric_energy_a6000", "metric_perplexity", "metric_latency_rtx2080"),
            ("a6000", "rtx2080"),
        ),
        (
            ["params", "flops"],
            DEFAULT_DEVICE,
            ("metric_params", "metric_flops"),
            (DEFAULT_DEVICE,),
        ),
    ],
)
def test_dataset_and_attributes(objectives, dataset, attributes, devices):
    problem = Problem.parse("m", objectives)
    assert (problem.dataset, problem.attributes, problem.devices) == (dataset, attributes, devices)
    assert problem.targets == tuple(objectives)
    assert set(problem.attributes) <= set(load("m", dataset).objectives_names)


def test_bounds_are_those_of_the_artifact():
    problem = Problem.parse("l", ["perplexity", "latency@P100"])
    manifest = json.loads((EMBEDDED / "hwgpt-l" / "manifest.json").read_text())
    bounds = [manifest["bounds"]["objectives"][target] for target in problem.targets]
    assert [list(pair) for pair in zip(problem.ideal, problem.nadir, strict=True)] == bounds
    assert problem.normalise([problem.ideal, problem.nadir]).tolist() == [[0, 0], [1, 1]]


def test_normalise_refuses_other_shapes_and_keeps_the_argument():
    problem = Problem.parse("s", ["perplexity", "params"])
    values = np.ones((3, 2))
    values.setflags(write=False)
    assert problem.normalise(values).shape == (3, 2)
    for bad in (np.ones(2), np.ones((2, 3))):
        with pytest.raises(InputError, match=r"expected \(n, 2\).*perplexity, params"):
            problem.normalise(bad)


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (["perplexity"], "two or more"),
        ([], "two or more"),
        (["perplexity", "flops", "perplexity"], "'perplexity' is given twice"),
        (["perplexity", "energy"], "needs a device"),
        (["perplexity", "energy@rtx9090"], "unknown device 'rtx9090'"),
        (["perplexity", "speed@rtx2080"], "unknown objective 'speed@rtx2080'"),
        (["perplexity@a100", "flops"], "does not depend on the device"),
        ("perplexity", "expected a list"),
    ],
)
def test_bad_objectives(objectives, message):
    with pytest.raises(InputError, match=message):
        Problem.parse("s", objectives)


def test_device_is_for_objectives_without_one():
    assert Problem.parse("s", ["perplexity", "flops"], device="h100").devices == ("h100",)
    assert Problem.parse("s", ["perplexity", "energy@h100"], device="h100").devices == ("h100",)
    with pytest.raises(InputError, match="'a100', but the objectives are measured on h100"):
        Problem.parse("s", ["perplexity", "energy@h100"], device="a100")
    with pytest.raises(InputError, match="unknown device 'abacus'"):
        Problem.parse("s", ["perplexity", "flops"], device="abacus")
    with pytest.raises(InputError, match="unknown space 'xl'"):
        Problem.parse("xl", ["perplexity", "flops"])


@pytest.mark.parametrize("bounds", [None, {}, {"objectives": {"perplexity": [3.0, 2.0]}}, [1]])
def test_artifact_without_sound_bounds(artifacts, bounds):
    write_random_surrogate(artifacts / "hwgpt-s")
    rewrite_manifest(artifacts / "hwgpt-s", bounds=bounds)
    with pytest.raises(DataError, match=r"manifest\.json holds .* convert or pull"):
        Problem.parse("s", ["perplexity", "flops"])


def test_a_problem_of_error_needs_models_of_it(artifacts):
    write_random_surrogate(artifacts / "hwgpt-s")
    rewrite_manifest(artifacts / "hwgpt-s", bounds={"objectives": {"flops": [1.0, 2.0]}})
    with pytest.raises(DataError, match="models of space s in use have no error: an earlier ver"):
        Problem.parse("s", ["error", "flops"])


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "objectives",
    [
        ("energy@a6000", "perplexity"),
        ("error", "latency@rtx2080", "perplexity"),
        ("latency@a100", "params", "energy@cpu_amd_7513"),
        ("elapsed_time@h100", "flops"),
    ],
)
def test_values_are_those_of_the_blackbox_in_the_order_of_the_objectives(objectives):
    problem = hwgpt_blackbox.Problem.parse("m", objectives)
    box = load("m", problem.dataset)
    columns = [box.objectives_names.index(name) for name in problem.attributes]
    matrix = problem.encoding.sample(50, np.random.default_rng(0))
    dicts = problem.encoding.decode(matrix)
    expected = box.expected_values(matrix)[:, columns]
    for form in (matrix, dicts, pd.DataFrame(dicts)):
        np.testing.assert_array_equal(problem.expected(form), expected)
        for seeds in (7, list(range(50))):
            np.testing.assert_array_equal(
                problem.measure(form, seeds), box.measurements(matrix, seeds)[:, columns]
            )
    single = box(dicts[3], fidelity=1, seed=3)
    assert problem.measure(dicts[3], 3).tolist() == [[single[a] for a in problem.attributes]]
    assert problem.expected([]).shape == (0, len(objectives))
    with pytest.raises(InputError, match="2 seeds for 50 configurations"):
        problem.measure(matrix, [1, 2])


def test_the_reference_point_is_normalised_to_that_of_the_hypervolume():
    problem = Problem.parse("l", ["perplexity", "latency@P100", "energy@a40"])
    np.testing.assert_allclose(problem.normalise([problem.reference_point]), [[1.1] * 3])


def test_a_problem_that_has_answered_is_the_same_and_as_small_for_other_processes():
    problem = Problem.parse("s", ["perplexity", "energy@a100"])
    before = pickle.dumps(problem)
    row = problem.encoding.bounds[:1]
    problem.expected(row)
    copy = pickle.loads(pickle.dumps(problem))
    assert (copy, hash(copy)) == (problem, hash(problem))
    assert pickle.dumps(problem) == before
    np.testing.assert_array_equal(copy.measure(row, 5), problem.measure(row, 5))
