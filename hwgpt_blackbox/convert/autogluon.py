"""Published AutoGluon predictors, distilled into a compact surrogate of ours.

A predictor is a folder ``gpt_<metric>_<space>_<device>[_log]`` with ``Predictor_Target_Avg`` and
``Predictor_Target_Std``: the mean of a metric, and (the logarithm of) its standard deviation.
Loading one executes pickles, so it needs the user's consent. Everything else that a surrogate
answers is taken from the artifact in use.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from hwgpt_blackbox.convert.build import building
from hwgpt_blackbox.convert.conversion import SOURCE, read_measurements
from hwgpt_blackbox.convert.fitting.expected_value import (
    FitDesign,
    Regression,
    choose_design,
    make_folds,
)
from hwgpt_blackbox.convert.fitting.features import Architectures, Array
from hwgpt_blackbox.convert.fitting.noise_tables import with_unit_mean
from hwgpt_blackbox.convert.fitting.whole_space import is_positive, tables_of, write_space
from hwgpt_blackbox.convert.judging.cards.card import plain_row
from hwgpt_blackbox.convert.judging.cards.file import add_report
from hwgpt_blackbox.convert.judging.holdouts import DEFAULT_SPLITS, as_published
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.source.autogluon_predictors import (
    Predict,
    find_predictors,
    load_predictor,
    require_autogluon,
)
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.surrogates import read_surrogate

SAMPLE_SIZE, TEST_SIZE, SEED = 4_000, 1_000, 0
"""Uniform architectures to learn from, and to judge the distilled model by, and their seed."""

DESIGNS = (FitDesign("identity", False, False), FitDesign("log", False, False))
"""Predictions have neither outliers nor drift."""

SCALES = tuple(1000.0**k for k in (-2, -1, 0, 1, 2))
"""Factors to ms or Wh: the published predictors are of values times 1,000, latencies of µs."""

MAX_GAP = 2.0
"""Factor between predictions, brought to ms or Wh, and measurements beyond which the unit is
another one: joules are 3.6 from a power of 1,000."""

SMALLEST_RATIO = 0.05
"""A Gaussian's draws are cut here, over the mean: ours are positive."""


def convert_autogluon(
    source: str | Path,
    space: str,
    out: str | Path | None = None,
    *,
    trust_pickles: bool,
    overwrite: bool = False,
    progress: bool = True,
    report: bool = False,
) -> Path:
    """Distil published AutoGluon predictors into the artifact ``hwgpt-<space>-autogluon``.

    :param source: folder of the predictors, or root of a checkout that has them
    :param space: ``s``, ``m`` or ``l``
    :param out: folder of the artifacts; default: where they are looked for
    :param trust_pickles: the user's consent: AutoGluon executes whatever the pickles say
    :param overwrite: replace an artifact that exists
    :param progress: show a progress bar on standard error
    :param report: compute the report card and store it; the source must be a checkout with its
        measurements
    :return: folder of the artifact
    :raises InputError: no consent, unknown space, or no checkout for the report
    :raises MissingExtraError: AutoGluon is not installed
    :raises DataError: there is no predictor of the space, or one cannot be used
    :raises OutputError: the artifact exists, or cannot be written
    """
    row = get_space(space, measured=True)
    if trust_pickles is not True:
        raise InputError(
            "AutoGluon predictors are pickles: loading them executes whatever code they hold. If "
            "you trust where they come from, say so with --trust-pickles (trust_pickles=True)"
        )
    found = find_predictors(Path(source).expanduser(), row)
    version = require_autogluon()
    name = artifact_name(row.name, part="autogluon")
    base = read_surrogate(find(artifact_name(row.name)).path)
    with building([name], out, overwrite=overwrite, progress=progress) as build:
        data = read_measurements(Checkout(source, row, build.progress)) if report else None
        models, notes = dict(base.models), dict[str, Any]()
        for predictor in found:
            build.progress(predictor.target)
            predict = load_predictor(predictor, row)
            models[predictor.target], notes[predictor.target] = distil(
                predict, base, predictor.target, logarithmic=predictor.logarithmic or None
            )
        build.progress("reference fronts")
        origin = {
            **SOURCE,
            "predictors": {p.target: p.record() for p in found},
            "autogluon": version,
            "other_targets": dict(base.manifest.get("source", {})),
        }
        with build.folder(name) as path:
            surrogate = Surrogate(row, models, base.levels, {})
            surrogate = write_space(surrogate, path, name, {"distilled": notes}, origin)
        if data is not None:
            add_report(path, data, as_published(data, DEFAULT_SPLITS, surrogate, notes))
        return build.publish()[0]


