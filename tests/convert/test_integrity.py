"""Whether an artifact is what its manifest says, and a table what its source says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import rewrite_manifest, write_random_surrogate
from source import make_source

from hwgpt_blackbox.convert import convert, read_measurements
from hwgpt_blackbox.convert.integrity import (
    check_artifact,
    locate,
    same_source,
    table_differences,
)
from hwgpt_blackbox.convert.layout import Checkout
from hwgpt_blackbox.convert.measurements import Measurements
from hwgpt_blackbox.devices import DEVICES
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.metrics import METRICS
from hwgpt_blackbox.places import EMBEDDED
from hwgpt_blackbox.spaces import SPACES
from hwgpt_blackbox.tabular import Table


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
    for wrong in ("hwgpt-xl", str(tmp_path)):
        with pytest.raises(InputError, match=f"{wrong}.*hwgpt-s"):
            locate(wrong)
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
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "schema_version"),
        (lambda folder: rewrite_manifest(folder, kind="pickle"), "kind 'pickle'"),
        (lambda folder: rewrite_manifest(folder, links={}), "no complete surrogate"),
        (lambda folder: rewrite_manifest(folder, kind="tabular"), "hyperparameters.parquet"),
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


# -- against a source ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measurements, Path]:
    """Measurements, and the table that was made from them."""
    root = make_source("s", n=60).write(tmp_path_factory.mktemp("source"))
    out = tmp_path_factory.mktemp("out")
    (folder,) = convert(root, "s", out, surrogate=False, progress=False)
    return read_measurements(Checkout(root, SPACES["s"])), folder


def test_a_table_is_what_its_source_says(measured: tuple[Measurements, Path]) -> None:
    data, folder = measured
    sound = check_artifact(folder)
    assert sound.kind == "tabular"
    found = table_differences(sound.content, data)
    assert set(found) == set(METRICS) - {"elapsed_time"}
    assert all(
        row == {"largest_relative_difference": 0.0, "differing": 0} for row in found.values()
    )
    assert same_source(sound.manifest, data) is True


def test_a_value_that_differs_is_found(measured: tuple[Measurements, Path]) -> None:
    data, folder = measured
    table = Table.read(folder)
    changed = np.array(table.objectives)
    device, energy = list(DEVICES).index("P100"), list(METRICS).index("energy")
    changed[device, 7, 49, 0, energy] *= 1.25
    found = table_differences(Table(table.space, table.matrix, changed), data)
    assert found["energy"]["differing"] == 1
    assert found["energy"]["largest_relative_difference"] == pytest.approx(0.25)
    assert found["latency"]["differing"] == 0


def test_a_table_of_another_source(measured: tuple[Measurements, Path], tmp_path: Path) -> None:
    root = make_source("s", n=60, seed=5).write(tmp_path)
    other = read_measurements(Checkout(root, SPACES["s"]))
    sound = check_artifact(measured[1])
    assert same_source(sound.manifest, other) is False
    assert same_source({"source": {}}, other) is None
    with pytest.raises(DataError, match="of another source"):
        table_differences(sound.content, other)
