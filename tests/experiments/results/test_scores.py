from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hwgpt_blackbox.domain.objectives import parse_objective
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import (
    cumulative_hypervolume,
    hypervolume,
    labelled,
    nondominated,
    summarise,
    write_summary,
)
from hwgpt_blackbox.experiments.runs import RunSettings


def problem(m: int = 2) -> Problem:
    """Ideal 10, 20, …, nadir 20, 30, …: a unit is 10."""
    targets = ["perplexity", "latency@a100", "energy@a100"][:m]
    ideal = tuple(10.0 * (i + 1) for i in range(m))
    nadir = tuple(low + 10.0 for low in ideal)
    columns = tuple(parse_objective(target) for target in targets)
    return Problem("s", columns, ("a100",), ideal, nadir)


def natural(points, m: int = 2) -> np.ndarray:
    """Normalised points in natural units."""
    return np.array(points, dtype=float).reshape(-1, m) * 10.0 + 10.0 * np.arange(1, m + 1)


@pytest.mark.parametrize(
    ("points", "volume"),
    [
        ([], 0.0),
        ([[0, 0]], 1.21),
        ([[1, 1]], 0.01),
        ([[0, 1], [1, 0]], 0.11 + 0.11 - 0.01),
        ([[0, 1], [1, 0], [0.5, 0.5]], 0.11 + 0.05 + 0.5 * 0.6),
        ([[0.5, 0.5], [0.5, 0.5], [0.6, 0.6]], 0.36),
        ([[1.1, 0]], 0.0),
        ([[2, -1], [0.5, 0.5]], 0.36),
        ([[-0.1, 0]], 1.32),
    ],
)
def test_hypervolume_in_two_objectives(points, volume):
    assert hypervolume(problem(), natural(points)) == pytest.approx(volume, abs=1e-12)


def test_hypervolume_in_three_objectives():
    values = natural([[0.1, 0.1, 1.0], [1.0, 1.0, 0.1]], 3)
    assert hypervolume(problem(3), values) == pytest.approx(0.1 + 0.01 - 0.001, abs=1e-12)


@pytest.mark.parametrize("m", [2, 3])
def test_cumulative_hypervolume_is_that_of_every_beginning(m):
    values = natural(np.random.default_rng(0).uniform(-0.2, 1.4, size=(120, m)), m)
    values[50] = values[3]
    each = [hypervolume(problem(m), values[: i + 1]) for i in range(len(values))]
    found = cumulative_hypervolume(problem(m), values)
    np.testing.assert_allclose(found, each, rtol=1e-12)
    assert (np.diff(found) >= 0).all()
    assert cumulative_hypervolume(problem(m), np.empty((0, m))).shape == (0,)


def test_nondominated():
    values = np.array([[0, 1], [1, 0], [0, 1], [1, 1], [2, -1.0]])
    values.setflags(write=False)
    assert nondominated(values).tolist() == [True, True, False, False, True]
    assert nondominated(np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize("bad", [[[0.0, np.nan]], [[np.inf, 0.0]], [0.0, 1.0], [[1.0, 2.0, 3.0]]])
def test_values_that_are_no_objectives(bad):
    with pytest.raises(InputError, match="expected"):
        hypervolume(problem(), bad)


def test_summary(tmp_path):
    def stored(method, seed, values):
        run = RunSettings(problem(), method, seed, trials=len(values))
        frame = pd.DataFrame(
            values, columns=["expected_perplexity", "expected_latency@a100"]
        ).assign(simulated_time=1800.0 * np.arange(1, len(values) + 1))
        return StoredRun(run, {}, {}, Path("x"), frame)

    runs = [
        stored("RS", 1, natural([[0, 0], [1, 1]])),
        stored("RS", 0, natural([[1, 1]])),
        stored("LS", 0, natural([[0, 1], [1, 0], [1, 1]])),
    ]
    table = summarise(runs)
    assert table["method"].tolist() == ["LS", "RS", "RS"]
    assert table["seed"].tolist() == [0, 0, 1]
    assert table["trials"].tolist() == [3, 1, 2]
    assert table["simulated_hours"].tolist() == [1.5, 0.5, 1.0]
    np.testing.assert_allclose(table["hypervolume"], [0.21, 0.01, 1.21], rtol=1e-12)
    csv, document = write_summary(table, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(csv), table)
    read = json.loads(document.read_text())
    assert read["reference_point"] == 1.1
    pd.testing.assert_frame_equal(pd.DataFrame(read["runs"]), table)
    assert summarise([]).empty


def stored_runs(*runs):
    """Runs of our stores without a frame, of objectives, method, and whether it sees noise."""
    return [
        StoredRun(
            RunSettings(Problem.parse("s", objectives), method, seed, 3, noise=noise),
            {"hwgpt-s": "digest"},
            {},
            Path("x"),
            pd.DataFrame(),
        )
        for seed, (objectives, method, noise) in enumerate(runs)
    ]


def names(*runs):
    """Their labels."""
    return [result.run.method for result in labelled(stored_runs(*runs))]


NOISY, EXACT = ["perplexity", "energy@rtx2080"], ["perplexity", "params"]


def test_denoised_baselines_say_so():
    """They were called as the published baselines are, which they are not."""
    runs = [(NOISY, name, True) for name in ("RS", "RE", "NSGA2", "LS", "EHVI", "mine:RE")]
    denoised = ["RE (denoised)", "NSGA2 (denoised)", "LS (denoised)"]
    assert names(*runs) == ["RS", *denoised, "EHVI", "mine:RE"]


def test_what_sees_no_noise_is_not_called_denoised():
    assert names((NOISY, "RE", False), (EXACT, "LS", True)) == ["RE", "LS"]


def test_a_method_has_one_name_over_problems_with_and_without_noise():
    """Ranks are over the problems that all methods have."""
    assert names((NOISY, "RE", True), (EXACT, "RE", True)) == ["RE (denoised)"] * 2
    assert names((NOISY, "RE", True), (NOISY, "RE", False)) == ["RE (denoised)", "RE"]


def test_labels_stay_when_given_again():
    once = labelled(stored_runs((NOISY, "RE", True)))
    assert labelled(once) == once
