"""A fit is checked on architectures that its device measures anew."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from measurement_sets import (
    TINY,
    drawn,
    hardware,
    quality,
    true_latency,
    true_perplexity,
    write_set,
)

from hwgpt_blackbox.convert.judging.device_check import (
    CheckedArchitectures,
    architectures_to_check,
    compare,
    draw_check,
    measures,
)
from hwgpt_blackbox.convert.user_device import convert_set
from hwgpt_blackbox.errors import InputError, MissingArtifactError
from hwgpt_blackbox.plotting.style import to_bytes


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    matrix = drawn(80)
    tables = {"mine": hardware(matrix), "quality": quality(matrix)}
    return write_set(tmp_path_factory.mktemp("sets") / "m", tables)


@pytest.fixture(scope="module")
def converted(folder: Path) -> Path:
    """Where the artifact of the set is."""
    convert_set(folder, folder.parent / "artifacts", progress=False)
    return folder.parent / "artifacts"


@pytest.fixture
def chosen(converted: Path, monkeypatch: pytest.MonkeyPatch) -> CheckedArchitectures:
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(converted))
    return architectures_to_check(TINY, "mine", 20, 0)


def checked(folder: Path, table: pd.DataFrame) -> Path:
    path = folder / "check.csv"
    table.to_csv(path, index=False)
    return path


def test_half_are_of_the_predicted_front_and_all_differ(chosen: CheckedArchitectures) -> None:
    assert chosen.matrix.shape == (20, 15) and chosen.on_front.sum() == 10
    assert len(np.unique(chosen.matrix, axis=0)) == 20 and chosen.quality == "perplexity"
    again = architectures_to_check(TINY, "mine", 20, 0)
    assert (again.matrix == chosen.matrix).all()
    assert (architectures_to_check(TINY, "mine", 20, 1).matrix != chosen.matrix).any()


def test_a_fit_that_holds_is_said_to_hold(
    chosen: CheckedArchitectures, folder: Path, tmp_path: Path
) -> None:
    table = hardware(chosen.matrix, seed=5, noise=0.001)
    check = compare(chosen, TINY, checked(tmp_path, table), folder / "mine.csv")
    assert check.metrics == ("latency", "energy")
    for metric in check.metrics:
        found = measures(check.rows(), metric)
        assert found["mae"] < 0.05 * found["mean"] and found["kendall_tau"] > 0.9
    text = "\n".join(check.lines())
    assert re.search(r"latency +predicted front +10 .*\n.*latency +random +10 ", text)
    assert "of 10 points of the predicted front of perplexity and latency are dominated" in text


def test_a_point_of_the_front_that_is_slow_in_truth_is_named(
    chosen: CheckedArchitectures, folder: Path, tmp_path: Path
) -> None:
    order = np.argsort(true_perplexity(chosen.matrix[chosen.on_front]))
    slow = int(order[5])  # five others of the front have a better perplexity
    table = hardware(chosen.matrix, seed=5, noise=0.001)
    repeats = [name for name in table.columns if name.startswith("latency_")]
    table.loc[slow, repeats] = 2.0 * true_latency(chosen.matrix).max()
    check = compare(chosen, TINY, checked(tmp_path, table), folder / "mine.csv")
    rows = check.rows(True).reset_index(drop=True)
    assert rows["faster"][slow] > 0.5 and (rows["faster"].drop(index=slow) < 0.1).all()
    named = [line for line in check.lines() if line.startswith("  gpt-tiny-")]
    assert any(rows["architecture"][slow] in line for line in named)
    assert to_bytes(draw_check(check, "a check"), "svg").startswith(b"<?xml")


def test_the_level_of_the_machine_is_that_of_what_both_tables_hold(
    chosen: CheckedArchitectures, folder: Path, tmp_path: Path
) -> None:
    both = np.concatenate([chosen.matrix, drawn(80)[:3]])
    table = hardware(both, speed=0.5, noise=0.0)
    check = compare(chosen, TINY, checked(tmp_path, table), folder / "mine.csv")
    assert check.level == pytest.approx(2.0, rel=0.05) and len(check.table) == 20


def test_without_a_quality_random_ones_are_checked(folder: Path, tmp_path: Path) -> None:
    convert_set(write_set(tmp_path / "m", {"mine": hardware(drawn(80))}), progress=False)
    chosen = architectures_to_check(TINY, "mine", 8, 0)
    assert chosen.quality is None and not chosen.on_front.any() and len(chosen.matrix) == 8
    table = hardware(chosen.matrix, seed=5)
    check = compare(chosen, TINY, checked(tmp_path, table), folder / "mine.csv")
    assert check.lines()[-1] == "no perplexity or error is known of the space: no front was checked"
    assert to_bytes(draw_check(check, "a check"), "svg")


def test_what_is_not_there_is_named(chosen: CheckedArchitectures) -> None:
    with pytest.raises(InputError, match="expected 4 or more"):
        architectures_to_check(TINY, "mine", 3, 0)
    with pytest.raises(InputError, match="'other' of space tiny has no models here"):
        architectures_to_check(TINY, "other", 20, 0)


def test_a_space_that_was_not_converted_is_named() -> None:
    with pytest.raises((InputError, MissingArtifactError)):
        architectures_to_check(TINY, "mine", 20, 0)
