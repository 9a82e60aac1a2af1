"""Damaged Parquet files: an error of ours, whatever the reader does."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from device_tables import SPACE, architectures, frame

from hwgpt_blackbox.convert.source import parquet
from hwgpt_blackbox.convert.source.parquet import parquet_as_csv
from hwgpt_blackbox.convert.source.user_measurements import read_device
from hwgpt_blackbox.errors import DataError

SEEDS = (144, 0, 1, 2, 3, 4)
"""Of damages; that of the first makes fastparquet 2026.9 crash."""


def stored(table: pd.DataFrame, path: Path) -> Path:
    table.to_parquet(path, engine="fastparquet")
    return path


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, removed or added, mostly in the footer."""
    out = bytearray(content)
    footer = int.from_bytes(out[-8:-4], "little")
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        first = len(out) - 8 - footer if rng.random() < 0.6 else 0
        at = rng.randrange(max(first, 0), len(out))
        kind = rng.random()
        if kind < 0.4:
            out[at] ^= 1 << rng.randrange(8)
        elif kind < 0.7:
            out[at] = rng.choice([0, 0x7F, 0x80, 0xFF])
        elif kind < 0.85:
            del out[at : at + rng.choice([1, 2, 8])]
        else:
            out[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(out)


def test_values_are_those_of_the_file(tmp_path: Path) -> None:
    table = frame(architectures(60), repeats=2)
    data = read_device(stored(table, tmp_path / "my.parquet"), SPACE)
    np.testing.assert_array_equal(data.matrix, architectures(60))
    for metric in ("latency", "energy"):
        np.testing.assert_array_equal(
            data.values[metric], table[[f"{metric}_0", f"{metric}_1"]].to_numpy()
        )


@pytest.mark.parametrize("column", ["latency_1", "num_layers", "bias"])
def test_a_null_cell_is_named(column: str, tmp_path: Path) -> None:
    table = frame(architectures(60), repeats=2)
    kind = {"latency_1": "Float64", "num_layers": "Int64", "bias": "boolean"}[column]
    table[column] = table[column].astype(kind)
    table.loc[4, column] = None
    with pytest.raises(DataError, match=f"row 5 of the data: {column} is nan"):
        read_device(stored(table, tmp_path / "my.parquet"), SPACE)


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    sound = stored(frame(architectures(60), repeats=2), tmp_path / "sound.parquet").read_bytes()
    path = tmp_path / "my.parquet"
    for seed in SEEDS:
        path.write_bytes(mutated(sound, random.Random(seed)))
        try:
            read_device(path, SPACE)
        except DataError as error:
            assert str(path) in str(error)


def run_instead(code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file, and a reader that does what a damaged one makes it do."""
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "fastparquet.py").write_text(f"import os, time, numpy\n{code}\n")
    monkeypatch.syspath_prepend(str(folder))
    path = tmp_path / "my.parquet"
    path.write_bytes(b"PAR1")
    return path


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("os.kill(os.getpid(), 11)", "the reader crashes on it: Segmentation fault"),
        ("time.sleep(60)", "takes longer than 3 s"),
        ("numpy.ones(1 << 40)", "MemoryError"),
        ("raise ValueError('\\x1b[2J')", r"\\x1b\[2J"),
    ],
)
def test_what_the_reader_does_stays_in_its_process(
    code: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "TIME_LIMIT", 3.0 if "sleep" in code else 60.0)
    path = run_instead(code, monkeypatch, tmp_path)
    with (
        pytest.raises(DataError, match=f"my.parquet cannot be read as a table .*{says}"),
        parquet_as_csv(path, 1 << 20),
    ):
        pass


def test_a_table_that_unpacks_to_more_than_a_csv_may_have(tmp_path: Path) -> None:
    path = stored(pd.DataFrame({"latency": np.zeros(200_000)}), tmp_path / "my.parquet")
    with pytest.raises(DataError, match="File too large"), parquet_as_csv(path, 100_000):
        pass
