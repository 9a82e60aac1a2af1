"""Hypervolume that grows point by point."""

from __future__ import annotations

import time

import moocore
import numpy as np
import pytest

from hwgpt_blackbox.experiments.hypervolume import GrowingFront, cumulative


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("digits", [1, 2, 9])  # few digits: many equal coordinates
def test_every_beginning(m, digits):
    points = np.random.default_rng(m).uniform(-0.2, 1.3, size=(150, m)).round(digits)
    points.setflags(write=False)
    found = cumulative(points, 1.1)
    inside = [points[: i + 1] for i in range(len(points))]
    exact = [moocore.hypervolume(part, ref=[1.1] * m) for part in inside]
    np.testing.assert_allclose(found, exact, rtol=1e-11, atol=1e-14)
    assert (np.diff(found) >= 0).all()


def test_the_front_is_the_nondominated_points():
    points = np.random.default_rng(0).uniform(size=(400, 3)).round(1)
    front = GrowingFront(3, 1.1)
    for point in points:
        front.add(point)
    expected = points[moocore.is_nondominated(points)]
    assert sorted(front.points.tolist()) == sorted(expected.tolist())
    assert len(front) == len(expected)


def test_a_front_of_one_and_none():
    assert cumulative(np.empty((0, 3)), 1.1).shape == (0,)
    assert cumulative(np.array([[0.1, 0.1], [2.0, 0.0]]), 1.1).tolist() == pytest.approx([1.0, 1.0])


def test_80_000_results_in_three_objectives_take_seconds():
    points = np.random.default_rng(0).uniform(size=(80_000, 3))
    begun = time.process_time()
    found = cumulative(points, 1.1)
    assert time.process_time() - begun < 10
    assert found[-1] == pytest.approx(moocore.hypervolume(points, ref=[1.1] * 3), rel=1e-12)
