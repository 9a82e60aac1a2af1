"""Ours beside the paper's families, trained and judged on the same split: rows of a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.conversion import read_measurements
from hwgpt_blackbox.convert.fitting.expected_value import Regression, make_folds
from hwgpt_blackbox.convert.fitting.features import Architectures, Array
from hwgpt_blackbox.convert.fitting.noise_tables import quantile_levels
from hwgpt_blackbox.convert.fitting.whole_space import fit_least_squares, fit_noisy, noisy_targets
from hwgpt_blackbox.convert.judging.cards.card import plain_row
from hwgpt_blackbox.convert.judging.cards.file import to_json
from hwgpt_blackbox.convert.judging.families import FAMILIES, Prediction, RegressionTask
from hwgpt_blackbox.convert.judging.holdouts import Split
from hwgpt_blackbox.convert.judging.measures import (
    COVERAGES,
    crps,
    distribution_measures,
    evaluate,
    location_measures,
    pit,
    predictor_of,
)
from hwgpt_blackbox.convert.progress import Progress, progress_bar, silent
from hwgpt_blackbox.convert.source.autogluon_predictors import natural_features
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import NOISY
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import InputError, OutputError, unknown
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage.atomic_writes import terminate_as_exit, write_file, writing

OURS, FLOOR = "structured (ours)", "least squares"
"""Rows of the table besides the families."""

PAPER_SPLIT = Split("random", 42)
"""80/20, random_state 42."""

_POINT = ("mae", "rmse", "medae", "r2", "kendall_tau")
_DISTRIBUTION = (
    "crps_over_mean",
    "miscalibration_area",
    *(f"coverage_{100 * coverage:g}" for coverage in COVERAGES),
    "share_non_positive",
)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class ComparisonSettings:
    """What is compared.

    :param families: of ``FAMILIES``
    :param targets: ``latency@a100`` …
    :param time_limit: seconds for AutoGluon per predictor
    :raises InputError: unknown family or target, or a time limit that is not positive
    :raises MissingExtraError: a family's library is not installed
    """

    families: Sequence[str]
    targets: Sequence[str]
    time_limit: float = 60.0

    def __post_init__(self) -> None:
        for family in self.families:
            if family not in FAMILIES:
                raise unknown("family", family, FAMILIES)
            FAMILIES[family].require()
        known = [f"{metric}@{device}" for metric in NOISY for device in DEVICES]
        for target in self.targets:
            if target not in known:
                raise unknown("target", target, known)
        if not 0 < self.time_limit < float("inf"):
            raise InputError(f"time limit is {self.time_limit!r}; expected seconds, above 0")


def compare_families(
    source: str | Path,
    space: str,
    comparison: ComparisonSettings,
    folder: Path,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> tuple[Path, dict[str, Any]]:
    """Train families and our models on 80 % of the architectures, and judge them on the rest.

    :param source: root of a checkout of HW-GPT-Bench
    :param space: ``s``, ``m`` or ``l``
    :param folder: where ``comparison-<space>.json`` is written
    :param overwrite: replace that file
    :return: the file, and what it holds: ``space``, ``split``, ``seed``, and under ``rows`` the
        table, see :func:`compare`
    :raises OutputError: the file exists, or cannot be written
    """
    row = get_space(space, measured=True)
    path = folder / f"comparison-{row.name}.json"
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; replace it with --overwrite, or choose another --out")
    with terminate_as_exit(), progress_bar(progress) as steps:
        data = read_measurements(Checkout(source, row, steps))
        rows = compare(data, comparison, progress=steps)
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
            split = {"split": PAPER_SPLIT.kind, "seed": PAPER_SPLIT.seed}
            report = {"space": row.name, **split, "rows": rows}
            write_file(path, to_json(report) + "\n")
    return path, report


def compare(
    data: Measurements, comparison: ComparisonSettings, *, progress: Progress = silent
) -> Rows:
    """For each target: our model, plain least squares, and every family, judged on the same rows.

    :return: rows of ``target``, ``family``, ``seconds`` to fit and predict, and measures
    """
    learn, test = PAPER_SPLIT.rows(len(data))
    rows: Rows = []
    for target in comparison.targets:
        progress(f"{target}: {OURS}")
        rows += _ours(data, target, learn, test)
        rows += _families(data, target, comparison, PAPER_SPLIT, progress)
    return rows


def compare_on_section(
    section: Mapping[str, Any],
    name: str,
    data: Measurements,
    comparison: ComparisonSettings,
    progress: Progress,
) -> dict[str, Any]:
    """An artifact's models and the families, on the split of a section of its report card.

    :param name: how the artifact's models are called
    :return: ``split``, ``seed`` and ``rows`` as of :func:`compare`, for a card
    """
    split = Split(section["split"], section["seed"])
    rows: Rows = []
    for target in comparison.targets:
        known = section["targets"].get(target, {})
        mine = {key: known[key] for key in (*_POINT, *_DISTRIBUTION) if key in known}
        plain = {key: known.get(f"{key}_least_squares") for key in _POINT}
        rows += [{"target": target, "family": name, **mine}] if mine else []
        rows += [{"target": target, "family": FLOOR, **plain}] if mine else []
        rows += _families(data, target, comparison, split, progress)
    return {"split": split.kind, "seed": split.seed, "rows": rows}


def _families(
    data: Measurements,
    target: str,
    comparison: ComparisonSettings,
    split: Split,
    progress: Progress,
) -> Rows:
    """A row for each family on one target."""
    learn, test = split.rows(len(data))
    x, y = natural_features(data.space, data.matrix), noisy_targets(data)[target]
    task = RegressionTask(x[learn], y[learn], x[test], comparison.time_limit)
    rows = []
    for family in comparison.families:
        progress(f"{target}: {family}")
        begin = time.perf_counter()
        predicted = FAMILIES[family](task)
        row = {"target": target, "family": family, "seconds": time.perf_counter() - begin}
        rows.append(plain_row(row | prediction_measures(y[test], predicted)))
    return rows


def _ours(data: Measurements, target: str, learn: NDArray[np.intp], test: NDArray[np.intp]) -> Rows:
    """Our model of one target, and plain least squares."""
    y, begin, levels = noisy_targets(data)[target], time.perf_counter(), quantile_levels()
    sample, held = (Architectures(data.space, data.matrix[rows]) for rows in (learn, test))
    regression = Regression(sample, learn)
    model, _ = fit_noisy(regression, make_folds(regression), y[learn], len(data), levels)
    ours = {"target": target, "family": OURS, "seconds": time.perf_counter() - begin}
    surrogate = Surrogate(data.space, {target: model}, levels, {})
    found = evaluate(surrogate, held, {}, {target: y[test]})[target]
    begin = time.perf_counter()
    plain = {target: fit_least_squares(sample, y[learn].mean(axis=1))}
    predictor = predictor_of(Surrogate(data.space, plain, levels, {}), [target])
    floor = {"target": target, "family": FLOOR, "seconds": time.perf_counter() - begin}
    return [
        plain_row(ours | {key: found[key] for key in (*_POINT, *_DISTRIBUTION)}),
        plain_row(
            floor | prediction_measures(y[test], Prediction(predictor.expected(held.matrix)[:, 0]))
        ),
    ]


def prediction_measures(measured: Array, predicted: Prediction) -> dict[str, float]:
    """Measures of predictions; calibration and sharpness too where they are distributions.

    :param measured: shape (n, repeats)
    :return: MAE, RMSE, median absolute error (ms or Wh), R² and Kendall's tau, of the means of the
        repeats; CRPS over the mean, miscalibration area, coverages, and the share of the predicted
        distributions that is not positive
    """
    found = location_measures(measured.mean(axis=1), predicted.mean)
    out = {key: found[key] for key in _POINT}
    if predicted.levels is None or predicted.quantiles is None:
        return out
    score, level = np.empty_like(measured), np.empty_like(measured)
    below = np.empty(len(measured))
    for i, table in enumerate(predicted.quantiles):
        score[i] = crps(measured[i], predicted.levels, table)
        level[i] = pit(measured[i], predicted.levels, table)
        below[i] = 0.0 if table[0] > 0 else pit(np.zeros(1), predicted.levels, table)[0]
    return out | distribution_measures(measured, score, level, below)
