"""Every model of what a user measured: of a device, or of a space of their own. One way for both.

Few architectures are the rule here, so that every metric is fitted by
:mod:`hwgpt_blackbox.convert.fitting.few_architectures`, on those of which it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from hwgpt_blackbox.convert.fitting.expected_value import (
    FOLDS,
    MIN_CELL,
    WITHOUT_DRIFT,
    Regression,
    make_folds,
)
from hwgpt_blackbox.convert.fitting.features import Architectures, Array, perplexity_features
from hwgpt_blackbox.convert.fitting.few_architectures import fit_few
from hwgpt_blackbox.convert.fitting.noise_tables import quantile_levels
from hwgpt_blackbox.convert.fitting.repeat_dependence import with_dependence
from hwgpt_blackbox.convert.fitting.repeat_positions import with_positions
from hwgpt_blackbox.convert.fitting.whole_space import MIN_PERPLEXITIES, fit_perplexity
from hwgpt_blackbox.convert.judging.cards.card import plain_row
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate

WITH_LAYERS = ("perplexity", "error")
"""Metrics of which the effects of single layers are tried: hardware has next to none."""

LAYERS_SHARE = 4
"""They are tried if every width has at least one architecture for this many effects: with fewer
architectures they cost time and do not help."""


def enough(data: UserMeasurements, target: str, least: int = MIN_CELL) -> bool:
    """Whether a target was measured on enough architectures to fit it.

    :param least: architectures that each embed_dim needs, with and without bias
    """
    sample = Architectures(data.space, data.matrix[data.rows_of(target)])
    return bool(np.bincount(sample.cell, minlength=sample.cells).min() >= least)


def fit_user(
    data: UserMeasurements, *, progress: Progress = silent, least: int = MIN_CELL
) -> tuple[Surrogate, dict[str, Any]]:
    """Models of all targets that were measured, and their cross-validated errors.

    :param least: architectures that each embed_dim needs, with and without bias
    :return: a surrogate of these targets alone, and by target design, drift and measures
    :raises DataError: too few architectures
    """
    levels = quantile_levels()
    models: dict[str, AdditiveModel] = {}
    report: dict[str, Any] = {}
    for target in data.values:
        progress(target)
        rows = data.rows_of(target)
        sample, repeats = Architectures(data.space, data.matrix[rows]), data.values[target][rows]
        if len(rows) < sample.cells * least:
            raise DataError(
                f"{target}: only {len(rows)} architectures; a fit needs {sample.cells * least}, "
                f"{least} for each embed_dim with and without bias, and 500 are advised: measure "
                "more"
            )
        try:
            if target in data.noisy:
                model, choice, features = fit_few(sample, repeats, levels, least=least)
                report[target] = {
                    "architectures": len(rows),
                    "repeats": repeats.shape[1],
                    "design": str(choice.fit.design),
                    "features_per_embed_dim": features,
                    "drift_window": 2 * choice.fit.drift.half,
                    "drift_by_embed_dim": choice.fit.drift.by_embed,
                }
                unseen = choice.out_of_fold
            else:
                model, report[target], unseen = _fit_exact(target, sample, repeats, levels, least)
        except DataError as error:
            raise DataError(f"{target}: {error}") from None
        models[target] = model
        report[target]["cross_validated"] = plain_row(
            location_measures(repeats.mean(axis=1), unseen)
        )
    surrogate = Surrogate(data.space, models, levels, {})
    if data.noisy:
        progress("dependence of measurements")
        for device in data.order:
            surrogate = _with_dependence(surrogate, data, device)
    for target in data.noisy:
        report[target]["dependence"] = asdict(surrogate.models[target].dependence)
        report[target]["positions_matter"] = surrogate.models[target].positions is not None
    return surrogate, report


def _fit_exact(
    target: str, sample: Architectures, values: Array, levels: Array, least: int
) -> tuple[AdditiveModel, dict[str, Any], Array]:
    """Model of a metric without noise, what to say of it, and predictions out of fold.

    :param values: shape (n, 1)
    """
    model, choice, features = fit_few(sample, values, levels, least=least, designs=WITHOUT_DRIFT)
    about: dict[str, Any] = {
        "architectures": len(sample),
        "design": str(choice.fit.design),
        "features_per_embed_dim": features,
    }
    unseen, measured = choice.out_of_fold, values[:, 0]
    fewest = int(np.bincount(sample.embed, minlength=len(sample.space.embed_dims)).min())
    of_layers = perplexity_features(sample.inputs(np.arange(1))).values.shape[1]
    least_of_width = max(MIN_PERPLEXITIES * FOLDS // (FOLDS - 1) + 1, of_layers // LAYERS_SHARE)
    if target in WITH_LAYERS and fewest >= least_of_width:
        layered = np.empty(len(sample))
        for fold in make_folds(Regression(sample, np.arange(len(sample))), by_cell=True):
            part = fit_perplexity(fold.rest.sample, measured[fold.rest_rows])
            surrogate = Surrogate(sample.space, {target: part}, levels, {})
            layered[fold.own_rows] = predictor_of(surrogate, [target]).expected(
                fold.own.sample.matrix
            )[:, 0]
        if np.abs(layered - measured).mean() < np.abs(unseen - measured).mean():
            about = {"architectures": len(sample), "design": "log, effects of every layer"}
            return fit_perplexity(sample, measured), about, layered
    return replace(model, ratio=None), about, unseen


def _with_dependence(surrogate: Surrogate, data: UserMeasurements, device: str) -> Surrogate:
    """The surrogate with how a device's repeats depend on one another and on their position.

    It is estimated from the architectures of which all its metrics were measured.
    """
    noisy: Mapping[str, Array] = {
        target: v for target, v in data.noisy.items() if target.endswith(f"@{device}")
    }
    known = np.all([~np.isnan(v[:, 0]) for v in noisy.values()], axis=0)
    if not known.any():
        return surrogate
    matrix = data.matrix[known]
    values = predictor_of(surrogate, noisy).expected(matrix)
    expected = {target: values[:, j] for j, target in enumerate(noisy)}
    together = {target: v[known] for target, v in noisy.items()}
    surrogate = with_dependence(surrogate, matrix, expected, together)
    return with_positions(surrogate, Architectures(data.space, matrix), expected, together)
