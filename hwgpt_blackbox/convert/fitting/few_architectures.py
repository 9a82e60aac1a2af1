"""Fitting a noisy metric from few architectures: the same structured models, on fewer features.

The designs of :mod:`hwgpt_blackbox.convert.fitting.expected_value` were made for thousands of
architectures; a hundred do not bear effects of single layers. Cross-validation chooses how many of
the features, in their order of importance, are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.expected_value import (
    DESIGNS,
    MIN_CELL,
    Choice,
    ExpectedValueFit,
    FitDesign,
    Regression,
    choose_design,
    make_folds,
)
from hwgpt_blackbox.convert.fitting.features import HEADS, MLP, Architectures, Array, Features
from hwgpt_blackbox.convert.fitting.noise_tables import align_folds, fit_ratios, supported_sizes
from hwgpt_blackbox.convert.fitting.whole_space import is_positive, tables_of
from hwgpt_blackbox.models.surrogate import AdditiveModel

MANY = 3_000
"""Architectures from which on all features are used without asking."""

SUPPORT = 5
"""Architectures that must have an outlier of a size for it to be believed."""

RIDGE = 0.05
"""Penalty of every effect, in architectures: what few of them do not determine stays zero."""


class NestedRegression(Regression):
    """A regression on the first blocks of the features only.

    :param sample: the architectures
    :param order: their positions while profiling, shape (n,)
    :param blocks: how many blocks of features are used
    """

    def __init__(self, sample: Architectures, order: NDArray[np.intp], blocks: int) -> None:
        super().__init__(sample, order)
        self.blocks = blocks
        self.full = self.features[0].values.shape[1]
        self.features = [_first(features, blocks) for features in self.features]
        ridge = np.diag(np.r_[0.0, np.full(self.features[0].values.shape[1] - 1, RIDGE)])
        self.grams = [f.values.T @ f.values + ridge for f in self.features]

    def take(self, rows: NDArray[np.intp]) -> NestedRegression:
        """The regression on some of the architectures."""
        return NestedRegression(self.sample.take(rows), self.order[rows], self.blocks)

    def complete(self, fit: ExpectedValueFit) -> ExpectedValueFit:
        """The fit with a weight for every feature, zero for those that were not used."""
        weights = [np.pad(w, (0, self.full - len(w))) for w in fit.weights]
        return replace(fit, weights=weights)


def _first(features: Features, blocks: int) -> Features:
    keep = features.block < blocks
    return Features(features.values[:, keep], features.block[keep], features.part[:blocks])


def block_counts(regression: Regression) -> list[int]:
    """Numbers of blocks to choose from: linear effects, effects equal in every layer, all."""
    part = regression.features[0].part
    shared = sum(name not in (MLP, HEADS) for name in part)
    return [len(part)] if len(regression) >= MANY else [1, shared, len(part)]


def fit_few(
    sample: Architectures,
    repeats: Array,
    levels: Array,
    *,
    least: int = MIN_CELL,
    designs: Sequence[FitDesign] = DESIGNS,
) -> tuple[AdditiveModel, Choice, int]:
    """Model of one noisy metric, how it was chosen, and the number of features per embed_dim.

    :param sample: architectures in profiling order
    :param repeats: measurements, shape (n, r), positive
    :param levels: levels of the noise tables
    :param least: architectures that an (embed_dim, bias) cell needs
    :param designs: to choose from
    :raises DataError: an (embed_dim, bias) cell has too few architectures
    """
    order, space = np.arange(len(sample)), sample.space
    found: list[tuple[float, NestedRegression, Choice]] = []
    for blocks in block_counts(Regression(sample, order)):
        regression = NestedRegression(sample, order, blocks)
        regression.check(least)

        def positive(fit: ExpectedValueFit, regression: NestedRegression = regression) -> bool:
            finite = bool(np.isfinite(fit.log_scale).all())
            return finite and is_positive(regression.complete(fit), space)

        with np.errstate(invalid="ignore"):  # of fits that are negative somewhere: not chosen
            folds = make_folds(regression, by_cell=True)
            choice = choose_design(regression, repeats, folds, positive, designs)
        found.append((choice.score, regression, choice))
    _, regression, choice = min(found, key=lambda row: row[0])
    fitted = choice.fit.predict(regression)
    unseen = align_folds(
        fitted, choice.out_of_fold, make_folds(regression, by_cell=True), regression.cell
    )
    believed = unseen[:, None] * supported_sizes(repeats / unseen[:, None], SUPPORT)
    ratio, scale = fit_ratios(believed, unseen, regression.cell, order, len(sample), levels)
    choice = replace(choice, fit=choice.fit.scaled(scale))
    model = tables_of(regression.complete(choice.fit), space)
    features = regression.features[0].values.shape[1]
    return replace(model, ratio=ratio), choice, features