def distil(
    predict: Predict, base: Surrogate, target: str, *, logarithmic: bool | None = None
) -> tuple[AdditiveModel, dict[str, Any]]:
    """A model of ours fitted to predictions on uniform architectures, and how near it comes.

    :param predict: mean and deviation in the predictor's own units
    :param base: tells the unit
    :param target: ``latency@a100``
    :param logarithmic: whether the deviation is a logarithm; None: as fits the mean better
    :raises DataError: the predictions are not positive and finite
    """
    space, encoding = base.space, Encoding(base.space)
    matrix = encoding.sample(SAMPLE_SIZE + TEST_SIZE, np.random.default_rng(SEED))
    mean, deviation = predict(matrix)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all() and (mean > 0).all()):
        raise DataError(f"{target}: predictions are not positive and finite; smallest {mean.min()}")
    expected = predictor_of(base, [target]).expected(matrix)[:, 0]
    gap = np.log(float(np.median(expected / mean)))
    unit = min(SCALES, key=lambda factor: abs(np.log(factor) - gap))
    if abs(np.log(unit) - gap) > np.log(MAX_GAP):
        raise DataError(
            f"{target}: the median prediction is {np.median(mean):.4g}; expected about "
            f"{np.median(expected):.4g} {METRICS[target.partition('@')[0]].unit}, as measured, "
            "or that times a power of 1,000: its unit is none that is known (joules, say)"
        )
    variation, logarithmic = _variation(mean, deviation, logarithmic)
    learn, test = slice(0, SAMPLE_SIZE), slice(SAMPLE_SIZE, None)
    sample = Architectures(space, matrix[learn])
    regression = Regression(sample, np.arange(SAMPLE_SIZE))

    values = (mean * unit)[learn, None]
    choice = choose_design(
        regression, values, make_folds(regression), lambda fit: is_positive(fit, space), DESIGNS
    )
    cell, cells = Architectures(space, matrix).cell, sample.cells
    tables = np.stack(
        [_gaussian(base.levels, float(np.median(variation[cell == c]))) for c in range(cells)]
    )
    ratio = with_unit_mean(tables, base.levels).reshape(-1, 1, 2, len(base.levels))
    known = base.models[target].dependence
    model = replace(tables_of(choice.fit, space), ratio=ratio, dependence=known)
    own = Surrogate(space, {target: model}, base.levels, {})
    predicted = predictor_of(own, [target]).expected(matrix[test])[:, 0]
    per_cell = np.array([np.median(variation[cell == c]) for c in range(cells)])[cell]
    return model, {
        "unit_factor": unit,
        "deviation_is_logarithmic": logarithmic,
        "sample_size": SAMPLE_SIZE,
        "seed": SEED,
        "design": str(choice.fit.design),
        "fidelity": plain_row(location_measures((mean * unit)[test], predicted)),
        "fidelity_of_deviation": {
            "median_variation": float(np.median(variation)),
            "median_log_error": float(np.median(np.abs(np.log(variation / per_cell)))),
        },
    }


def _variation(mean: Array, deviation: Array, logarithmic: bool | None) -> tuple[Array, bool]:
    """Coefficient of variation of each prediction, and whether the deviation was a logarithm.

    Deviations grow with the mean, so the right reading is the one whose ratio to it varies less.
    """
    as_log = np.exp(np.clip(deviation, -700.0, 700.0)) / mean
    plain = np.maximum(deviation / mean, 1e-9)
    if logarithmic is None:
        spread = [float(np.log(v).std()) for v in (as_log, plain)]
        logarithmic = spread[0] <= spread[1] or bool((deviation <= 0).any())
    return (as_log if logarithmic else plain), logarithmic


def _gaussian(levels: Array, variation: float) -> Array:
    """Quantiles of a Gaussian of mean 1, cut to positive values; ends as far out as their cells."""
    ends = np.clip(levels, levels[1] / 4.0, 1.0 - (1.0 - levels[-2]) / 4.0)
    z = np.array([NormalDist().inv_cdf(float(level)) for level in ends])
    return np.maximum(1.0 + min(variation, 1.0) * z, SMALLEST_RATIO)
