"""Rows of measurement sets are appended whole, whatever ends the process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from hwgpt_blackbox.errors import DataError, OutputError
from hwgpt_blackbox.storage.measurement_set import RowFile


def test_rows_read_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    table = RowFile(path, ["name", "value"])
    assert table.rows() == []
    table.append(["x, y", 0.1 + 0.2])
    assert float(table.rows()[0]["value"]) == 0.1 + 0.2
    again = RowFile(path, ["name", "value"])
    again.append(["z", 2])
    assert [row["name"] for row in again.rows()] == ["x, y", "z"]


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


def test_other_columns_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("other\x1b[2J,value\n1,2\n")
    with pytest.raises(DataError, match=r"has the columns other\\x1b\[2J,value; expected name"):
        RowFile(path, ["name", "value"])
    assert path.read_text() == "other\x1b[2J,value\n1,2\n"


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


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        RowFile(tmp_path / "none" / "a.csv", ["name"])
