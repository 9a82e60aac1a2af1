"""``run_baseline`` and ``plot_eaf`` are the harness under published names."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from hwgpt_blackbox import HWGPT, plot_eaf, run_baseline
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.dropin.names import sample_of
from hwgpt_blackbox.errors import InputError, OutputError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings, execute

KEYS = ["configs", "runtime_traj", "perplexity", "hw_metric"]


def test_a_run_is_that_of_the_harness_with_the_published_keys():
    found = run_baseline("MOREA", "s", "rtx2080", "energies", random_seed=3, trials=15)
    problem = Problem.parse("s", ["perplexity", "energy@rtx2080"])
    expected = execute(RunSettings(problem, "RE", 3, 15, 1))
    assert found.frame.equals(expected)
    assert list(found) == KEYS
    assert len(found) == 4
    assert found["runtime_traj"] == expected["simulated_time"].tolist()
    assert found["perplexity"] == expected["measured_perplexity"].tolist()
    assert found["hw_metric"] == expected["measured_energy@rtx2080"].tolist()
    assert [set(c) for c in found["configs"]] == [set(SPACES["s"].choices)] * 15


@pytest.mark.parametrize("objective", ["energies", "latencies", "float16_memory", "params"])
def test_published_scripts_read_a_run_in_published_units(objective: str):
    """They take ``min`` of every entry, and load a pickle without this package."""
    arguments = {"method": "RS", "device": "cpu_xeon_gold", "objective": objective, "trials": 6}
    ours = run_baseline(**arguments)
    run = run_baseline(**arguments, unit_system="published")
    found = pickle.loads(pickle.dumps(dict(run)))
    assert list(found) == KEYS
    assert [min(entry) for entry in found["perplexity"]] == ours["perplexity"]
    assert all(entry.shape == (1,) for entry in found["perplexity"] + found["hw_metric"])
    api = HWGPT("s", unit_system="published", seed=0)
    for configuration, (value,), mine in zip(
        found["configs"], found["hw_metric"], ours["hw_metric"], strict=True
    ):
        if objective == "params":
            api.set_arch(configuration)
            api.set_arch(sample_of(SPACES["s"], api._matrix[0]))
            assert value == api.get_params()
        else:
            factor = 1000.0 if objective == "energies" else 1.0
            assert value == pytest.approx(factor * mine, rel=1e-12)


def test_defaults_are_the_published_ones():
    run = run_baseline(trials=2).run
    assert (run.method, run.problem.name, run.workers) == ("RS", "s-perplexity-energy@v100", 1)


def test_several_seeds_objectives_and_devices():
    runs = run_baseline(
        "RS", "m", ["a6000", "rtx2080"], ["energies", "latencies"], random_seed=range(2), trials=4
    )
    assert [run.run.seed for run in runs] == [0, 1]
    assert runs[0].run.problem.targets == ("perplexity", "energy@a6000", "latency@rtx2080")
    assert list(runs[0]) == [*KEYS[:3], "hw_metric_1", "hw_metric_2"]
    assert runs[0]["hw_metric_1"] != runs[1]["hw_metric_1"]
    one = run_baseline("RS", "m", "a6000", ["energies", "latencies"], trials=2)
    assert one.run.problem.targets[1:] == ("energy@a6000", "latency@a6000")


@pytest.mark.parametrize("objective", ["flops", "params", "float16_memory", "bfloat16_memory"])
def test_objectives_without_a_device_are_evaluated_on_it(objective: str):
    run = run_baseline("RS", "l", "h100", objective, trials=3)
    assert run.run.problem.devices == ("h100",)
    assert len(run["hw_metric"]) == 3


def test_a_time_limit_keeps_what_had_ended_by_then():
    whole = run_baseline("NSGA2", trials=30, n_workers=3)
    times = whole["runtime_traj"]
    limit = (times[9] + times[10]) / 2
    part = run_baseline("NSGA2", trials=30, n_workers=3, max_wallclock_time=limit)
    assert part.frame.equals(whole.frame[:10])
    with pytest.raises(InputError, match="the first trial ended after"):
        run_baseline(trials=3, max_wallclock_time=0.001)


def test_results_are_kept_and_completed_in_a_folder(tmp_path: Path):
    first = run_baseline("RS", trials=5, random_seed=[0], out=tmp_path / "kept")
    both = run_baseline("RS", trials=5, random_seed=[0, 1], out=tmp_path / "kept")
    assert both[0].frame.equals(first[0].frame)
    assert both[1].frame.equals(run_baseline("RS", trials=5, random_seed=1).frame)
    figure = plot_eaf(tmp_path / "kept", path=tmp_path / "eaf.svg")
    assert figure.axes
    assert (tmp_path / "eaf.svg").read_bytes().startswith(b"<?xml")
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["eaf.svg", "kept"]


def test_attainment_is_drawn_of_methods_and_seeds():
    runs = run_baseline("RS", trials=8, random_seed=[0, 1])
    runs += run_baseline("LS", trials=8, random_seed=[0, 1])
    figure = plot_eaf(runs)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"RS", "LS (denoised)"}
    assert figure.axes[0].get_xlabel() == "energy on v100 (Wh)"
    assert plot_eaf(runs[0]).axes


def test_problems_are_drawn_one_at_a_time():
    runs = [run_baseline(trials=3), run_baseline("RS", "s", "a40", trials=3)]
    with pytest.raises(InputError, match=r"of 2 problems; draw one.* s-perplexity-energy@a40"):
        plot_eaf(runs)
    assert plot_eaf(runs, problem="s-perplexity-energy@a40").axes
    with pytest.raises(InputError, match="unknown problem 's'; known: s-perplexity-energy@v100"):
        plot_eaf(runs, problem="s")


def test_bad_input_is_an_error_that_names_value_and_cure(tmp_path: Path):
    for arguments, message in [
        ({"method": "BO"}, "unknown method 'BO'; known: RS, "),
        ({"search_space": "xs"}, "unknown space 'xs'"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
        ({"objective": "energy"}, "unknown objective 'energy'; known: latencies, energies"),
        ({"objective": "perplexity"}, "unknown objective 'perplexity'"),
        ({"objective": []}, r"objective is \[\]; expected a name or a list"),
        ({"objective": 3}, "objective is 3; expected a name or a list"),
        ({"device": None}, "device is None; expected a name or a list"),
        ({"objective": ["energies"] * 2}, "'energy@v100' is given twice"),
        ({"objective": ["flops", "params"], "device": ["a40"] * 3}, "3 devices for 2 objectives"),
        ({"random_seed": []}, "random_seed is an empty list"),
        ({"random_seed": "0"}, "seed is '0'"),
        ({"random_seed": 0.5}, "seed is 0.5"),
        ({"trials": 0}, "trials is 0"),
        ({"n_workers": 0}, "workers is 0"),
        ({"unit_system": "SI"}, "unknown unit system 'SI'"),
        ({"max_wallclock_time": 0}, "max_wallclock_time is 0"),
        ({"max_wallclock_time": "1h"}, "max_wallclock_time is '1h'"),
    ]:
        with pytest.raises(InputError, match=message):
            run_baseline(**{"trials": 2, **arguments})
    for results, message in [
        ([], "there are no results"),
        (tmp_path, "there are no results"),
        ([{"perplexity": []}], "results hold a dict; expected what run_baseline returned"),
        (7, "results is 7"),
    ]:
        with pytest.raises(InputError, match=message):
            plot_eaf(results)
    run = run_baseline(trials=2)
    with pytest.raises(InputError, match=r"ends in \.svg, \.pdf, \.png"):
        plot_eaf(run, path=tmp_path / "eaf.gif")
    with pytest.raises(OutputError):
        plot_eaf(run, path=tmp_path / "nowhere" / "eaf.svg")
