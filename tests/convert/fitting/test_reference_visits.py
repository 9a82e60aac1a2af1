"""Drift from visits of a reference architecture, and what it is worth to a fit."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from measurement_sets import write_set

import hwgpt_blackbox
from hwgpt_blackbox.convert.fitting.reference_visits import LEAST_VISITS, drift_curve
from hwgpt_blackbox.convert.fitting.user_models import fit_user
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.source.set_reader import read_set
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.profiling.design import design, reference_architecture

NOISE = 0.01


def visited(drift: Callable[[np.ndarray], np.ndarray], visits: int = 30, seed: int = 0):
    """Repeats, reference and seconds of visits, every third of the reference architecture."""
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.uniform(0.0, 600.0, 3 * visits))
    reference = np.arange(3 * visits) % 3 == 0
    sizes = np.where(reference, 1.0, rng.uniform(0.5, 2.0, 3 * visits))
    logs = np.log(sizes) + drift(seconds / 600.0)
    return np.exp(logs[:, None] + NOISE * rng.standard_normal((3 * visits, 1))), reference, seconds


def test_a_steady_machine_has_no_drift() -> None:
    found = [drift_curve(*visited(lambda t: 0.0 * t, seed=seed)) for seed in range(20)]
    changes = [curve.change for curve in found if curve is not None]
    assert len(changes) == 20 and np.median(changes) == 0.0 and max(changes) < 3 * NOISE


@pytest.mark.parametrize(
    "drift",
    [lambda t: 0.2 * t, lambda t: 0.1 * np.sin(4 * t), lambda t: 0.15 * (t > 0.4)],
    ids=["ramp", "wave", "step"],
)
def test_drift_is_found_at_all_times(drift: Callable[[np.ndarray], np.ndarray]) -> None:
    repeats, reference, seconds = visited(drift)
    curve = drift_curve(repeats, reference, seconds)
    assert curve is not None
    true = drift(seconds / 600.0)
    error = curve.at(seconds) - (true - true.mean())
    assert np.median(np.abs(error)) < NOISE
    assert curve.change == pytest.approx(np.exp(np.ptp(true)) - 1.0, abs=0.05)


def test_too_few_visits_have_no_drift() -> None:
    repeats, reference, seconds = visited(lambda t: t)
    few = reference & (np.cumsum(reference) < LEAST_VISITS)
    assert drift_curve(repeats, few, seconds) is None


def test_visits_without_a_measurement_are_left_out() -> None:
    repeats, reference, seconds = visited(lambda t: 0.2 * t)
    repeats[reference.nonzero()[0][3]] = np.nan
    curve = drift_curve(repeats, reference, seconds)
    assert curve is not None and np.isfinite(curve.log_factor).all()
    assert len(curve.seconds) == reference.sum() - 1


def test_a_pause_of_a_night_does_not_smear_a_step() -> None:
    repeats, reference, seconds = visited(lambda t: 0.3 * (t > 0.5))
    seconds = seconds + np.where(seconds > 300.0, 40_000.0, 0.0)
    curve = drift_curve(repeats, reference, seconds)
    assert curve is not None
    rows = np.r_[np.flatnonzero(seconds < 300.0)[:-3], np.flatnonzero(seconds > 300.0)[3:]]
    step = curve.at(seconds)[rows]
    assert np.ptp(step[seconds[rows] < 300.0]) < 3 * NOISE
    assert np.ptp(step[seconds[rows] > 300.0]) < 3 * NOISE


@pytest.mark.parametrize(
    "drift",
    [lambda t: 0.15 * np.sin(8.0 * t), lambda t: 0.15 * (t > 0.45)],
    ids=["wave", "step"],
)
def test_a_published_device_that_drifts_is_fitted_better_with_visits_of_a_reference(
    tmp_path: Path, drift: Callable[[np.ndarray], np.ndarray]
) -> None:
    device = hwgpt_blackbox.load("s", "rtx3080")
    space, column = SPACES["s"], device.objectives_names.index("metric_latency")
    rows = np.array(list(islice(design(space, 0), 72)))
    rows = rows[np.random.default_rng(0).permutation(len(rows))]
    reference = reference_architecture(space)
    order = [row for i, own in enumerate(rows) for row in ([reference] * (i % 6 == 0) + [own])]
    matrix = np.array([*order, reference])
    is_reference = (matrix == reference).all(axis=1)
    times = np.arange(len(matrix)) / len(matrix)
    table = pd.DataFrame(device.encoding.decode(matrix))
    for k in range(5):
        values = np.array(
            [
                device.measurements(row[None], seed=10 * i + k)[0, column]
                for i, row in enumerate(matrix)
            ]
        )
        table[f"latency_{k}"] = values * np.exp(drift(times))
    table["reference"], table["seconds"] = is_reference.astype(int), 600.0 * times
    without = table[~is_reference].drop(columns=["reference", "seconds"])
    folders = [
        write_set(tmp_path / name, {"mine": rows}, space)
        for name, rows in (("with", table), ("without", without))
    ]
    test = device.encoding.sample(1000, np.random.default_rng(9))
    truth = device.expected_values(test)[:, column]
    errors, taus = [], []
    for folder in folders:
        surrogate, _ = fit_user(read_set(folder))
        predicted = predictor_of(surrogate, ["latency@mine"]).expected(test)[:, 0]
        # The level is that of the mean state; what is compared is the effects.
        found = location_measures(truth, predicted * (truth / predicted).mean())
        errors.append(found["mae"])
        taus.append(found["kendall_tau"])
    assert errors[0] < 0.5 * errors[1] and taus[0] > taus[1] + 0.02
