"""Measurement sets: rows are appended whole, folders belong to one space and one process."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import full_disk, own_space

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import architecture_of
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, OutputError
from hwgpt_blackbox.storage.measurement_set import (
    RowFile,
    alone,
    configuration_cells,
    read_configurations,
    write_space,
)

SPACE = own_space()


def test_rows_are_appended_whole_also_after_a_kill(tmp_path: Path):
    path = tmp_path / "a.csv"
    rows = RowFile(path, ["x", "y"])
    rows.append([0.1, "with, comma"])
    with path.open("a") as file:
        file.write("0.2,ha")
    again = RowFile(path, ["x", "y"])
    again.append([1 / 3, ""])
    assert [row["x"] for row in again.rows()] == ["0.1", repr(1 / 3)]
    assert again.rows()[0]["y"] == "with, comma"


def test_a_table_of_other_columns_is_not_appended_to(tmp_path: Path):
    path = tmp_path / "a.csv"
    RowFile(path, ["x", "y"]).append([1, 2])
    before = path.read_bytes()
    with pytest.raises(DataError, match="has the columns x,y; expected x,z"):
        RowFile(path, ["x", "z"])
    with pytest.raises(ValueError, match="3 cells for 2 columns"):
        RowFile(path, ["x", "y"]).append([1, 2, 3])
    assert path.read_bytes() == before
    with pytest.raises(OutputError, match="cannot be written"):
        RowFile(tmp_path / "absent" / "a.csv", ["x"])


@pytest.mark.parametrize(
    "half", ["nam", "name,value\n", "name,value\nx,1\ny,", "name,value\nx,1\ny"]
)
def test_what_a_killed_process_left_half_is_cut_off(tmp_path: Path, half: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(half)
    table = RowFile(path, ["name", "value"])
    table.append(["z", 3])
    whole = half[: half.rfind("\n") + 1] or "name,value\n"
    assert path.read_text() == whole + "z,3\n"


def test_a_full_disk_keeps_the_rows_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = RowFile(tmp_path / "a.csv", ["name", "value"])
    table.append(["x", 1])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left on device; the rows before stay"):
            table.append(["y", 2])
    assert (tmp_path / "a.csv").read_text() == "name,value\nx,1\n"


def test_a_row_that_a_full_disk_takes_half_of_is_taken_back(tmp_path: Path) -> None:
    table = RowFile(tmp_path / "a.csv", ["name", "value"])
    table.append(["x", 1])
    before, wanted = table.path.read_bytes(), "No space left on device; the rows before stay"
    with full_disk(len(before) + 3), pytest.raises(OutputError, match=wanted):
        table.append(["a long name", 2])
    assert table.path.read_bytes() == before


def test_a_folder_is_of_one_space(tmp_path: Path):
    write_space(tmp_path, SPACE)
    write_space(tmp_path, SPACE)
    assert Space.from_file(tmp_path / "space.toml") == SPACE
    with pytest.raises(InputError, match="is of another space, mine with other choices or sizes"):
        write_space(tmp_path, own_space(vocabulary=7))


def test_one_process_works_in_a_folder(tmp_path: Path):
    with (
        alone(tmp_path / "set", "a.lock", "measures"),
        pytest.raises(InputError, match="another process measures into"),
        alone(tmp_path / "set", "a.lock", "measures"),
    ):
        pass
    with alone(tmp_path / "set", "a.lock", "measures"):
        pass


def test_configurations_are_read_in_every_form(tmp_path: Path):
    configurations = Encoding(SPACE).decode(Encoding(SPACE).sample(2, np.random.default_rng(0)))
    forms = [architecture_of(SPACE, configurations[0]), configurations[1]]
    (tmp_path / "a.json").write_text(json.dumps(forms))
    (tmp_path / "b.json").write_text(json.dumps(forms[0]))
    table = RowFile(tmp_path / "quality.csv", [*SPACE.choices, "perplexity"])
    for configuration in configurations:
        table.append([*configuration_cells(SPACE, configuration), 7.5])
    assert read_configurations(SPACE, tmp_path / "a.json") == configurations
    assert read_configurations(SPACE, tmp_path / "b.json") == configurations[:1]
    assert read_configurations(SPACE, tmp_path / "quality.csv") == configurations
    (tmp_path / "bad.csv").write_text("num_layers,embed_dim\n2,16\n")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "empty.json").write_text("[]")
    wrong = configurations[0] | {"embed_dim": 17}
    (tmp_path / "wrong.json").write_text(json.dumps([configurations[0], wrong]))
    for name, error, message in (
        ("bad.csv", InputError, "architecture 0: bias is None"),
        ("bad.json", DataError, "holds no architectures"),
        ("empty.json", DataError, "holds no architectures"),
        ("wrong.json", InputError, "architecture 1: embed_dim is 17"),
        ("absent.json", InputError, "cannot be read"),
    ):
        with pytest.raises(error, match=message):
            read_configurations(SPACE, tmp_path / name)
