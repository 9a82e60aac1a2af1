"""Problems, runs, reports and optima on a space of one's own."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from helpers import own_space, rewrite_manifest, write_own_space

import hwgpt_blackbox
from hwgpt_blackbox import HWGPT, Problem, best, reference_front
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.experiments.report import read_results
from hwgpt_blackbox.experiments.results.provenance import artifact_digests
from hwgpt_blackbox.fronts.nondominated import nondominated

SMALL = own_space(name="small", embed_dims=(16, 32), num_layers=(1, 2), num_heads=(1, 2))


@pytest.fixture
def file(artifacts: Path, tmp_path: Path) -> Path:
    """The file of a space whose artifact is at hand."""
    write_own_space(artifacts)
    path = tmp_path / "mine.toml"
    path.write_text(own_space().as_toml())
    return path


def test_a_problem_has_the_range_of_20000_architectures(file: Path):
    problem = Problem.parse("mine", ["perplexity", "energy@laptop"])
    for given in (file, str(file), own_space()):
        assert Problem.parse(given, ["perplexity", "energy@laptop"]) == problem
    assert (problem.name, problem.dataset) == ("mine-perplexity-energy@laptop", "laptop")
    sample = Encoding(own_space()).sample(20_000, np.random.default_rng(20_240_516))
    values = problem.expected(sample)
    assert problem.ideal == tuple(values.min(axis=0))
    assert problem.nadir == tuple(values.max(axis=0))
    both = Problem.parse("mine", ["latency@board", "latency@laptop"])
    assert (both.dataset, both.devices) == ("all", ("board", "laptop"))
    assert both.attributes == ("metric_latency_board", "metric_latency_laptop")
    counts = Problem.parse("mine", ["perplexity", "params"])
    assert counts.devices == ("laptop",)
    assert list(artifact_digests(both)) == ["hwgpt-mine"]


@pytest.mark.parametrize(
    ("objectives", "message"),
    [
        (
            ["perplexity", "memory_float16"],
            "memory_float16 was not measured in this space; known: p",
        ),
        (["perplexity", "error"], "error was not measured in this space"),
        (["perplexity", "energy@board"], "energy was not measured on board"),
        (["perplexity", "latency@rtx2080"], "unknown device 'rtx2080'; known: laptop, board"),
        (["perplexity", "latency"], "needs a device, for instance latency@laptop"),
    ],
)
def test_what_was_not_measured_is_refused(file: Path, objectives: list[str], message: str):
    with pytest.raises(InputError, match=message):
        Problem.parse("mine", objectives)


def test_fronts_and_best_are_those_of_all_architectures(artifacts: Path):
    write_own_space(artifacts, SMALL)
    encoding = Encoding(SMALL)
    ranges = (range(size) for size in encoding.sizes)
    every = np.array(list(itertools.product(*ranges)), dtype=np.uint8)
    every = np.unique(encoding.canonical(every), axis=0)
    assert len(every) == SMALL.num_architectures
    problem = Problem.parse("small", ["perplexity", "latency@board"])
    values = problem.expected(every)
    expected = np.unique(values[nondominated(values)], axis=0)
    front = reference_front("small", problem.targets)
    np.testing.assert_array_equal(np.unique(front.objectives, axis=0), expected)
    assert front.space == "small"
    limit = float(np.median(values[:, 1]))
    found = best(SMALL, "perplexity", {"latency@board": limit})
    assert found.row.tolist() in every[values[:, 1] <= limit].tolist()
    value = problem.expected([found.configuration])[0, 0]
    assert value == values[values[:, 1] <= limit, 0].min()


def test_counts_of_a_space_file_without_measurements_have_a_front(tmp_path: Path):
    file = tmp_path / "small.toml"
    file.write_text(SMALL.as_toml())
    front = reference_front(file, ["flops", "params"])
    assert (front.space, len(front.objectives)) == ("small", 1)
    with pytest.raises(InputError, match="space small has no measurements, so no perplexity"):
        best(file, "perplexity")
    assert main(["query", "--space", str(file), "--best", "--min", "params"]) == 0


def test_commands_take_the_file_and_the_name(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    results, report = tmp_path / "results", tmp_path / "report"
    for space in ("mine", str(file)):
        words = ["run", "--space", space, "--objectives", "perplexity", "latency@laptop"]
        words += ["--methods", "RS", "NSGA2", "--trials", "12", "--seeds", "0", "1"]
        assert main([*words, "--out", str(results)]) == 0
    assert "4 of 4 runs were complete already" in capsys.readouterr().out
    found = read_results([results])
    assert len(found.runs) == 4
    for run in found.runs:
        assert run.run.problem == Problem.parse("mine", ["perplexity", "latency@laptop"])
    assert main(["report", str(results), "--out", str(report)]) == 0
    assert "Space mine" in (report / "index.html").read_text()
    capsys.readouterr()
    words = ["query", "--space", str(file), "--best", "--min", "perplexity", "--json"]
    assert main([*words, "--max", "latency@laptop=1e9", "--device", "laptop"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["minimised"] == "perplexity"
    assert document["architecture"]["space"] == "mine"
    configuration = tmp_path / "best.json"
    configuration.write_text(json.dumps(document))
    words = ["query", "--space", "mine", "--device", "laptop", "--config", str(configuration)]
    assert main([*words, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["expected"]["metric_perplexity"] == document["expected"]["perplexity"]
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["datasets_of_own_spaces"] == {"mine": ["laptop", "board", "all"]}
    assert "hwgpt-mine" in [row["name"] for row in listed["blackboxes"]]


def test_reports_without_perplexity_have_no_power_law(artifacts: Path, tmp_path: Path):
    write_own_space(artifacts, targets=["latency@board", "energy@board"])
    results, report = tmp_path / "results", tmp_path / "report"
    words = ["run", "--space", "mine", "--objectives", "latency", "energy", "--device", "board"]
    assert main([*words, "--trials", "8", "--out", str(results)]) == 0
    assert main(["report", str(results), "--out", str(report)]) == 0
    assert "Power law" not in (report / "index.html").read_text()


def test_results_of_a_space_that_is_not_here_say_so(
    file: Path, artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["run", "--space", "mine", "--objectives", "perplexity", "latency@board"]
    assert main([*words, "--trials", "5", "--out", str(tmp_path / "results")]) == 0
    (artifacts / "hwgpt-mine").rename(artifacts / "away")
    with pytest.raises(InputError, match="unknown space 'mine'"):
        read_results([tmp_path / "results"])


def test_a_wide_space_may_have_devices_alone(artifacts: Path):
    name = "hwgpt-s-wide-device-laptop"
    write_own_space(artifacts, SPACES["s-wide"], ["latency@laptop"]).rename(artifacts / name)
    rewrite_manifest(
        artifacts / name, name=name, kind="device", device="laptop", metrics=["latency"]
    )
    box = hwgpt_blackbox.load("s-wide", "laptop")
    assert [n.removeprefix("metric_") for n in box.objectives_names] == [
        "latency",
        "flops",
        "params",
        "elapsed_time",
    ]
    problem = Problem.parse("s-wide", ["params", "latency@laptop"])
    assert (
        problem.nadir[0]
        == problem.expected(box.encoding.sample(20_000, np.random.default_rng(20_240_516)))[
            :, 0
        ].max()
    )
    assert list(artifact_digests(problem)) == [name]
    assert len(reference_front("s-wide", problem.targets).objectives) > 1


def test_the_published_interface_answers_for_a_space_of_ones_own(file: Path):
    api = HWGPT("mine", seed=0)
    assert api.device_list == ["laptop", "board"]
    api.set_arch(api.sample_arch())
    found = api.query(device="laptop")
    assert found["latencies"]["laptop"] > 0
    settings = api.get_model_config().model
    assert (settings.block_size, settings.vocab_size, settings.head_size) == (128, 1000, 8)
    pytest.importorskip("torch")
    assert api.create_model(device="meta").num_parameters == api.get_params()


def test_an_artifact_without_bounds_is_no_problem(artifacts: Path):
    rewrite_manifest(write_own_space(artifacts), bounds={})
    with pytest.raises(DataError, match=r"ideal and nadir of perplexity.*convert or pull"):
        Problem.parse("mine", ["perplexity", "latency@board"])
