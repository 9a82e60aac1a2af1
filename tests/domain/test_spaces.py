"""The seven spaces are those of the paper, and their configuration spaces Syne Tune's."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import threading
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import own_space
from hypothesis import given
from hypothesis import strategies as st

import hwgpt_blackbox
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import (
    FILE_KEYS,
    MAX_CELLS,
    MAX_FILE_BYTES,
    MEASURED_SPACES,
    NETWORKS,
    SPACES,
    Space,
    get_space,
)
from hwgpt_blackbox.errors import DataError, HWGPTError, InputError

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


# -- space files -----------------------------------------------------------------------------


def choices(largest: int, most: int = 5) -> st.SearchStrategy[tuple[int, ...]]:
    """Two or more ascending choices."""
    found = st.sets(st.integers(1, largest), min_size=2, max_size=most)
    return found.map(lambda values: tuple(sorted(values)))


own_spaces = st.builds(
    Space,
    name=st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True).filter(lambda n: n not in SPACES),
    embed_dims=choices(1024, 20),
    num_layers=choices(30),
    mlp_ratios=choices(8),
    num_heads=choices(64),
    batch_size=st.integers(1, 64),
    sequence_length=st.integers(1, 2048),
    vocabulary=st.integers(1, 100_000),
    head_size=st.integers(1, 256),
    network=st.sampled_from(NETWORKS),
)


@given(space=own_spaces)
def test_a_space_survives_its_file(space: Space):
    content = tomllib.loads(space.as_toml())
    assert list(content) == list(FILE_KEYS)
    assert content == space.as_dict() == json.loads(json.dumps(space.as_dict()))
    assert Space.from_dict(content, "x") == space
    assert get_space(space) is space
    encoding = Encoding(space)
    matrix = encoding.sample(20, np.random.default_rng(0))
    np.testing.assert_array_equal(encoding.as_matrix(encoding.decode(matrix)), matrix)
    np.testing.assert_array_equal(encoding.canonical(matrix), matrix)


def test_a_space_file_is_read(tmp_path: Path):
    assert hwgpt_blackbox.Space is Space
    file = tmp_path / "mine.toml"
    file.write_text("# my models\n" + own_space().as_toml(), encoding="utf-8")
    assert Space.from_file(file) == Space.from_file(str(file)) == own_space()


def test_255_choices_are_encoded():
    space = own_space(embed_dims=tuple(range(8, 8 * 256, 8)))
    assert Space.from_dict(space.as_dict(), "x") == space
    encoding = Encoding(space)
    row = encoding.encode_one(encoding.decode_one([1, 254, *[0] * (encoding.num_columns - 2)]))
    assert row[1] == 254
    with pytest.raises(DataError, match=r"embed_dim is .*; expected a list of 2 to 255 choices"):
        Space.from_dict(space.as_dict() | {"embed_dim": list(range(1, 257))}, "x")


@pytest.mark.parametrize("name", SPACES)
def test_a_published_space_is_a_row_of_the_same_kind(name: str, tmp_path: Path):
    file = tmp_path / "space.toml"
    file.write_text(SPACES[name].as_toml(), encoding="utf-8")
    assert Space.from_file(file) is SPACES[name]
    file.write_text(SPACES[name].as_toml().replace("batch_size = ", "batch_size = 1"))
    with pytest.raises(DataError, match=f"name is '{name}', a published space with other choices"):
        Space.from_file(file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dims": [1, 2]}, "unknown key 'embed_dims'; .*did you mean 'embed_dim'"),
        ({"a\x1b[2J": 1}, r"unknown key .*a.*x1b"),
        ({"embed_dim": [64]}, r"embed_dim is \[64\]; expected a list of 2 to 255 choices"),
        ({"embed_dim": []}, r"embed_dim is \[\]; expected a list of 2"),
        ({"embed_dim": 64}, "embed_dim is 64; expected a list of 2"),
        ({"num_layers": [4, 2]}, r"choices of num_layers are \[4, 2\]; list them ascending"),
        ({"num_layers": [2, 2, 4]}, r"num_layers are \[2, 2, 4\]; list them ascending, each once"),
        ({"mlp_ratio": [1.5, 2]}, "mlp_ratio has 1.5; expected integers from 1 to 1000"),
        ({"mlp_ratio": ["1", "2"]}, "mlp_ratio has '1'; expected integers"),
        ({"mlp_ratio": [True, 2]}, "mlp_ratio has True; expected integers"),
        ({"num_heads": [0, 1]}, "num_heads has 0; expected integers from 1"),
        ({"num_heads": [[1], 2]}, r"num_heads has \[1\]; expected integers"),
        ({"num_heads": [1, 10**30]}, "num_heads has 10+; expected integers from 1 to 10000"),
        ({"batch_size": True}, "batch_size is True; expected an integer from 1"),
        ({"batch_size": 0}, "batch_size is 0; expected an integer from 1"),
        ({"sequence_length": -1}, "sequence_length is -1; expected an integer"),
        ({"vocabulary": "50k"}, "vocabulary is '50k'; expected an integer"),
        ({"head_size": [8, 16]}, r"head_size is \[8, 16\]; expected an integer"),
        ({"network": "gelu"}, "unknown network 'gelu'; known: gated, gelu-tied"),
        ({"network": ["gated"]}, "unknown network"),
        ({"name": "s"}, "name is 's', a published space with other choices; choose another"),
        ({"name": ""}, "name is ''; expected up to 40 lower-case letters"),
        ({"name": 3}, "name is 3; expected up to 40"),
        ({"name": "Mine"}, "name is 'Mine'; expected up to 40 lower-case"),
        ({"name": "a/b"}, "name is 'a/b'; expected"),
        ({"name": "../x"}, r"name is '\.\./x'; expected"),
        ({"name": "a" * 41}, "name is 'a+.*; expected up to 40"),
        ({"name": "x\x1b[2J"}, r"name is 'x\\x1b\[2J'; expected"),
        ({"name": "mine\n"}, "expected up to 40"),
        ({"name": "mine-tabular"}, "name is 'mine-tabular'; expected .*not ending in -repeats"),
        ({"name": "mine-repeats"}, "name is 'mine-repeats'"),
        ({"name": "s-published"}, "name is 's-published'"),
        ({"name": "s-device-x"}, "name is 's-device-x'; expected .*without -device-"),
        (
            {"num_layers": [2, 1000], "mlp_ratio": [*range(1, 250)], "num_heads": [*range(1, 9)]},
            f"more than {MAX_CELLS}",
        ),
        ({"embed_dim": [1, 1 << 20], "batch_size": 1 << 20}, "more than 9007199254740992 FLOPs"),
    ],
)
def test_a_bad_space_file_names_key_value_and_cure(changes: dict[str, Any], message: str):
    content = own_space().as_dict() | changes
    with pytest.raises(DataError, match="^my file.*" + message) as error:
        Space.from_dict(content, "my file")
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("key", FILE_KEYS)
def test_a_key_that_is_missing_is_named(key: str):
    content = own_space().as_dict()
    del content[key]
    with pytest.raises(DataError, match=f"lacks {key}; a space has name, embed_dim"):
        Space.from_dict(content, "x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\xff\x80" * 100, "is no TOML"),
        (b"name = 'a'\nname = 'b'\n", "is no TOML: Cannot overwrite a value"),
        (b"name = \x1b[2J", r"is no TOML: .*"),
        (b"batch_size = " + b"9" * 5000, "is no TOML"),
        (b"a = " + b"[" * 5000, "is no TOML"),
        (b"#" * (MAX_FILE_BYTES + 1), f"has more than {MAX_FILE_BYTES} bytes: it is no space file"),
        (b"", "lacks name"),
    ],
)
def test_a_file_that_describes_no_space_is_named(content: bytes, message: str, tmp_path: Path):
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        Space.from_file(file)
    assert str(file) in str(error.value)
    assert "\x1b" not in str(error.value)


def test_no_file_is_an_input_error(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.toml cannot be read: No such file"):
        Space.from_file(tmp_path / "none.toml")
    with pytest.raises(InputError, match="is no file"):
        Space.from_file(tmp_path)
    os.mkfifo(tmp_path / "pipe.toml")
    found: list[Exception] = []

    def read() -> None:
        try:
            Space.from_file(tmp_path / "pipe.toml")
        except InputError as error:
            found.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    assert "is no file" in str(found[0])
