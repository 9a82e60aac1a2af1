"""Artifacts of any bytes: a sound blackbox or an error of ours, in bounded time and memory."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import rewrite_manifest, write_random_surrogate, write_table
from robustness.mutations import mutated, mutated_json
from robustness.sandbox import check

from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.blackboxes.table_blackbox import blackboxes_of
from hwgpt_blackbox.convert.judging.cards.file import read_card
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.fronts.layer_sums import LayerSums, parse_columns
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.manifest import MAX_ARRAYS_BYTES, read_arrays, read_manifest
from hwgpt_blackbox.storage.measured_table import Table
from hwgpt_blackbox.storage.surrogates import read_surrogate

OBJECTIVES = ("perplexity", "energy@rtx2080")

quick_and_long = pytest.mark.parametrize(
    "count", [100, pytest.param(1000, marks=pytest.mark.slow)], ids=["quick", "long"]
)


@pytest.fixture(scope="module")
def surrogate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small sound artifact; each test works on a copy."""
    folder = tmp_path_factory.mktemp("sound") / "hwgpt-s"
    write_random_surrogate(folder)
    return folder


@pytest.fixture
def folder(surrogate: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(surrogate, tmp_path / "hwgpt-s"))


def query(blackbox: Any) -> None:
    """What was read answers with positive, finite numbers."""
    matrix = blackbox.encoding.sample(3, np.random.default_rng(0))
    for values in (blackbox.expected_values(matrix), blackbox.measurements(matrix, seed=1)):
        assert np.isfinite(values).all()
        assert (values > 0).all()


# -- manifests ---------------------------------------------------------------------------------


@quick_and_long
def test_manifests_of_other_structure(count: int, artifacts: Path) -> None:
    # Every part that somebody reads: models, bounds, report card, checksums.
    folder = Path(shutil.copytree(EMBEDDED / "hwgpt-s", artifacts / "hwgpt-s"))
    manifest = json.loads((folder / "manifest.json").read_text())
    columns = parse_columns(OBJECTIVES)

    def read(content: bytes) -> None:
        (folder / "manifest.json").write_bytes(content)
        surrogate = read_surrogate(folder)
        query(HWGPTBlackbox(surrogate, "rtx2080"))
        sums = LayerSums(surrogate, columns)
        sums.artifact_sha256  # noqa: B018
        ideal, nadir = sums.ideal_and_nadir()
        assert (ideal < nadir).all()
        Problem.parse("s", OBJECTIVES)
        read_card(folder)
        check_artifact(folder)

    outcome = check(read, mutated_json(manifest, count, seed=1))
    assert min(outcome.read, outcome.refused) > count // 20


@quick_and_long
def test_manifests_of_other_bytes(count: int, folder: Path) -> None:
    def read(content: bytes) -> None:
        (folder / "manifest.json").write_bytes(content)
        read_surrogate(folder)

    text = (folder / "manifest.json").read_bytes()
    assert check(read, mutated(text, 3 * count, seed=2)).refused > count


# -- arrays ------------------------------------------------------------------------------------


def relisted(folder: Path) -> None:
    """List the files anew, so that checksums fit: what an enemy would do."""
    rewrite_manifest(folder)


@quick_and_long
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_arrays_of_other_bytes(count: int, folder: Path) -> None:
    def read(content: bytes) -> None:
        (folder / "arrays.npz").write_bytes(content)
        relisted(folder)
        query(HWGPTBlackbox(read_surrogate(folder), "a100"))

    data = (folder / "arrays.npz").read_bytes()
    assert check(read, mutated(data, 3 * count, seed=3)).refused > count


