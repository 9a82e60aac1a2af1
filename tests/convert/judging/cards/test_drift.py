"""The drift curve of a device is in its report card: as data, as a line, as a figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measurement_sets import drawn, hardware, write_set

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert.judging.cards.drift import drift_lines, is_drift
from hwgpt_blackbox.convert.judging.cards.file import read_card
from hwgpt_blackbox.convert.user_device import convert_set


def drifting(folder: Path, size: float) -> Path:
    """A set whose machine gets slower, with a visit of the reference after every sixth row."""
    matrix = drawn(80)
    matrix = np.insert(matrix, np.arange(0, 80, 6), matrix[3], axis=0)
    table = hardware(matrix)
    names = [name for name in table.columns if name.startswith(("latency_", "energy_"))]
    times = np.arange(len(table)) / len(table)
    table[names] = table[names].mul(np.exp(size * times), axis=0)
    table["reference"] = (matrix == drawn(80)[3]).all(axis=1).astype(int)
    table["seconds"] = 600.0 * times
    return write_set(folder, {"mine": table})


@pytest.mark.parametrize("size", [0.05, 0.3])
def test_the_card_shows_how_the_machine_changed(
    tmp_path: Path,
    size: float,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = convert_set(drifting(tmp_path / "m", size), progress=False)[0]
    assert ("changed by" in caplog.text) == (size > 0.1)
    card = read_card(folder)
    assert card is not None
    for target in ("latency@mine", "energy@mine"):
        row = card["drift"][target]
        assert row["change"] == pytest.approx(np.exp(size) - 1.0, rel=0.4)
        assert len(row["seconds"]) == len(row["factor"]) == len(row["measured"]) == 15
    assert main(["verify", str(folder), "--out", str(tmp_path / "card"), "--format", "svg"]) == 0
    said = capsys.readouterr().out
    assert "drift of latency@mine over 15 visits" in said and "▁" in said
    assert ("the machine was not steady" in said) == (size > 0.1)
    assert (tmp_path / "card" / "drift.svg").stat().st_size > 1000


def test_a_steady_machine_is_a_flat_line() -> None:
    row = {"seconds": [0.0, 60.0], "measured": [1.0, 1.01], "factor": [1.0, 1.0], "change": 0.0}
    assert drift_lines({"latency@mine": row}) == [
        "drift of latency@mine over 2 visits of the reference architecture in 1.0 min: 0.0 % ▁▁, "
        "visits up to 1.0 % off this curve"
    ]


def test_bursts_that_no_curve_follows_are_told() -> None:
    row = {"seconds": [0.0, 60.0], "measured": [0.9, 1.2], "factor": [1.0, 1.0], "change": 0.0}
    (line,) = drift_lines({"latency@mine": row})
    assert line.endswith(
        "visits up to 20.0 % off this curve; more than 10 %: the machine was not steady"
    )


@pytest.mark.parametrize(
    "part",
    [
        3,
        {"latency@mine": 3},
        {"latency@mine": {"seconds": [], "measured": [], "factor": [], "change": 0.0}},
        {"latency@mine": {"seconds": [1], "measured": [1], "factor": [1, 2], "change": 0.0}},
        {"latency@mine": {"seconds": [1], "measured": [1], "factor": ["\x1b"], "change": 0.0}},
        {"latency@mine": {"seconds": [1], "measured": [1], "factor": [True], "change": 0.0}},
        {"latency@mine": {"seconds": [1], "measured": [1], "factor": [1e300], "change": 0.0}},
        {"latency@mine": {"seconds": [1], "measured": [1], "factor": [1.0]}},
        {"latency@mine": {"seconds": [1], "measured": [1], "factor": [0.0], "change": 0.0}},
    ],
)
def test_a_drift_of_another_form_is_told(part: Any) -> None:
    assert not is_drift(json.loads(json.dumps(part)))
