"""The seven spaces are those of the paper, and their configuration spaces Syne Tune's."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, SPACES, Space, get_space
from hwgpt_blackbox.errors import HWGPTError, InputError

PUBLISHED = {
    "s": ((192, 384, 768), (10, 11, 12), (2, 3, 4), (4, 8, 12), 8),
    "m": ((256, 512, 1024), (22, 23, 24), (2, 3, 4), (8, 12, 16), 4),
    "l": ((320, 640, 1280), (34, 35, 36), (2, 3, 4), (8, 16, 20), 1),
    "s-wide": ((192, 384, 768), (3, 6, 12), (1, 2, 4), (3, 6, 12), 8),
    "m-wide": ((256, 512, 1024), (6, 12, 24), (1, 2, 4), (4, 8, 16), 4),
    "l-wide": ((320, 640, 1280), (9, 18, 36), (1, 2, 4), (5, 10, 20), 1),
    "xl-wide": ((400, 800, 1600), (12, 24, 48), (1, 2, 4), (6, 12, 25), 1),
}


def test_every_space_is_the_published_one():
    assert {
        name: (s.embed_dims, s.num_layers, s.mlp_ratios, s.num_heads, s.batch_size)
        for name, s in SPACES.items()
    } == PUBLISHED
    assert MEASURED_SPACES == ("s", "m", "l")


@pytest.mark.parametrize(("name", "keys"), [("s", 27), ("m", 51), ("l", 75)])
def test_hyperparameters_are_one_choice_each_in_the_documented_order(name, keys):
    from syne_tune.config_space import Categorical

    space = SPACES[name]
    layers = range(space.max_layers)
    names = ["num_layers", "embed_dim", "bias"]
    names += [f"mlp_ratio_{i}" for i in layers] + [f"num_heads_{i}" for i in layers]
    config_space = space.config_space()
    assert list(config_space) == names
    assert len(names) == keys
    for key, domain in config_space.items():
        assert isinstance(domain, Categorical), key
        assert tuple(domain.categories) == space.choices[key]
    assert {type(v) for v in config_space["bias"].categories} == {bool}
    assert {type(v) for k in names if k != "bias" for v in config_space[k].categories} == {int}


@pytest.mark.parametrize(("name", "size"), [("s", 1.9e12), ("m", 5.4e23), ("l", 1.5e35)])
def test_number_of_architectures_is_the_documented_one(name, size):
    assert f"{SPACES[name].num_architectures:.1e}" == f"{size:.1e}"


def test_number_of_architectures_counts_canonical_configurations():
    space = Space("tiny", (64, 128), (1, 2), (2, 3), (4,), 1, False)
    configurations = set()
    for values in itertools.product(*space.choices.values()):
        row = dict(zip(space.choices, values, strict=True))
        if row["num_layers"] == 1:
            row["mlp_ratio_1"] = row["num_heads_1"] = None
        configurations.add(tuple(row.values()))
    assert space.num_architectures == len(configurations)


@pytest.mark.parametrize("name", ["xl", "S", "", None, 3, ["s"]])
def test_unknown_space_names_the_value_and_the_known_ones(name):
    with pytest.raises(InputError) as error:
        get_space(name)
    assert repr(name) in str(error.value)
    assert "s, m, l" in str(error.value)


def test_a_space_without_measurements_has_no_blackbox():
    assert get_space("xl-wide").name == "xl-wide"
    with pytest.raises(InputError, match="xl-wide") as error:
        get_space("xl-wide", measured=True)
    assert isinstance(error.value, HWGPTError)
    assert isinstance(error.value, ValueError)


def test_spaces_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SPACES["s"].batch_size = 1  # type: ignore[misc]


def test_a_space_that_was_put_into_the_table_was_said_to_lack_published_measurements():
    mine = dataclasses.replace(SPACES["s"], name="mine")
    with pytest.raises(TypeError, match="does not support item assignment"):
        SPACES["mine"] = mine  # type: ignore[index]
    with pytest.raises(InputError, match="unknown space 'mine'"):
        get_space("mine", measured=True)