def spoilt_arrays(arrays: dict[str, np.ndarray], count: int) -> Iterator[tuple[str, bytes]]:
    """Files of other arrays: types, shapes, values, names."""
    values = [0.0, -1.0, 1e308, -1e308, 5e-324, np.nan, np.inf, 2.0**1023]
    kinds = ["f2", "f4", ">f8", "i1", "i8", "u8", "?", "c16", "U3", "S5", "M8[s]", "O", "V8"]
    for number in range(count):
        rng = random.Random(number)
        out = dict(arrays)
        name = rng.choice(list(out))
        how = rng.choice(["value", "value", "dtype", "shape", "remove", "rename", "empty", "scale"])
        array = out[name].copy()
        with np.errstate(all="ignore"):
            if how == "value":
                array.reshape(-1)[rng.randrange(array.size)] = rng.choice(values)
                out[name] = array
            elif how == "dtype":
                out[name] = array.astype(rng.choice(kinds))
            elif how == "shape":
                turned = [array.T, array[None], array.reshape(-1), np.repeat(array, 2, axis=-1)]
                out[name] = rng.choice(turned)
            elif how == "remove":
                del out[name]
            elif how == "rename":
                out[rng.choice(["../x", "/etc/x", "", "levels", "é"])] = out.pop(name)
            elif how == "empty":
                out[name] = array[:0]
            else:
                out[name] = array * rng.choice([0, -1, 1e6, 1e-6, 1e300])
        buffer = io.BytesIO()
        np.savez(buffer, **out)
        yield f"{number} {how} {name}", buffer.getvalue()


@quick_and_long
def test_arrays_of_other_content(count: int, folder: Path) -> None:
    def read(content: bytes) -> None:
        (folder / "arrays.npz").write_bytes(content)
        relisted(folder)
        query(HWGPTBlackbox(read_surrogate(folder), "all"))

    arrays = read_arrays(folder / "arrays.npz")
    outcome = check(read, spoilt_arrays(arrays, count))
    assert min(outcome.read, outcome.refused) > count // 20


