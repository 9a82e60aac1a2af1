"""The one table of kinds of artifact."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import write_random_surrogate, write_table

from hwgpt_blackbox.domain.spaces import MEASURED_SPACES
from hwgpt_blackbox.errors import DataError, MissingArtifactError
from hwgpt_blackbox.storage.artifact_kinds import (
    BLACKBOXES,
    BY_MANIFEST,
    CARD_KINDS,
    KINDS,
    artifact_name,
    blackbox_of,
    kind_of,
)
from hwgpt_blackbox.storage.locations import find

NAMES = {
    "hwgpt-{space}": "surrogate",
    "hwgpt-{space}-tabular": "tabular",
    "hwgpt-{space}-published": "network",
    "hwgpt-{space}-autogluon": "surrogate",
    "hwgpt-{space}-device-my_GPU-1": "device",
}


@pytest.mark.parametrize("space", MEASURED_SPACES)
@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_a_name_tells_space_and_kind(space: str, name: str, kind: str) -> None:
    name = name.format(space=space)
    row = kind_of(name)
    assert row is not None
    assert (row.name, row.space, row.kind) == (name, space, kind)
    assert "{" not in row.convert + row.load
    assert f"--space {space}" in row.convert
    assert space in row.load


@pytest.mark.parametrize("space", ["mine", "s-wide", "a_b-2"])
@pytest.mark.parametrize(("name", "kind"), NAMES.items())
def test_a_space_of_ones_own_has_the_kinds_that_measurements_make(
    space: str, name: str, kind: str
) -> None:
    row = kind_of(name.format(space=space))
    if name.endswith(("published", "autogluon")):
        assert row is None
        return
    assert row is not None
    assert (row.name, row.space, row.kind) == (name.format(space=space), space, kind)
    assert "rtx2080" not in row.load
    assert "{" not in row.convert + row.load
    assert space in row.load


def test_names_of_blackboxes_are_parsed() -> None:
    for name, row in BLACKBOXES.items():
        assert blackbox_of(name) == row
    repeats = blackbox_of("hwgpt-mine-repeats")
    assert repeats is not None
    assert (repeats.space, repeats.artifact, repeats.fidelity) == ("mine", "hwgpt-mine", "repeats")
    for name in ("mine", "hwgpt-", "hwgpt-Mine", "hwgpt-mine-device-x", "hwgpt-s-published"):
        assert blackbox_of(name) is None


def test_every_row_has_a_name_of_its_own() -> None:
    assert len({row.name for row in KINDS}) == len(KINDS) == len(NAMES)
    assert {row.artifact for row in BLACKBOXES.values()} == {
        artifact_name(space, tabular=tabular)
        for space in MEASURED_SPACES
        for tabular in (False, True)
    }
    assert all(kind_of(row.artifact) for row in BLACKBOXES.values())
    assert sorted(CARD_KINDS) == ["device", "network", "surrogate"]


@pytest.mark.parametrize(
    "name",
    [
        "hwgpt-XL",
        "hwgpt-s-wide-published",
        "hwgpt-mine-autogluon",
        "hwgpt-mine-device-x-device-y",
        "hwgpt-" + "x" * 41,
        "hwgpt-s-repeats",
        "hwgpt-s\n",
        "hwgpt-s-device-",
        "hwgpt-s-device-a b",
        "hwgpt-s-device-../x",
        "hwgpt-s-device--x",
        "hwgpt-s-device-" + "x" * 41,
        "",
    ],
)
def test_what_is_no_name_of_an_artifact(name: str) -> None:
    assert kind_of(name) is None


def test_every_kind_reads_its_own_and_no_other(tmp_path: Path) -> None:
    write_random_surrogate(tmp_path / "hwgpt-s")
    write_table(tmp_path / "hwgpt-s-tabular")
    made = {"surrogate": tmp_path / "hwgpt-s", "tabular": tmp_path / "hwgpt-s-tabular"}
    for kind, row in BY_MANIFEST.items():
        for other, folder in made.items():
            if kind == other:
                assert row.read(folder).space.name == "s"
            else:
                with pytest.raises(DataError, match="of kind"):
                    row.read(folder)


@pytest.mark.parametrize("name", list(NAMES)[1:])  # the first is shipped
def test_a_missing_artifact_names_what_makes_it(name: str, artifacts: Path) -> None:
    name = name.format(space="s")
    row = kind_of(name)
    assert row is not None
    with pytest.raises(MissingArtifactError) as error:
        find(name)
    made = f"from {row.source} with: hwgpt-blackbox convert SOURCE {row.convert};"
    assert made in str(error.value)
    assert f"pull {name} --from" in str(error.value)
