"""Grids of options, experiment files and shipped suites."""

from __future__ import annotations

import pytest

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.experiments.grid_definition import Grid, all_runs, read_experiment
from hwgpt_blackbox.experiments.suites import SUITES, describe_suites, get_suite

TOML = """
spaces = ["s", "m"]
devices = ["a100", "h100"]
objectives = [["perplexity", "latency"], ["perplexity", "flops"]]
methods = ["RS", "LS"]
seeds = [0, 1, 2]
trials = 50
"""


def names(grid):
    return [problem.name for problem in grid.problems()]


def test_objectives_are_expanded_over_devices():
    sets = (
        ("perplexity", "latency"),
        ("latency", "perplexity", "energy@a6000"),
        ("flops", "params"),
    )
    grid = Grid(("s",), sets, ("a100", "h100"))
    assert names(grid) == [
        "s-perplexity-latency@a100",
        "s-perplexity-latency@h100",
        "s-latency@a100-perplexity-energy@a6000",
        "s-latency@h100-perplexity-energy@a6000",
        "s-flops-params",
    ]
    assert grid.problems()[-1].devices == ("a100",)


def test_runs_go_seed_by_seed_and_differ_in_name():
    grid = Grid(("s", "m"), (("perplexity", "flops"),), methods=("RS", "LS"), seeds=(3, 1))
    runs = grid.runs()
    assert [run.seed for run in runs] == [3] * 4 + [1] * 4
    assert len({run.name for run in runs}) == 8


def test_what_two_grids_share_is_run_once():
    grid = Grid(("s",), (("perplexity", "flops"),), seeds=(0, 1))
    more = Grid(("s", "m"), (("perplexity", "flops"),), seeds=(0,))
    assert len(all_runs([grid, more])) == 3
    with pytest.raises(InputError, match=r"seed0 is asked for with other settings"):
        all_runs([grid, Grid(("s",), (("perplexity", "flops"),), trials=7)])


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (Grid(("s",), (("perplexity", "latency"),)), "needs a device"),
        (Grid(("s",), (("perplexity", "energy@a100"),), ("h100",)), "leave the device out"),
        (
            Grid(("s", "m"), (("perplexity", "energy"),), ("mygpu",)),
            "space s, objectives perplexity energy@mygpu: unknown device 'mygpu'; known: a100",
        ),
        (Grid(("xs",), (("perplexity", "flops"),)), "unknown space 'xs'"),
        (Grid(("s",), (("perplexity", "flops"),), seeds=()), "seeds are missing"),
        (Grid((), (("perplexity", "flops"),)), "spaces are missing"),
        (Grid(("s", "s"), (("perplexity", "flops"),)), "spaces are s s; name each once"),
        (
            Grid(("s",), (("perplexity", "energy"),), ("a40", "a40")),
            "devices are a40 a40; name each once",
        ),
    ],
)
def test_bad_grids(grid, message):
    with pytest.raises(InputError, match=message):
        grid.runs()


def test_experiment_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(TOML)
    (grid,) = read_experiment(path)
    assert grid == Grid(
        ("s", "m"),
        (("perplexity", "latency"), ("perplexity", "flops")),
        ("a100", "h100"),
        ("RS", "LS"),
        (0, 1, 2),
        50,
    )
    assert len(grid.runs()) == 2 * 3 * 2 * 3
    path.write_text(
        'seeds = [7]\n[[grids]]\nspaces = ["s"]\nobjectives = ["perplexity", "flops"]\n'
        '[[grids]]\nspaces = ["m"]\nobjectives = [["perplexity", "params"]]\nnoise = false\n'
    )
    first, second = read_experiment(path)
    assert first == Grid(("s",), (("perplexity", "flops"),), seeds=(7,))
    assert second == Grid(("m",), (("perplexity", "params"),), seeds=(7,), noise=False)


def test_yaml_says_the_same(tmp_path):
    pytest.importorskip("yaml")
    toml, yaml = tmp_path / "a.toml", tmp_path / "a.yaml"
    toml.write_text(TOML)
    yaml.write_text(TOML.replace(" = ", ": "))
    assert read_experiment(yaml) == read_experiment(toml)
    yaml.write_text("spaces: [s]\ntrials: 1\ntrials: 2\n")
    with pytest.raises(InputError, match="trials is given twice; leave one"):
        read_experiment(yaml)
    yaml.write_text("spaces: [s\n")
    with pytest.raises(InputError, match=r"a\.yaml cannot be read"):
        read_experiment(yaml)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spaces = [", "cannot be read"),
        ('spaces = "s"\nobjectives = ["a", "b"]', "spaces is 's'; expected a list of texts"),
        ('spaces = ["s"]', "objectives is missing"),
        ('space = ["s"]', "unknown key 'space'; known: spaces, objectives"),
        ('spaces = ["s"]\nobjectives = [["a"], "b"]', "expected a list of texts"),
        ('spaces = ["s"]\nobjectives = ["a", "b"]\nseeds = 3', "expected a list of integers"),
        ('spaces = ["s"]\nobjectives = ["a", "b"]\nseeds = [true]', "expected an integer"),
        ('spaces = ["s"]\nobjectives = ["a", "b"]\ntrials = 1.5', "trials is 1.5"),
        ('spaces = ["s"]\nobjectives = ["a", "b"]\nnoise = "no"', "expected true or false"),
        ("grids = 3", "grids is 3; expected tables"),
    ],
)
def test_bad_experiment_files(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_experiment(path)
    assert str(path) in str(error.value)
    with pytest.raises(InputError, match="cannot be read"):
        read_experiment(tmp_path / "absent.toml")


def test_suites_of_the_paper():
    two = get_suite("paper-two-objectives-s").grids[0]
    assert len(two.problems()) == 2 * len(DEVICES)
    assert len(two.runs()) == 26 * 8 * 5
    assert names(get_suite("paper-three-objectives-m").grids[0]) == [
        "m-perplexity-latency@rtx2080-energy@a6000"
    ]
    assert len(names(get_suite("paper-device-agnostic-l").grids[0])) == 4
    with pytest.raises(InputError, match="unknown suite 'paper'; known: quickstart, "):
        get_suite("paper")


@pytest.mark.parametrize("name", list(SUITES))
def test_every_suite_is_described_as_it_is(name):
    runs = all_runs(SUITES[name].grids)
    text = describe_suites().split(f"{name}\n")[1]
    assert f"= {len(runs)} runs of {runs[0].trials} trials, {runs[0].workers} workers" in text


def test_the_first_look_has_every_method():
    from hwgpt_blackbox.experiments.suites import EVERY
    from hwgpt_blackbox.optimizers import METHODS

    assert tuple(METHODS) == EVERY
