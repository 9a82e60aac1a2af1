"""The learning curve learns from what it says, and judges on what no fit has seen."""

from __future__ import annotations

from pathlib import Path

import learning_curve
import numpy as np
import pytest
from synthetic_checkout import make_source

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.judging.measures import random_split
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.spaces import SPACES


@pytest.mark.parametrize("choose", ["stretch", "random", "design"])
def test_architectures_are_chosen_once_and_from_the_training_part(
    choose: str, tmp_path: Path
) -> None:
    data = read_measurements(Checkout(make_source("s", n=240).write(tmp_path), SPACES["s"]))
    learn, held = random_split(len(data))
    order = learning_curve.chosen_order(data, learn, choose, 0, 60)[:60]
    assert len(set(order)) == 60 and not set(order) & set(held)
    other = learning_curve.chosen_order(data, learn, choose, 1, 60)[:60]
    assert choose == "design" or not np.array_equal(order, other)
    rows = learning_curve.curve(data, "rtx2080", [60, 100], 0, choose)
    assert {row["choose"] for row in rows} <= {choose}
    assert all(row["mae"] > 0.0 for row in rows)
    assert not rows or "rtx2080 latency " + choose in learning_curve.table(rows)
