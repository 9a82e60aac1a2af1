"""Fitting the expected value of a noisy metric: one structured model, chosen by cross-validation.

A design is a link (identity or log), whether drift is removed, and whether outlying architectures
and repeats are pulled in while the effects are estimated. Whatever the design, the mean of the
measurements is restored at the end, so that the model is of the expected value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.drift import Drift, choose, estimate
from hwgpt_blackbox.convert.fitting.features import (
    Architectures,
    Array,
    Features,
    hardware_features,
)
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.evidence import empirical_bayes, ridge
from hwgpt_blackbox.models.surrogate import LINKS

FOLDS, FOLD_SEED = 4, 0
"""Random folds of cross-validation over architectures."""

SIMPLE_MARGIN = 0.002
"""Removing drift or pulling in outliers must lower log RMSE + log MAE by more than this: what
cross-validation cannot tell apart is left simple."""

LOG_MARGIN = 0.02
"""The log link must lower log RMSE + log MAE by more than this. Fronts lie at the edge of the data,
where a sum extrapolates as the network runs, layer after layer, and a product does not."""

WINSOR_REPEATS, WINSOR_ARCHITECTURES = 8.0, 2.5
"""Robust deviations beyond which repeats, and architectures, are pulled in by robust designs."""

MIN_CELL = 8
"""Architectures that a cell needs."""


def fewest_architectures(space: Space) -> int:
    """Architectures that a fit needs: ``MIN_CELL`` for each embed_dim with and without bias."""
    return 2 * len(space.embed_dims) * MIN_CELL


@dataclass(frozen=True)
class FitDesign:
    """How effects are estimated.

    :param link: ``identity`` or ``log``
    :param robust: whether outliers are pulled in
    :param drift: whether drift is removed
    """

    link: str
    robust: bool
    drift: bool

    def __str__(self) -> str:
        return self.link + ", robust" * self.robust + ", drift removed" * self.drift


DESIGNS = tuple(
    FitDesign(link, robust, drift)
    for link in LINKS
    for robust, drift in ((False, False), (False, True), (True, True))
)
"""Designs to choose from."""

WITHOUT_DRIFT = tuple(FitDesign(link, robust, False) for link in LINKS for robust in (False, True))
"""The same with drift left in, to see what its removal is worth."""


class Regression:
    """Architectures with features and Gram matrices, shared by every metric and device.

    :param sample: the architectures
    :param order: their positions while profiling, shape (n,)
    :raises DataError: an (embed_dim, bias) cell has too few architectures
    """

    def __init__(self, sample: Architectures, order: NDArray[np.intp]) -> None:
        self.sample = sample
        self.order = order
        self.embed, self.cell = sample.embed, sample.cell
        self.rows = [np.flatnonzero(self.embed == e) for e in range(len(sample.space.embed_dims))]
        self.features: list[Features] = [hardware_features(sample.inputs(r)) for r in self.rows]
        self.grams = [f.values.T @ f.values for f in self.features]

    def __len__(self) -> int:
        return len(self.order)

    def check(self, least: int = MIN_CELL) -> None:
        """Raise if a cell has too few architectures to fit.

        :param least: how many it needs
        :raises DataError: names the cell
        """
        counts = np.bincount(self.cell, minlength=self.sample.cells)
        if counts.min() < least:
            e, b = divmod(int(counts.argmin()), 2)
            raise DataError(
                f"only {counts.min()} architectures with embed_dim "
                f"{self.sample.space.embed_dims[e]} and bias {bool(b)}; a fit needs {least}: "
                "measure more"
            )

    def take(self, rows: NDArray[np.intp]) -> Regression:
        """The regression on some of the architectures."""
        return Regression(self.sample.take(rows), self.order[rows])

    def sums(self, weights: Sequence[Array]) -> Array:
        """Linear predictor, shape (n,)."""
        out = np.empty(len(self))
        for rows, features, w in zip(self.rows, self.features, weights, strict=True):
            out[rows] = features.values @ w
        return out


@dataclass(frozen=True)
class Fold:
    """One fold: the regression without it, that of its own architectures, and the rows of each."""

    rest: Regression
    own: Regression
    rest_rows: NDArray[np.intp]
    own_rows: NDArray[np.intp]


def make_folds(regression: Regression, *, by_cell: bool = False) -> list[Fold]:
    """Random folds, the same for every metric.

    :param by_cell: deal the architectures of each (embed_dim, bias) cell out evenly: where there
        are few, a fold may otherwise leave none of a cell to fit on
    """
    order = np.random.default_rng(FOLD_SEED).permutation(len(regression))
    part = order % FOLDS
    if by_cell:
        part[order[np.argsort(regression.cell[order], kind="stable")]] = (
            np.arange(len(order)) % FOLDS
        )
    folds = []
    for k in range(FOLDS):
        rest, own = np.flatnonzero(part != k), np.flatnonzero(part == k)
        folds.append(Fold(regression.take(rest), regression.take(own), rest, own))
    return folds


@dataclass(frozen=True)
class ExpectedValueFit:
    """A fitted model of the expected value.

    :param design: how it was estimated
    :param penalties: per embed_dim and feature
    :param weights: per embed_dim and feature
    :param log_scale: log of the factor that restores the mean, per cell, shape (cells,)
    :param drift: the kind of drift that was removed
    """

    design: FitDesign
    penalties: list[Array]
    weights: list[Array]
    log_scale: Array
    drift: Drift

    def predict(self, regression: Regression) -> Array:
        """Expected values, shape (n,)."""
        sums = regression.sums(self.weights)
        values = np.exp(np.minimum(sums, 700.0)) if self.design.link == "log" else sums
        return np.asarray(values * np.exp(self.log_scale[regression.cell]))

    def scaled(self, factor: Array) -> ExpectedValueFit:
        """The fit with its values multiplied by a factor per cell, shape (cells,), positive."""
        return replace(self, log_scale=self.log_scale + np.log(factor))


def winsorised_mean(repeats: Array) -> Array:
    """Mean over repeats, those far from their architecture's median pulled in, shape (n,).

    :param repeats: shape (n, r), positive
    """
    median = np.median(repeats, axis=1, keepdims=True)
    deviation = np.log(repeats / median)
    moved = np.abs(deviation[deviation != 0.0])
    limit = WINSOR_REPEATS * (1.4826 * float(np.median(moved)) if len(moved) else 0.0)
    return np.asarray((median * np.exp(np.clip(deviation, -limit, limit))).mean(axis=1))


def fit_design(
    regression: Regression,
    mean: Array,
    winsorised: Array,
    design: FitDesign,
    given: ExpectedValueFit | None = None,
) -> ExpectedValueFit:
    """Alternate effects of architectures, drift, and pulling in outliers; then restore the mean.

    :param mean: of the repeats, shape (n,)
    :param winsorised: :func:`winsorised_mean` of the repeats, shape (n,)
    :param given: take penalties and kind of drift from this fit instead of learning them
    """
    values = winsorised if design.robust else mean
    logarithmic = design.link == "log"
    target = np.log(values) if logarithmic else values
    rounds = 4 if design.robust or design.drift else 1
    penalties = list(given.penalties) if given else []
    kind = given.drift if given else None
    weights: list[Array] = []
    for turn in range(rounds):
        learn = given is None and turn in (0, 2)
        weights = []
        for e, (rows, features, gram) in enumerate(
            zip(regression.rows, regression.features, regression.grams, strict=True)
        ):
            y = target[rows]
            moment = features.values.T @ y
            if learn:
                found = empirical_bayes(gram, moment, float(y @ y), len(rows), features.block)
                penalties[e : e + 1] = [found]
            weights.append(ridge(gram, moment, penalties[e]))
        if turn == rounds - 1:
            break
        sums = regression.sums(weights)
        logs = sums if logarithmic else np.log(np.maximum(sums, 1e-3 * np.median(sums)))
        drift = np.zeros(len(regression))
        if design.drift:
            residuals = np.log(values) - logs
            kind = kind or choose(residuals, regression.order, regression.embed)
            drift = estimate(residuals, regression.order, regression.embed, kind)
        target = np.log(values) - drift if logarithmic else values * np.exp(-drift)
        if design.robust:
            target = sums + _pulled_in(target - sums, regression.cell)
    fit = ExpectedValueFit(
        design, penalties, weights, np.zeros(regression.sample.cells), kind or Drift()
    )
    scale = _restoring_scale(mean / fit.predict(regression), regression.cell)
    return ExpectedValueFit(design, penalties, weights, np.log(scale), fit.drift)


def _pulled_in(residuals: Array, cell: NDArray[np.intp]) -> Array:
    """Residuals clipped at some robust deviations from the median of their cell."""
    out = residuals.copy()
    for c in np.unique(cell):
        own = out[cell == c]
        middle = np.median(own)
        limit = WINSOR_ARCHITECTURES * 1.4826 * np.median(np.abs(own - middle))
        out[cell == c] = np.clip(own, middle - limit, middle + limit)
    return out


def _restoring_scale(ratio: Array, cell: NDArray[np.intp], level: float = 0.99) -> Array:
    """Mean ratio of measured to predicted per cell, shape (cells,).

    What exceeds the cell's quantile at ``level`` is rare: its excess is pooled over the cells, so
    that one outlier does not move one cell.
    """
    cut = np.array([np.quantile(ratio[cell == c], level) for c in range(int(cell.max()) + 1)])
    excess = np.maximum(ratio / cut[cell] - 1.0, 0.0).mean()
    body = np.array(
        [np.minimum(ratio[cell == c], cut[c]).mean() for c in range(int(cell.max()) + 1)]
    )
    return np.asarray(body + cut * excess)


@dataclass(frozen=True)
class Choice:
    """The chosen model of one target.

    :param fit: fitted on all architectures
    :param scores: cross-validated log RMSE + log MAE by design; infinite: not positive on the
        space or out of fold, or predictions that are no numbers
    :param out_of_fold: predictions of each architecture without its own fold, shape (n,)
    """

    fit: ExpectedValueFit
    scores: dict[str, float]
    out_of_fold: Array

    @property
    def score(self) -> float:
        """The chosen design's own score, which its margin may leave above another's."""
        return self.scores[str(self.fit.design)]


def choose_design(
    regression: Regression,
    repeats: Array,
    folds: Sequence[Fold],
    positive: Callable[[ExpectedValueFit], bool],
    designs: Sequence[FitDesign] = DESIGNS,
) -> Choice:
    """The design with the best cross-validated error, fitted on everything.

    Simpler designs win unless others are better by a margin.

    :param repeats: measurements, shape (n, r), positive
    :param positive: whether a fit is positive on the whole space; if not, it loses
    """
    mean, winsorised = repeats.mean(axis=1), winsorised_mean(repeats)
    candidates: list[tuple[float, ExpectedValueFit, Array]] = []
    scores: dict[str, float] = {}
    for design in designs:
        fit = fit_design(regression, mean, winsorised, design)
        score = np.inf
        out = np.empty(len(mean))
        if positive(fit):
            for fold in folds:
                rows = fold.rest_rows
                part = fit_design(fold.rest, mean[rows], winsorised[rows], design, fit)
                out[fold.own_rows] = part.predict(fold.own)
            error = mean - out
            score = float(
                np.log(np.sqrt((error**2).mean()) + 1e-300) + np.log(np.abs(error).mean() + 1e-300)
            )
            # NaN is not above anything; and ratios to what is negative are no noise.
            score = score if np.isfinite(score) and (out > 0.0).all() else np.inf
        scores[str(design)] = score
        margin = SIMPLE_MARGIN * design.drift + LOG_MARGIN * (design.link == "log")
        candidates.append((score + margin, fit, out))
    _, fit, out = min(candidates, key=lambda row: row[0])
    return Choice(fit, scores, out)
