"""Ours beside the paper's families, trained and judged on the same split: a table.

The split is the paper's, 80/20 with ``random_state=42``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.autogluon_source import natural_features
from hwgpt_blackbox.convert.conversion import progress_bar, read_measurements
from hwgpt_blackbox.convert.design import Array, Sample
from hwgpt_blackbox.convert.evaluation import (
    crps,
    evaluate,
    location_measures,
    miscalibration_area,
    pit,
    random_split,
)
from hwgpt_blackbox.convert.families import FAMILIES, Prediction, Task
from hwgpt_blackbox.convert.fit import fit_least_squares, fit_noisy, noisy_targets
from hwgpt_blackbox.convert.layout import Checkout
from hwgpt_blackbox.convert.location import Problem, make_folds
from hwgpt_blackbox.convert.measurements import Measurements
from hwgpt_blackbox.convert.output import terminate_as_exit, writing
from hwgpt_blackbox.convert.ratios import quantile_levels
from hwgpt_blackbox.errors import OutputError, unknown
from hwgpt_blackbox.metrics import Column
from hwgpt_blackbox.predictor import Predictor
from hwgpt_blackbox.spaces import get_space
from hwgpt_blackbox.surrogate import Surrogate

OURS, FLOOR = "structured (ours)", "least squares"
"""Rows of the table besides the families."""

_POINT = ("mae", "rmse", "r2", "kendall_tau")
_DISTRIBUTION = ("crps_over_mean", "miscalibration_area")


def compare_families(
    source: str | Path,
    space: str,
    families: Sequence[str],
    targets: Sequence[str],
    folder: Path,
    *,
    time_limit: float = 60.0,
    overwrite: bool = False,
    progress: bool = True,
) -> tuple[Path, list[dict[str, Any]]]:
    """Train families and our models on 80 % of the architectures, and judge them on the rest.

    :param source: root of a checkout of HW-GPT-Bench
    :param space: ``s``, ``m`` or ``l``
    :param families: of ``FAMILIES``
    :param targets: ``latency@a100`` …
    :param folder: where ``comparison-<space>.json`` is written
    :param time_limit: seconds for AutoGluon per predictor
    :param overwrite: replace that file
    :return: the file, and the rows of the table, see :func:`compare`
    :raises InputError: unknown family or target
    :raises OutputError: the file exists, or cannot be written
    :raises MissingExtraError: a family's library is not installed
    """
    row = get_space(space, measured=True)
    for family in families:
        if family not in FAMILIES:
            raise unknown("family", family, FAMILIES)
    path = folder / f"comparison-{row.name}.json"
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; replace it with --overwrite, or choose another --out")
    with terminate_as_exit(), progress_bar(progress) as say:
        data = read_measurements(Checkout(source, row, say))
        rows = compare(data, families, targets, time_limit=time_limit, progress=say)
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            report = {"space": row.name, "split": "80/20, random_state 42", "rows": rows}
            path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return path, rows


def compare(
    data: Measurements,
    families: Sequence[str],
    targets: Sequence[str],
    *,
    time_limit: float = 60.0,
    progress: Callable[[str], None] | None = None,
) -> list[dict[str, Any]]:
    """Rows of the comparison: target, family, seconds to fit and predict, and :func:`judge`.

    :raises InputError: unknown target
    """
    say = progress or (lambda step: None)
    known = noisy_targets(data)
    for target in targets:
        if target not in known:
            raise unknown("target", target, known)
    learn, test = random_split(len(data))
    x = natural_features(data.space, data.matrix)
    rows = []
    for target in targets:
        y = known[target]
        say(f"{target}: {OURS}")
        rows += _ours(data, target, y, learn, test)
        task = Task(x[learn], y[learn], x[test], time_limit)
        for family in families:
            say(f"{target}: {family}")
            begin = time.perf_counter()
            predicted = FAMILIES[family](task)
            row = {"target": target, "family": family, "seconds": time.perf_counter() - begin}
            rows.append(row | judge(y[test], predicted))
    return rows


def _ours(
    data: Measurements, target: str, y: Array, learn: NDArray[np.intp], test: NDArray[np.intp]
) -> list[dict[str, Any]]:
    """Our model of one target, and the least squares that DESIGN.md calls the floor."""
    begin, levels = time.perf_counter(), quantile_levels()
    sample, held = (Sample(data.space, data.matrix[rows]) for rows in (learn, test))
    problem = Problem(sample, learn)
    model, _ = fit_noisy(problem, make_folds(problem), y[learn], len(data), levels)
    ours = {"target": target, "family": OURS, "seconds": time.perf_counter() - begin}
    surrogate = Surrogate(data.space, {target: model}, levels, {})
    found = evaluate(surrogate, held, {}, {target: y[test]})[target]
    begin = time.perf_counter()
    plain = {target: fit_least_squares(sample, y[learn].mean(axis=1))}
    predictor = Predictor(Surrogate(data.space, plain, levels, {}), [Column(*target.split("@"))])
    floor = {"target": target, "family": FLOOR, "seconds": time.perf_counter() - begin}
    return [
        ours | {key: found[key] for key in (*_POINT, *_DISTRIBUTION)},
        floor | judge(y[test], Prediction(predictor.expected(held.matrix)[:, 0])),
    ]


def judge(measured: Array, predicted: Prediction) -> dict[str, float]:
    """MAE, RMSE (ms or Wh), R² and Kendall's tau; of distributions CRPS over mean and area too.

    :param measured: shape (n, repeats)
    """
    found = location_measures(measured.mean(axis=1), predicted.mean)
    out = {key: found[key] for key in _POINT}
    if predicted.levels is None or predicted.quantiles is None:
        return out
    score, level = np.empty_like(measured), np.empty_like(measured)
    for i, table in enumerate(predicted.quantiles):
        score[i] = crps(measured[i], predicted.levels, table)
        level[i] = pit(measured[i], predicted.levels, table)
    return out | {
        "crps_over_mean": float(score.mean() / measured.mean()),
        "miscalibration_area": miscalibration_area(level),
    }


def shown(rows: Sequence[dict[str, Any]]) -> str:
    """The table as text."""
    titles = ("MAE", "RMSE", "R2", "tau", "CRPS/mean", "area")
    lines = [f"{'target':24}{'family':20}" + "".join(f"{t:>11}" for t in titles) + f"{'s':>9}"]
    for row in rows:
        cells = [row.get(key) for key in (*_POINT, *_DISTRIBUTION)]
        text = "".join(f"{'-' if value is None else format(value, '.4g'):>11}" for value in cells)
        lines.append(f"{row['target']:24}{row['family']:20}{text}{row['seconds']:>9.1f}")
    return "\n".join(lines)
