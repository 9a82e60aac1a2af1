"""Spaces by name, file and artifact; artifacts that contradict themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import own_space, rewrite_manifest, write_own_space

from hwgpt_blackbox.domain.spaces import SPACES, get_space
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.spaces import (
    blackboxes,
    find_blackbox,
    find_measured,
    find_space,
    own_blackboxes,
    own_spaces,
)
from hwgpt_blackbox.storage.surrogates import load_surrogate, measured_in


def space_file(folder: Path, **changes: Any) -> Path:
    file = folder / "mine.toml"
    file.write_text(own_space(**changes).as_toml(), encoding="utf-8")
    return file


def test_a_space_is_found_by_name_by_file_and_as_it_is(artifacts: Path, tmp_path: Path):
    file = space_file(tmp_path)
    for name in SPACES:
        assert find_space(name) is SPACES[name]
    for given in (own_space(), file, str(file)):
        assert find_space(given) == own_space()
        with pytest.raises(
            MissingArtifactError, match=r"hwgpt-mine is not on this machine .*convert"
        ):
            find_measured(given)
    with pytest.raises(InputError, match=r"unknown space 'mine'; known: s, m, .*a space file"):
        find_space("mine")
    write_own_space(artifacts)
    for given in ("mine", own_space(), file, str(file)):
        assert find_space(given) == find_measured(given) == own_space()
        assert load_surrogate(given).space == own_space()
    with pytest.raises(InputError, match="unknown space 'min'; known: s, m, l, mine; did you mean"):
        find_measured("min")
    assert own_spaces() == ["mine"]


def test_spaces_without_measurements_say_so():
    with pytest.raises(InputError, match="no measurements of space 's-wide' were published"):
        find_measured("s-wide")
    assert measured_in("s-wide").devices == {}
    for wrong in (None, 3, ["s"]):
        with pytest.raises(InputError, match="unknown space"):
            find_space(wrong)  # type: ignore[arg-type]


def test_a_file_of_another_space_of_that_name_is_refused(artifacts: Path, tmp_path: Path):
    write_own_space(artifacts)
    with pytest.raises(DataError, match="is of a space 'mine' with other choices or sizes"):
        find_measured(space_file(tmp_path, vocabulary=999))


def test_blackboxes_come_and_go_with_their_artifact(artifacts: Path):
    before = blackboxes()
    write_own_space(artifacts)
    write_own_space(artifacts, own_space(name="exact"), ["perplexity"])
    found = own_blackboxes()
    assert list(found) == ["hwgpt-exact", "hwgpt-mine", "hwgpt-mine-repeats"]
    assert blackboxes() == before | found
    assert find_blackbox("hwgpt-mine-repeats") == found["hwgpt-mine-repeats"]
    for name in ("hwgpt-mine-tabular", "hwgpt-exact-repeats", "hwgpt-other", "nasbench201"):
        assert find_blackbox(name) is None
    (artifacts / "hwgpt-mine" / "manifest.json").unlink()
    assert list(own_blackboxes()) == ["hwgpt-exact"]


def test_what_was_measured_is_known_without_reading_models(artifacts: Path):
    write_own_space(artifacts)
    known = measured_in("mine")
    assert known == load_surrogate("mine").measured
    assert dict(known.devices) == {"laptop": ("latency", "energy"), "board": ("latency",)}
    assert known.metrics == ("perplexity", "flops", "params")
    assert known.timed == ("laptop", "board")
    assert known.default_device == "laptop"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "other"}, "hwgpt-mine says it is of space 'other', but its space_definition"),
        ({"space_definition": None}, "space 'mine', which is not published, and has no space_def"),
        ({"space_definition": [1]}, "has no space_definition"),
        ({"space_definition": {"name": "mine"}}, "space_definition of .* lacks embed_dim"),
        (
            {"space_definition": own_space().as_dict() | {"embed_dim": [64]}},
            r"space_definition of .*hwgpt-mine: embed_dim is \[64\]; expected a list of 2",
        ),
        (
            {"space_definition": own_space(embed_dims=(16, 24)).as_dict()},
            r"hwgpt-mine: intercept of .* has shape \(4, 2, 2\); expected \(2, 2, 2\)",
        ),
        (
            {"space_definition": own_space(mlp_ratios=(1, 2, 3, 4)).as_dict()},
            "hwgpt-mine: effect of .* has shape .*; expected .*4, 3",
        ),
        (
            {"space": "s", "space_definition": own_space().as_dict()},
            "says it is of space 's', but its space_definition is of 'mine'",
        ),
        (
            {"space": "s", "space_definition": own_space().as_dict() | {"name": "s"}},
            "name is 's', a published space with other choices",
        ),
        ({"links": {"speed": "log"}}, "model of 'speed', which is no metric"),
        ({"links": {"latency": "log"}}, "model of 'latency', which is no metric, or needs a dev"),
        ({"links": {"flops": "log"}}, "model of 'flops', which is no metric"),
        ({"links": {"perplexity@laptop": "log"}}, "model of 'perplexity@laptop'"),
        ({"links": {"latency@a100": "log"}}, "'a100' is taken by HW-GPT-Bench"),
        ({"links": {"latency@a b": "log"}}, "device 'a b': a name has 1 to 40 letters"),
        ({"links": {"latency@new": "log"}}, "no complete surrogate artifact"),
    ],
)
def test_a_manifest_that_contradicts_its_artifact_is_an_error(
    artifacts: Path, changes: dict[str, Any], message: str
):
    folder = write_own_space(artifacts)
    rewrite_manifest(folder, **changes)
    if changes.get("space_definition", 0) is None:
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest.pop("space_definition") is None
    with pytest.raises(DataError, match=message):
        check_artifact(folder)
    with pytest.raises(DataError):
        load_surrogate("mine")


def test_a_renamed_artifact_is_an_error(artifacts: Path):
    write_own_space(artifacts).rename(artifacts / "hwgpt-theirs")
    with pytest.raises(DataError, match="holds the space 'mine', its name says 'theirs'"):
        load_surrogate("theirs")


def test_a_damaged_artifact_is_left_out_of_lists(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
):
    from hwgpt_blackbox.cli import main

    write_own_space(artifacts)
    (artifacts / "hwgpt-mine" / "manifest.json").write_text("{")
    assert main(["list"]) == 0
    out, err = capsys.readouterr()
    assert "datasets of hwgpt-mine" not in out
    assert "space mine is left out" in err


def test_published_spaces_are_never_read_from_files_of_others(tmp_path: Path):
    file = tmp_path / "s.toml"
    file.write_text(replace(SPACES["s"], vocabulary=7).as_toml(), encoding="utf-8")
    with pytest.raises(DataError, match="name is 's', a published space with other choices"):
        find_space(file)
    assert get_space("s") is find_measured("s")
