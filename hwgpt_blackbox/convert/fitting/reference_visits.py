"""Drift from the visits of a reference architecture: what changed there was the machine.

The log of what a visit measured is smoothed over time, as a random walk seen with noise, and
interpolated linearly between visits. How smooth it is, is chosen by leaving each visit out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array

LEAST_VISITS = 4
"""With fewer visits no drift is estimated."""

PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, np.inf)
"""Penalties of the squared step between neighbouring visits to choose from; the last: no drift."""

NO_DRIFT_BONUS = 0.95
"""Drift must lower the error of visits that are left out by more than this factor."""


@dataclass(frozen=True)
class DriftCurve:
    """How a machine changed while it was profiled.

    :param seconds: of the visits of the reference architecture, ascending, shape (visits,)
    :param measured: log of what they measured, relative to the mean of the curve
    :param log_factor: the curve at these times
    """

    seconds: Array
    measured: Array
    log_factor: Array

    def at(self, seconds: Array) -> Array:
        """Log of the factor by which measurements at some times are larger, shape (n,)."""
        return np.interp(seconds, self.seconds, self.log_factor)

    @property
    def change(self) -> float:
        """Largest over smallest factor, less 1."""
        return float(np.exp(np.ptp(self.log_factor)) - 1.0)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: factors of what was measured and of the curve, and the change."""
        return {
            "seconds": [round(float(value), 3) for value in self.seconds],
            "measured": [float(f"{value:.6g}") for value in np.exp(self.measured)],
            "factor": [float(f"{value:.6g}") for value in np.exp(self.log_factor)],
            "change": float(f"{self.change:.6g}"),
        }


def drift_curve(repeats: Array, reference: NDArray[np.bool_], seconds: Array) -> DriftCurve | None:
    """The drift of one metric; None: too few visits of the reference architecture.

    :param repeats: measurements of all visits, shape (n, r), positive; rows of NaN where it was not
        measured
    :param reference: which visits are of the reference architecture, shape (n,)
    :param seconds: of all visits, shape (n,)
    """
    known = np.isfinite(repeats).all(axis=1) & (repeats > 0.0).all(axis=1)
    rows = np.flatnonzero(reference & known)
    if len(rows) < LEAST_VISITS:
        return None
    rows = rows[np.argsort(seconds[rows], kind="stable")]
    times = seconds[rows]
    logs = np.log(np.median(repeats[rows], axis=1))
    smooth = _smoothed(logs, times)
    middle = float(np.interp(seconds[known], times, smooth).mean())
    return DriftCurve(times, logs - middle, smooth - middle)


def _smoothed(logs: Array, times: Array) -> Array:
    """The random walk with the smallest squared error where visits are left out."""
    steps = np.maximum(np.diff(times), 1e-9)
    weights = np.median(steps) / steps
    n = len(logs)
    difference = np.diff(np.eye(n), axis=0)
    walk = difference.T @ (weights[:, None] * difference)
    found: list[tuple[float, Array]] = []
    for penalty in PENALTIES:
        hat = (
            np.linalg.inv(np.eye(n) + penalty * walk)
            if np.isfinite(penalty)
            else np.full((n, n), 1.0 / n)
        )
        smooth = hat @ logs
        left_out = (logs - smooth) / (1.0 - np.diag(hat))
        found.append((float((left_out**2).mean()), smooth))
    found[-1] = (found[-1][0] * NO_DRIFT_BONUS, found[-1][1])
    return min(found, key=lambda row: row[0])[1]
