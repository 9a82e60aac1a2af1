from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import write_table

from hwgpt_blackbox.blackboxes.loading import load
from hwgpt_blackbox.domain.objectives import METRICS, parse_objective
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.experiments.figures import draw_front, front_table
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.runs import RunSettings
from hwgpt_blackbox.plotting.style import axis_label, save_figure

OBJECTIVES = ["perplexity", "energy@rtx2080"]


def stored(problem: Problem, method: str, seed: int, values) -> StoredRun:
    frame = pd.DataFrame(values, columns=[f"expected_{t}" for t in problem.targets])
    run = RunSettings(problem, method, seed, trials=len(values))
    return StoredRun(run, {}, {}, Path(f"{run.name}.parquet"), frame)


@pytest.fixture
def table():
    problem = Problem.parse("s", OBJECTIVES)
    runs = [
        stored(problem, "RS", 0, [[30, 1.0], [31, 1.1], [25, 3.0]]),
        stored(problem, "RS", 1, [[29, 1.0], [41, 0.5]]),
        stored(problem, "LS", 0, [[28, 2.0]]),
    ]
    return front_table(problem, runs)


def test_table_holds_the_pooled_front_of_each_method(table):
    assert list(table) == ["kind", "method", "seeds", *OBJECTIVES]
    fronts = table[table["kind"] == "front"]
    assert fronts.to_numpy().tolist() == [
        ["front", "LS", 1, 28.0, 2.0],
        ["front", "RS", 2, 25.0, 3.0],
        ["front", "RS", 2, 29.0, 1.0],
        ["front", "RS", 2, 41.0, 0.5],
    ]
    cloud = table[table["kind"] == "random"]
    assert len(cloud) == 5000


def test_cloud_is_of_expected_values(table):
    blackbox = load("s", "rtx2080")
    matrix = blackbox.encoding.sample(5000, np.random.default_rng(0))
    columns = [blackbox.objectives_names.index(f"metric_{m}") for m in ("perplexity", "energy")]
    cloud = table.loc[table["kind"] == "random", OBJECTIVES].to_numpy()
    assert (cloud == blackbox.expected_values(matrix)[:, columns]).all()


def test_cloud_is_measured_where_a_table_is_at_hand(artifacts):
    objectives = write_table(artifacts / "hwgpt-s-tabular", "s", size=12)
    cloud = front_table(Problem.parse("s", OBJECTIVES), [])
    assert cloud["kind"].tolist() == ["measured"] * 12
    place = list(METRICS).index("energy")
    energy = objectives[3, :, :, 0, place].astype(float).mean(axis=1)  # of rtx2080
    np.testing.assert_allclose(np.sort(cloud["energy@rtx2080"]), np.sort(energy), rtol=1e-6)


def test_results_of_another_problem(table):
    problem = Problem.parse("s", OBJECTIVES)
    other = stored(Problem.parse("s", ["perplexity", "flops"]), "RS", 0, [[1.0, 2.0]])
    with pytest.raises(InputError, match="is a run of s-perplexity-flops"):
        front_table(problem, [other])


def test_figure(table, tmp_path):
    problem = Problem.parse("s", OBJECTIVES)
    figure = draw_front(problem, table)
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("energy on rtx2080 (Wh)", "perplexity")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "5,000 random architectures of s",
        "LS",
        "RS (2 seeds pooled)",
    ]
    paths = save_figure(figure, tmp_path / "front-1.5")
    assert [path.name for path in paths] == ["front-1.5.svg", "front-1.5.pdf", "front-1.5.png"]
    first = [path.read_bytes() for path in paths]
    save_figure(draw_front(problem, table), tmp_path / "front-1.5")
    assert [path.read_bytes() for path in paths] == first
    assert len(first[0]) < 500_000  # the cloud is an image in the vector figure


def test_three_objectives_are_drawn_in_pairs():
    problem = Problem.parse("s", [*OBJECTIVES, "params"])
    runs = [stored(problem, "RS", 0, [[30, 1.0, 5e7], [25, 3.0, 2e8]])]
    figure = draw_front(problem, front_table(problem, runs))
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]
    energy = "energy on rtx2080 (Wh)"
    assert labels == [(energy, "perplexity"), ("parameters", "perplexity"), ("parameters", energy)]


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ("latency@cpu_xeon_gold", "latency on cpu_xeon_gold (ms)"),
        ("memory_bfloat16", "memory, bfloat16 (MB)"),
        ("flops", "FLOPs"),
        ("elapsed_time@a100", "evaluation time on a100 (s)"),
    ],
)
def test_labels_say_device_and_unit(target, label):
    assert axis_label(parse_objective(target)) == label


def test_matplotlib_is_imported_when_drawing_only():
    code = "import sys, hwgpt_blackbox.experiments.figures; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
