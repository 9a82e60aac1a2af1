"""The problems of Optuna, laid out as OptunaHub's benchmarks are."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

optuna = pytest.importorskip("optuna")
optunahub = pytest.importorskip("optunahub")

from optuna.distributions import CategoricalDistribution, IntDistribution  # noqa: E402

from hwgpt_blackbox import load, reference_front  # noqa: E402
from hwgpt_blackbox.domain.spaces import SPACES  # noqa: E402
from hwgpt_blackbox.errors import InputError  # noqa: E402
from hwgpt_blackbox.interop.optunahub import Problem  # noqa: E402

OBJECTIVES = ["perplexity", "energy@h100"]
REGISTRY = Path(__file__).parents[2] / "examples" / "optunahub"


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem("s", OBJECTIVES)


def test_the_search_space_is_that_of_the_space(problem: Problem) -> None:
    for name, space in (("s", SPACES["s"]), ("l", SPACES["l"])):
        distributions = Problem(name, OBJECTIVES).search_space
        assert list(distributions) == list(space.choices)
        for key, found in distributions.items():
            if isinstance(found, IntDistribution):
                values: Any = range(found.low, found.high + 1, found.step)
            else:
                values = found.choices
            assert tuple(values) == space.choices[key]
    kinds = {key: type(found) for key, found in problem.search_space.items()}
    assert kinds["embed_dim"] is kinds["bias"] is CategoricalDistribution
    assert kinds["num_layers"] is kinds["num_heads_3"] is IntDistribution


def test_a_study_minimises_it(problem: Problem) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        directions=problem.directions, sampler=optuna.samplers.TPESampler(seed=0)
    )
    study.set_metric_names(problem.metric_names)
    study.optimize(problem, n_trials=15)
    box = load("s", "h100", noise=False)
    columns = [box.objectives_names.index(f"metric_{name}") for name in ("perplexity", "energy")]
    for trial in study.trials:
        expected = box.expected_values([trial.params])[0, columns].tolist()
        assert trial.values == expected == problem.evaluate(trial.params)


def test_the_optimum_is_exact(problem: Problem) -> None:
    assert problem.front is not None
    found = reference_front("s", OBJECTIVES)
    np.testing.assert_array_equal(problem.front.objectives, found.objectives)
    best = problem.evaluate(problem.front.configurations[0])
    assert best == found.objectives[0].tolist()
    volume = problem.front.hypervolume_at(problem.reference_point)
    span = math.prod(np.subtract(found.nadir, found.ideal))
    assert volume == pytest.approx(found.hypervolume() * span, rel=1e-12)


def test_noise_is_ours(problem: Problem) -> None:
    configuration = {name: values[0] for name, values in SPACES["s"].choices.items()}
    pinned = Problem("s", OBJECTIVES, noise=True, seed=7)
    measured = pinned._exact.problem.measure([configuration], 7)[0].tolist()
    assert pinned.evaluate(configuration) == measured != problem.evaluate(configuration)
    inactive = configuration | {"mlp_ratio_11": 4, "num_heads_10": 12}
    assert pinned.evaluate(inactive) == measured
    free = Problem("s", OBJECTIVES, noise=True)
    assert free.evaluate(configuration) != free.evaluate(configuration)


@pytest.mark.parametrize("change", [{"embed_dim": 193}, {"more": 1}, {"bias": None}])
def test_what_is_no_configuration(change: dict[str, Any], problem: Problem) -> None:
    configuration = {name: values[0] for name, values in SPACES["s"].choices.items()}
    with pytest.raises(InputError):
        problem.evaluate(configuration | change)
    with pytest.raises(InputError):
        problem.evaluate({})


def test_the_folder_for_the_registry_is_loaded_by_optunahub_and_its_example_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "benchmarks/hwgpt_bench"
    module = optunahub.load_local_module(package, registry_root=str(REGISTRY))
    assert issubclass(module.Problem, optunahub.benchmarks.BaseProblem)
    monkeypatch.setattr(optunahub, "load_module", lambda name: module)
    runpy.run_path(str(REGISTRY / package / "example.py"), run_name="__main__")
    assert "of the exact optimum" in capsys.readouterr().out
    header = (REGISTRY / package / "README.md").read_text().split("---")[1]
    for key in ("author:", "title:", "description:", "tags:", "optuna_versions:", "license:"):
        assert key in header
