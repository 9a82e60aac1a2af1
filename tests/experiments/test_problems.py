from __future__ import annotations

import json

import numpy as np
import pytest
from helpers import rewrite_manifest, write_random_surrogate

from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.experiments.problems import DEFAULT_DEVICE, Problem
from hwgpt_blackbox.loading import load
from hwgpt_blackbox.places import EMBEDDED


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