def npy(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    width = 2 if version == b"\x01\x00" else 4
    return b"\x93NUMPY" + version + len(header).to_bytes(width, "little") + header.encode() + data


def entry(shape: str, descr: str = "<f8") -> bytes:
    return npy(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n")


HEADERS = {
    "a shape of 8 TB": entry("1099511627776,"),
    "a shape of 32 GB": entry("4294967295,"),
    "a shape beyond 64 bits": entry("9999999999, 9999999999, 9999999999,"),
    "a shape of 5000 axes": entry("1, " * 5000),
    "a shape of 40 axes": entry("1, " * 40, "|b1"),
    "texts of 2 GB": entry("1,", "<U500000000"),
    "text of no length": entry("1000000000,", "|S0"),
    "objects": entry("1,", "|O"),
    "brackets": npy("(" * 9000),
    "minus signs": npy("-" * 9000 + "1"),
    "a power": npy("9**" * 3000 + "9"),
    "a call": npy("__import__('os').abort()"),
    "version 2": npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", version=b"\x02\x00"
    ),
    "version 3": npy(
        "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", version=b"\x03\x00"
    ),
    "a header that does not end": b"\x93NUMPY\x01\x00\xff\xff{'descr'",
}


@pytest.mark.parametrize("content", HEADERS.values(), ids=HEADERS)
def test_a_header_that_lies_allocates_nothing(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("x.npy", content)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"a\.npz"):
            read_arrays(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def zipped(compression: int, *entries: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, data in entries:
            out.writestr(name, data)
    return buffer.getvalue()


SOUND = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }\n", bytes(8))


def overlapping() -> bytes:
    """2,000 names of one megabyte of zeros that is there once."""
    data = bytearray(zipped(zipfile.ZIP_DEFLATED, ("x.npy", SOUND + bytes(1 << 20))))
    begin = data.rfind(b"PK\x01\x02")
    row, end = bytes(data[begin:-22]), bytearray(data[-22:])
    rows = b"".join(row.replace(b"x.npy", b"%05d" % i) for i in range(2000))
    end[8:12] = (2000).to_bytes(2, "little") * 2
    end[12:16] = len(rows).to_bytes(4, "little")
    return bytes(data[:begin]) + rows + bytes(end)


def unknown_compression() -> bytes:
    data = bytearray(zipped(0, ("x.npy", SOUND)))
    for at in (8, data.rfind(b"PK\x01\x02") + 10):
        data[at] = 99
    return bytes(data)


ARCHIVES = {
    "names outside": zipped(0, ("../../x.npy", SOUND), ("/etc/x.npy", SOUND)),
    "no array": zipped(0, ("x.txt", b"abc")),
    "a folder": zipped(0, ("x.npy/", b"")),
    "an archive": zipped(0, ("x.npy", zipped(0, ("y.npy", SOUND)))),
    "overlapping entries": overlapping(),
    "20,000 entries": zipped(0, *((f"{i}.npy", b"") for i in range(20_000))),
    "bzip2": zipped(zipfile.ZIP_BZIP2, ("x.npy", SOUND + bytes(1000))),
    "lzma": zipped(zipfile.ZIP_LZMA, ("x.npy", SOUND + bytes(1000))),
    "unknown compression": unknown_compression(),
    "something before": b"#!/bin/sh\n" * 100 + zipped(0, ("x.npy", SOUND + b"x")),
}


@pytest.mark.parametrize("content", ARCHIVES.values(), ids=ARCHIVES)
def test_archives_that_nobody_writes(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for name, array in read_arrays(path).items():
            assert name in ("../../x", "/etc/x")
            assert array.tolist() == [0.0]

    check(read, [("archive", content)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz"]


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    # numpy read the last of them, other readers the first
    with pytest.warns(UserWarning, match="Duplicate"):
        (tmp_path / "a.npz").write_bytes(zipped(0, ("x.npy", SOUND), ("x.npy", SOUND)))
    with pytest.raises(DataError, match="twice"):
        read_arrays(tmp_path / "a.npz")


def test_a_huge_file_is_refused_before_it_is_read(folder: Path) -> None:
    # It was hashed first: for a terabyte, an hour.
    with (folder / "arrays.npz").open("wb") as file:
        file.truncate(1 << 40)  # sparse
    manifest = read_manifest(folder, kind="surrogate")
    manifest["files"]["arrays.npz"]["bytes"] = 1 << 40
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=str(MAX_ARRAYS_BYTES)):
        read_surrogate(folder)
    with pytest.raises(DataError, match=str(MAX_ARRAYS_BYTES)):
        read_arrays(folder / "arrays.npz")


@pytest.mark.parametrize("name", ["manifest.json", "arrays.npz"])
def test_what_is_no_regular_file_is_refused(name: str, folder: Path) -> None:
    # A manifest that is a link to /dev/zero was read until memory ran out.
    os.mkfifo(folder / "pipe")

    def read(target: bytes) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(os.fsdecode(target))
        read_surrogate(folder)

    targets = ("/dev/zero", "/dev/stdin", folder / "nothing", folder, folder / name, "pipe")
    outcome = check(read, [(str(target), os.fsencode(target)) for target in targets])
    assert outcome.refused == len(targets)


# -- tables ------------------------------------------------------------------------------------


@quick_and_long
@pytest.mark.parametrize(
    "name", ["architectures.npz", "metadata.json", "objectives_evaluations.npy"]
)
def test_tables_of_other_bytes(name: str, count: int, tmp_path: Path) -> None:
    folder = tmp_path / "hwgpt-s-tabular"
    write_table(folder, size=4, repeats=2)

    def read(content: bytes) -> None:
        (folder / name).write_bytes(content)
        relisted(folder)
        for blackbox in blackboxes_of(Table.read(folder)).values():
            for row in range(4):
                assert (blackbox(row, seed=1) > 0).all()
            assert np.isfinite(blackbox.expected_values(blackbox.table.matrix)).all()

    assert check(read, mutated((folder / name).read_bytes(), count, seed=4)).refused > count // 20
