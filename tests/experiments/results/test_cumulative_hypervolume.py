"""Hypervolume of every beginning of a sequence of points."""

from __future__ import annotations

import moocore
import numpy as np
import pytest

from hwgpt_blackbox.experiments.results.cumulative_hypervolume import cumulative


def beginnings(points, at):
    return [moocore.hypervolume(points[:n], ref=[1.1] * points.shape[1]) for n in at]


@pytest.mark.parametrize("m", [2, 3, 4])
@pytest.mark.parametrize("digits", [1, 2, 9])  # few digits: many equal coordinates
def test_every_beginning(m, digits):
    points = np.random.default_rng(m).uniform(-0.2, 1.3, size=(150, m)).round(digits)
    points.setflags(write=False)
    found = cumulative(points, 1.1)
    expected = beginnings(points, range(1, len(points) + 1))
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)
    assert (np.diff(found) >= 0).all()


def sphere(n):
    """Points of which none dominates another, in random order, shape (n, 3)."""
    directions = np.abs(np.random.default_rng(0).normal(size=(n, 3)))
    return 1 - directions / np.linalg.norm(directions, axis=1, keepdims=True)


SEQUENCES = {
    "none dominated": sphere(5000),
    "sorted": sphere(5000)[np.argsort(sphere(5000)[:, 1])],
    "each dominates all before": np.linspace(1, 0, 5000)[:, None] * np.ones(3),
    "better in one objective only": np.column_stack(
        [np.full((5000, 2), 0.5), np.arange(5000, 0, -1) / 5000]
    ),
    "a front that advances": sphere(5000) * np.linspace(1.2, 0.9, 5000)[:, None],
    "two objectives that agree": np.column_stack([np.arange(3000), *2 * [np.arange(3000, 0, -1)]])
    / 3000,
}


@pytest.mark.parametrize("name", list(SEQUENCES))
def test_sequences_of_several_chunks(name):
    points = SEQUENCES[name]
    at = [1, 2, 100, 2047, 2048, 2049, 2500, len(points)]
    found = cumulative(points, 1.1)[np.array(at) - 1]
    np.testing.assert_allclose(found, beginnings(points, at), rtol=1e-10)


def test_points_that_add_nothing():
    assert cumulative(np.empty((0, 3)), 1.1).shape == (0,)
    assert cumulative(np.array([[1.1, 0.0], [2.0, 3.0]]), 1.1).tolist() == [0.0, 0.0]
    found = cumulative(np.array([[0.1, 0.1], [2.0, 0.0], [0.1, 0.1], [0.2, 0.1]]), 1.1)
    assert found.tolist() == pytest.approx([1.0] * 4)
    assert len(set(found.tolist())) == 1
