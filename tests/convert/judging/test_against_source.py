"""Whether a table is what its source says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from synthetic_checkout import make_source

from hwgpt_blackbox.convert import convert, read_measurements
from hwgpt_blackbox.convert.judging.against_source import same_source, table_differences
from hwgpt_blackbox.convert.judging.judge_artifact import _JUDGES
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.artifact_kinds import BY_MANIFEST
from hwgpt_blackbox.storage.measured_table import Table


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
    found = table_differences(
        Table(table.space, table.matrix, changed, folder, table.manifest), data
    )
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


def test_every_kind_of_artifact_is_compared_with_its_source() -> None:
    assert set(_JUDGES) == set(BY_MANIFEST)
