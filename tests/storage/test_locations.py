"""Where artifacts are looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import write_random_surrogate, write_table

from hwgpt_blackbox.blackboxes.loading import load, load_all
from hwgpt_blackbox.errors import DataError, HWGPTError, InputError, MissingArtifactError
from hwgpt_blackbox.storage.artifact_kinds import BLACKBOXES
from hwgpt_blackbox.storage.locations import EMBEDDED, find, home


def test_the_variable_names_the_home_whenever_it_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", "~/mine")
    assert home() == Path.home() / "mine"


@pytest.mark.parametrize("value", [None, ""])
def test_the_default_home_is_where_syne_tune_keeps_its_own(monkeypatch, isolated_home, value):
    if value is None:
        monkeypatch.delenv("HWGPT_BLACKBOX_HOME")
    else:
        monkeypatch.setenv("HWGPT_BLACKBOX_HOME", value)
    assert home() == isolated_home / ".blackbox-repository"


def test_embedded_artifacts_are_found_without_a_home():
    for name in ("hwgpt-s", "hwgpt-m", "hwgpt-l"):
        location = find(name)
        assert location.embedded
        assert location.path == EMBEDDED / name


def test_an_artifact_of_the_user_comes_first(artifacts):
    shipped = load("s", "a100")
    write_random_surrogate(artifacts / "hwgpt-s")
    location = find("hwgpt-s")
    assert (location.path, location.embedded) == (artifacts / "hwgpt-s", False)
    own = load("s", "a100")
    matrix = own.encoding.sample(3, np.random.default_rng(0))
    assert (own.expected_values(matrix) != shipped.expected_values(matrix))[:, :5].all()
    assert load_all("hwgpt-s-repeats")["a100"].expected_values(matrix).tolist() == (
        own.expected_values(matrix).tolist()
    )
    assert find("hwgpt-m").embedded


def test_a_folder_without_manifest_is_no_artifact(artifacts):
    (artifacts / "hwgpt-s").mkdir()
    (artifacts / "hwgpt-s" / "arrays.npz").write_bytes(b"half-written")
    assert find("hwgpt-s").embedded


def test_a_corrupt_artifact_of_the_user_is_an_error_and_not_passed_over(artifacts):
    write_random_surrogate(artifacts / "hwgpt-s")
    (artifacts / "hwgpt-s" / "arrays.npz").write_bytes(b"")
    with pytest.raises(DataError, match="hwgpt-s"):
        load("s", "a100")


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_a_missing_table_names_the_command_that_makes_it(space):
    with pytest.raises(MissingArtifactError) as error:
        load_all(f"hwgpt-{space}-tabular")
    assert f"hwgpt-blackbox convert SOURCE --space {space}" in str(error.value)
    assert str(home()) in str(error.value)
    assert isinstance(error.value, HWGPTError)
    assert isinstance(error.value, FileNotFoundError)


@pytest.mark.parametrize("kind", ["surrogate", "table"])
def test_an_artifact_of_another_space_under_this_name_is_refused(artifacts, kind):
    # A folder that was copied under a new name answered for the wrong space.
    name = "hwgpt-s" if kind == "surrogate" else "hwgpt-s-tabular"
    write = write_random_surrogate if kind == "surrogate" else write_table
    write(artifacts / name, "m")
    with pytest.raises(DataError) as error:
        load_all(name)
    assert str(artifacts / name) in str(error.value)
    assert "'m'" in str(error.value)
    if kind == "surrogate":
        with pytest.raises(DataError, match="'m'"):
            load("s", "a100")


def test_a_surrogate_in_the_place_of_a_table_is_refused_and_the_reverse(artifacts):
    write_random_surrogate(artifacts / "hwgpt-s-tabular")
    write_table(artifacts / "hwgpt-s")
    for name in ("hwgpt-s-tabular", "hwgpt-s"):
        with pytest.raises(DataError, match="of kind"):
            load_all(name)


# -- load --------------------------------------------------------------------------------------


def test_choices_of_load_reach_the_blackbox():
    import hwgpt_blackbox

    cost = hwgpt_blackbox.CostModel(setup_seconds=1000)
    box = hwgpt_blackbox.load("m", "all", noise=False, fidelity="repeats", cost_model=cost)
    assert (box.space.name, box.dataset, box.noise, box.levels) == ("m", "all", False, 10)
    assert box.cost_model is cost
    default = hwgpt_blackbox.load("m", "all")
    assert (default.noise, default.levels) == (True, 1)
    assert default.cost_model == hwgpt_blackbox.CostModel()
    other = hwgpt_blackbox.load("m", "all", perplexity="default")
    matrix = default.encoding.sample(4, np.random.default_rng(0))
    np.testing.assert_array_equal(other.expected_values(matrix), default.expected_values(matrix))
    with pytest.raises(TypeError):
        hwgpt_blackbox.load("m", "all", False)  # a flag without its name


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"space": "xl"}, "unknown space 'xl'; known: s, m, l"),
        ({"space": "s-wide"}, "no measurements of space 's-wide'"),
        ({"space": None}, "unknown space None"),
        ({"device": "gtx"}, "unknown device 'gtx'; known: a100"),
        ({"device": None}, "unknown device None"),
        ({"device": ["a100"]}, "unknown device"),
        ({"fidelity": "epochs"}, "unknown fidelity 'epochs'; known: single, repeats"),
        ({"perplexity": "mine"}, "unknown perplexity 'mine'; known: default"),
    ],
)
def test_bad_arguments_of_load_name_value_and_choices(arguments, says):
    with pytest.raises(InputError) as error:
        load(**{"space": "s", "device": "a100", **arguments})
    assert says in str(error.value)


def test_unknown_blackbox_names_the_known_ones():
    with pytest.raises(InputError, match="unknown blackbox 'hwgpt-x'; known: hwgpt-s, "):
        load_all("hwgpt-x")


def test_the_names_are_those_of_the_contract():
    kinds = ("", "-repeats", "-tabular")
    assert sorted(BLACKBOXES) == sorted(f"hwgpt-{s}{k}" for s in "sml" for k in kinds)


LOOKS = """
import sys
from hwgpt_blackbox.storage.locations import find, home

home().mkdir(parents=True, exist_ok=True)
listed = []
sys.addaudithook(lambda event, _: listed.append(event in ("os.listdir", "os.scandir")))
print(find("hwgpt-s").embedded, sum(listed))
"""


def test_the_home_is_listed_once_for_an_artifact_that_is_not_there(run_python):
    # It was searched three times for every embedded artifact, in case another process replaced it.
    assert run_python(LOOKS).stdout.split() == ["True", "1"]
