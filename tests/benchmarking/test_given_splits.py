"""Splits of a user's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from given_splits import GivenSplit, read_split, share_split

from hwgpt_blackbox.convert.judging.measures import random_split
from hwgpt_blackbox.errors import InputError


def given(*rows: int) -> GivenSplit:
    return GivenSplit("mine", 0, np.array(rows, dtype=np.intp))


def test_rows_of_a_file_are_held_out(tmp_path: Path) -> None:
    path = tmp_path / "held.txt"
    path.write_text("3\n0\n\n")
    split = read_split(path)
    learn, held = split.rows(5)
    assert held.tolist() == [0, 3] and learn.tolist() == [1, 2, 4]
    assert str(split) == "held.txt/0"


@pytest.mark.parametrize("content", ["a\n", "1.5\n", "9" * 40, "\x80"])
def test_what_is_no_row_number_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "held.txt"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match="one row number in each line"):
        read_split(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.txt"):
        read_split(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("split", "match"),
    [
        (given(1, 1), "twice"),
        (given(), "0 of 5"),
        (given(0, 1, 2, 3, 4), "5 of 5"),
        (given(5), "row 5 .* rows 0 to 4"),
        (given(-1), "row -1"),
    ],
)
def test_rows_that_cannot_be_held_out_are_refused(split: GivenSplit, match: str) -> None:
    with pytest.raises(InputError, match=match):
        split.rows(5)


def test_a_share_is_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.model_selection")
    learn, held = share_split(1003, 0.07, 5).rows(1003)
    theirs = sklearn.train_test_split(np.arange(1003), test_size=0.07, random_state=5)
    np.testing.assert_array_equal(learn, np.sort(theirs[0]))
    np.testing.assert_array_equal(held, np.sort(theirs[1]))


def test_a_fifth_is_the_papers_split() -> None:
    for ours, papers in zip(share_split(900, 0.2, 42).rows(900), random_split(900), strict=True):
        np.testing.assert_array_equal(ours, papers)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_shares_are_above_0_and_below_1(share: float) -> None:
    with pytest.raises(InputError, match="share"):
        share_split(100, share, 0)
