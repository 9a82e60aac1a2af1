"""Whether an artifact is what its manifest says."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import rewrite_manifest, write_random_surrogate, write_table

from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.storage.artifact_check import check_artifact, locate
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.measured_table import HYPERPARAMETERS, OBJECTIVE_NAMES, OBJECTIVES, SIDE


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_random_surrogate(folder := tmp_path / "hwgpt-s")
    return folder


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_what_the_package_ships_is_sound(space: str) -> None:
    found = check_artifact(locate(f"hwgpt-{space}"))
    assert (found.kind, found.space.name) == ("surrogate", space)
    assert found.folder == EMBEDDED / f"hwgpt-{space}"


def test_a_name_comes_before_a_folder(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(artifact.parent)
    assert locate("hwgpt-s") == locate("hwgpt-s-repeats") == EMBEDDED / "hwgpt-s"
    assert locate("./hwgpt-s").samefile(artifact)
    assert locate(str(artifact)) == artifact


def test_what_is_no_artifact(tmp_path: Path) -> None:
    for wrong in ("hwgpt-XL", str(tmp_path)):
        with pytest.raises(InputError, match=f"{wrong}.*hwgpt-s"):
            locate(wrong)
    with pytest.raises(InputError, match="did you mean 'hwgpt-m'"):
        locate("hwgpt-M")
    with pytest.raises(MissingArtifactError, match="hwgpt-blackbox convert SOURCE --space s"):
        locate("hwgpt-s-tabular")


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "arrays.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "arrays.npz").write_bytes(content)


def outside(folder: Path) -> None:
    (folder.parent / "secret").write_text("")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"sha256": "", "bytes": 0}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip_a_byte, "is not the file of its manifest"),
        (lambda folder: (folder / "arrays.npz").unlink(), "is missing"),
        (lambda folder: (folder / "notes.txt").write_text("mine"), "notes.txt, which .* not list"),
        (lambda folder: (folder / ".hidden").mkdir(), r"\.hidden"),
        (lambda folder: (folder / "a\x1b[2J").write_text(""), r"holds a\\x1b\[2J, which"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "schema_version"),
        (lambda folder: rewrite_manifest(folder, kind="pickle"), "kind 'pickle'"),
        (lambda folder: rewrite_manifest(folder, links={}), "no complete surrogate"),
        (lambda folder: rewrite_manifest(folder, kind="tabular"), "architectures.npz"),
        (outside, r"lists '\.\./secret'"),
    ],
)
def test_what_is_wrong_is_named(
    change: Callable[[Path], Any], message: str, artifact: Path
) -> None:
    assert check_artifact(artifact).space is SPACES["s"]
    change(artifact)
    with pytest.raises(DataError, match=message):
        check_artifact(artifact)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_table(folder := tmp_path / "hwgpt-s-tabular")
    return folder


def one_value(value: float) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        values = np.load(folder / OBJECTIVES)
        values[5, 3, 2, 0, OBJECTIVE_NAMES.index("metric_latency")] = value
        np.save(folder / OBJECTIVES, values)

    return change


def side(**changed: Any) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        with np.load(folder / SIDE) as arrays:
            np.savez(folder / SIDE, **{**arrays, **changed})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (one_value(np.nan), "metric_latency of a6000 has values that are not positive and finite"),
        (one_value(np.inf), "metric_latency of a6000 has values that are not positive and finite"),
        (one_value(0.0), "metric_latency of a6000 has values that are not positive and finite"),
        (lambda folder: (folder / SIDE).unlink(), "side.npz is missing"),
        (side(accuracy=np.full(12, np.inf)), "not finite"),
        (side(accuracy=np.zeros(11)), r"each of shape \(12,\)"),
        (lambda folder: (folder / "configspace.json").unlink(), "configspace.json .* is missing"),
        (lambda folder: (folder / HYPERPARAMETERS).unlink(), f"{HYPERPARAMETERS} .* is missing"),
    ],
)
def test_every_value_of_a_table_is_read(
    change: Callable[[Path], Any], message: str, table: Path
) -> None:
    assert check_artifact(table).kind == "tabular"
    change(table)
    rewrite_manifest(table)
    with pytest.raises(DataError, match=message):
        check_artifact(table)


def test_a_header_that_promises_much_takes_no_memory(table: Path) -> None:
    header = io.BytesIO()
    form = {"descr": "|b1", "fortran_order": False, "shape": (20_000_000_000,)}
    np.lib.format.write_array_header_1_0(header, form)
    with zipfile.ZipFile(table / SIDE, "w") as archive:
        archive.writestr("perplexity_filled.npy", header.getvalue())
        archive.writestr("accuracy.npy", header.getvalue())
    rewrite_manifest(table)
    with pytest.raises(DataError, match="no sound part of a table"):
        check_artifact(table)
