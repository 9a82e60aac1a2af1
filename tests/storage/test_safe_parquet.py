from __future__ import annotations

import fastparquet
import numpy as np
import pandas as pd
import pytest

from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.storage import safe_parquet
from hwgpt_blackbox.storage.safe_parquet import SafeParquet


def table(rows):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "whole": rng.integers(-(2**62), 2**62, rows),
            "small": rng.integers(-9, 9, rows).astype(np.int32),
            "real": rng.normal(size=rows),
            "single": rng.normal(size=rows).astype(np.float32),
            "flag": rng.random(rows) < 0.5,
        }
    )


def stored(frame, path, **options):
    options = {"write_index": False, "has_nulls": False, "compression": "ZSTD", **options}
    fastparquet.write(str(path), frame, **options)
    return path.read_bytes()


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize("compression", [None, "ZSTD"])
@pytest.mark.parametrize("version", [1, 2])
def test_what_fastparquet_writes_for_us_is_read(tmp_path, monkeypatch, rows, compression, version):
    monkeypatch.setattr(fastparquet.writer, "DATAPAGE_VERSION", version)
    frame = table(rows)
    data = stored(
        frame, tmp_path / "a.parquet", compression=compression, custom_metadata={"a": "é"}
    )
    file = SafeParquet(data)
    assert (file.rows, file.metadata["a"]) == (rows, "é")
    assert file.columns == dict(frame.dtypes)
    found = pd.DataFrame({name: file.column(name) for name in file.columns})
    pd.testing.assert_frame_equal(found, frame, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        (pd.DataFrame({"a": ["text"] * 9}), {}),
        (table(9)[["whole"]].rename(columns={"whole": "a"}), {"has_nulls": True}),
        (pd.DataFrame({"a": np.arange(9)}), {"row_group_offsets": 4}),
        (pd.DataFrame({"a": np.arange(9)}), {"compression": "GZIP"}),
        (pd.DataFrame({"a": pd.Categorical([1, 2, 3])}), {}),
    ],
)
def test_columns_that_we_do_not_write_are_refused(tmp_path, frame, options):
    data = stored(frame, tmp_path / "a.parquet", **options)
    with pytest.raises(DataError, match="column a is not stored as we store it"):
        SafeParquet(data).column("a")


def test_a_file_that_is_not_whole_is_refused(tmp_path, monkeypatch):
    data = stored(table(9), tmp_path / "a.parquet")
    for part in (b"", data[:9], data[:-1], data[1:], data[:4] + data[-8:]):
        with pytest.raises(DataError, match="truncated or no Parquet file"):
            SafeParquet(part)
    with pytest.raises(DataError, match="description is broken"):
        SafeParquet(data[:-9] + b"\xff" + data[-8:])
    monkeypatch.setattr(safe_parquet, "MAX_FOOTER_BYTES", 100)
    with pytest.raises(DataError, match="expected 100"):
        SafeParquet(data)


def test_a_page_that_unpacks_to_more_than_its_rows_is_refused(tmp_path):
    # as a small file does that unpacks to gigabytes
    data = stored(pd.DataFrame({"a": np.zeros(9)}), tmp_path / "a.parquet")
    file = SafeParquet(data)
    file.rows = 5
    with pytest.raises(DataError, match="column a is not stored as we store it"):
        file.column("a")
