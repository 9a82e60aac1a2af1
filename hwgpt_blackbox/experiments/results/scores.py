"""From results to numbers: non-dominated architectures, hypervolume, the summary."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.errors import InputError, require
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.cumulative_hypervolume import cumulative
from hwgpt_blackbox.experiments.results.files import write_atomically
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.runs import SIMULATED_TIME, RunSettings
from hwgpt_blackbox.models.ideal_and_nadir import REFERENCE_POINT
from hwgpt_blackbox.optimizers import METHODS

SECONDS_PER_HOUR = 3600.0
SUMMARY = "summary"


def nondominated(values: ArrayLike) -> NDArray[np.bool_]:
    """Which rows no other row dominates; of equal rows the first only.

    :param values: minimised, finite, shape (n, m)
    :return: shape (n,)
    :raises InputError: not a matrix of finite numbers
    """
    require("moocore", extra="analysis")
    from moocore import is_nondominated

    array = _finite_matrix(values)
    if not len(array):
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(is_nondominated(array), dtype=np.bool_)


def hypervolume(problem: Problem, values: ArrayLike) -> float:
    """Normalised hypervolume: ideal at 0, nadir at 1, reference point 1.1, divided by nothing.

    :param values: expected values in natural units, shape (n, number of objectives)
    :return: at least 0; above 1.1 to the number of objectives if values are better than the ideal
    :raises InputError: wrong shape, or values that are not finite
    """
    require("moocore", extra="analysis")
    import moocore

    points = _finite_matrix(problem.normalise(values))
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(points, ref=[REFERENCE_POINT] * points.shape[1]))


def cumulative_hypervolume(problem: Problem, values: ArrayLike) -> NDArray[np.float64]:
    """Normalised hypervolume of the first 1, 2, … rows.

    :param values: expected values in natural units, shape (n, number of objectives)
    :return: shape (n,), ascending
    :raises InputError: wrong shape, or values that are not finite
    """
    return cumulative(_finite_matrix(problem.normalise(values)), REFERENCE_POINT)


def _finite_matrix(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or not np.isfinite(array).all():
        raise InputError(
            f"values has shape {array.shape} or holds NaN or infinity; expected finite numbers, "
            "shape (n, objectives)"
        )
    return array


def by_method(stored: Sequence[StoredRun]) -> dict[str, list[StoredRun]]:
    """The runs of each method, methods sorted."""
    methods = sorted({result.run.method for result in stored})
    return {name: [r for r in stored if r.run.method == name] for name in methods}


DENOISED = "{} (denoised)"
"""Name of a method that selects by other values than it sees."""


def labelled(stored: Sequence[StoredRun]) -> list[StoredRun]:
    """The runs, with methods named as legends and tables name them.

    RE, NSGA2 and LS denoise what they see, so that they are not the published baselines: they are
    ``RE (denoised)`` and so on. Without noise they are the published ones and keep their names; of
    runs that see noise in some problems only, all have the same name.

    :param stored: runs that are shown together; those of Syne Tune's folders, which have no
        provenance, are named when they are read
    """
    denoised = {r.run.method for r in stored if r.provenance and _denoises(r.run)}

    def named(result: StoredRun) -> StoredRun:
        run = result.run
        if not (result.provenance and run.noise and run.method in denoised):
            return result
        return replace(result, run=replace(run, method=DENOISED.format(run.method)))

    return [named(result) for result in stored]


def _denoises(run: RunSettings) -> bool:
    """Whether a run selects by other values than it sees."""
    noisy = run.noise and any(METRICS[column.metric].noisy for column in run.problem.objectives)
    return noisy and run.method in METHODS and METHODS[run.method].denoises


def summarise(stored: Sequence[StoredRun]) -> pd.DataFrame:
    """One row per run.

    :param stored: runs whose frames have the expected objectives and the simulated time
    :return: columns ``problem``, ``method`` (as :func:`labelled` names it), ``seed``, ``trials``,
        ``workers``, ``hypervolume`` (normalised, of the expected values of all trials),
        ``simulated_hours`` (until the last trial ended)
    """
    rows: list[dict[str, Any]] = [
        {
            "problem": result.run.problem.name,
            "method": result.run.method,
            "seed": result.run.seed,
            "trials": result.run.trials,
            "workers": result.run.workers,
            "hypervolume": hypervolume(result.run.problem, result.expected),
            "simulated_hours": float(result.frame[SIMULATED_TIME].max()) / SECONDS_PER_HOUR,
        }
        for result in labelled(stored)
    ]
    table = pd.DataFrame(rows)
    return table.sort_values(["problem", "method", "seed"], ignore_index=True) if rows else table


def write_summary(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the summary as ``summary.csv`` and ``summary.json``.

    :param table: what :func:`summarise` returned
    :return: both files
    :raises OutputError: they cannot be written
    """
    document = {
        "reference_point": REFERENCE_POINT,
        "runs": json.loads(table.to_json(orient="records", double_precision=15)),
    }
    texts = {
        ".csv": table.to_csv(index=False),
        ".json": json.dumps(document, indent=1, allow_nan=False) + "\n",
    }
    paths = []
    for suffix, text in texts.items():
        path = folder / (SUMMARY + suffix)
        write_atomically(path, text)
        paths.append(path)
    return paths
