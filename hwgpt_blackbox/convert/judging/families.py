"""The families of surrogates that the paper compared, for comparison with ours.

They are not made into artifacts. Every family sees the architecture's choices and the mean of the
repeats; those that predict distributions also see the repeats.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.fitting.noise_tables import quantile_levels
from hwgpt_blackbox.convert.source.autogluon_predictors import (
    AVERAGE,
    DEVIATION,
    require_autogluon,
)
from hwgpt_blackbox.errors import require

SEED = 42

INNER_LEVELS = np.r_[0.005, np.arange(1, 16) / 16.0, 0.995]
"""Levels of the quantiles that the conformal family predicts."""

TREES = 400
"""Trees of each of its quantiles."""

MAX_ROWS = 50_000
"""Measurements that it learns from: of more, the first repeats of each architecture."""

CALIBRATION_SHARE = 0.2
"""Share of the training architectures on which the conformal family is adjusted."""


@dataclass(frozen=True)
class Prediction:
    """What a family says of the held-out architectures.

    :param mean: expected values, shape (n,)
    :param levels: levels of predicted quantiles, ascending from 0 to 1, or None
    :param quantiles: shape (n, levels), ascending, or None
    """

    mean: Array
    levels: Array | None = None
    quantiles: Array | None = None


@dataclass(frozen=True)
class RegressionTask:
    """One target: features of shape (n, p) and measurements of shape (n, repeats), both parts."""

    learn_x: NDArray[Any]
    learn_y: Array
    test_x: NDArray[Any]
    time_limit: float


def _xgboost() -> Any:
    from xgboost import XGBRegressor

    return XGBRegressor(n_estimators=600, learning_rate=0.05, max_depth=6, n_jobs=1, seed=SEED)


def _lightgbm() -> Any:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=600, learning_rate=0.05, n_jobs=1, random_state=SEED, verbosity=-1
    )


def _mlp() -> Any:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPRegressor(
        hidden_layer_sizes=(128, 128, 128), early_stopping=True, random_state=SEED, max_iter=300
    )
    return TransformedTargetRegressor(
        make_pipeline(StandardScaler(), network), transformer=StandardScaler()
    )


def _mean(regressor: Callable[[], Any], task: RegressionTask) -> Prediction:
    """What a regressor of scikit-learn's kind says of the mean of the repeats."""
    model = regressor().fit(task.learn_x, task.learn_y.mean(axis=1))
    return Prediction(np.asarray(model.predict(task.test_x), dtype=np.float64))


def _conformal_quantile(task: RegressionTask) -> Prediction:
    """Gradient-boosted quantiles, shifted symmetrically until they cover a calibration part."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    n, repeats = task.learn_y.shape
    order = np.random.default_rng(SEED).permutation(n)
    held = int(np.ceil(CALIBRATION_SHARE * n))
    adjust, fit = order[:held], order[held:]
    used = min(repeats, max(1, MAX_ROWS // len(fit)))
    x = np.repeat(task.learn_x[fit], used, axis=0)
    y = task.learn_y[fit, :used].ravel()
    inner, last = INNER_LEVELS, len(INNER_LEVELS) - 1
    parts = (task.learn_x[adjust], task.test_x)
    found: list[list[Array]] = [[], []]
    for level in inner:
        model = HistGradientBoostingRegressor(
            loss="quantile", quantile=level, max_iter=TREES, random_state=SEED
        ).fit(x, y)
        for part, rows in zip(found, parts, strict=True):
            part.append(np.asarray(model.predict(rows)))
    calibrate, test = (np.sort(np.stack(part, axis=1), axis=1) for part in found)
    measured = task.learn_y[adjust]
    for j in range(len(inner) // 2):
        low, high, coverage = j, last - j, inner[last - j] - inner[j]
        score = np.maximum(
            calibrate[:, low, None] - measured, measured - calibrate[:, high, None]
        ).ravel()
        shift = conformal_quantile(score, coverage)
        test[:, low] -= shift
        test[:, high] += shift
    test = np.sort(test, axis=1)
    step = np.diff(test, axis=1)
    ends = (test[:, :1] - step[:, :1], test, test[:, -1:] + step[:, -1:])
    quantiles = np.concatenate(ends, axis=1)
    levels = np.r_[0.0, inner, 1.0]
    middles = (quantiles[:, 1:] + quantiles[:, :-1]) / 2.0
    return Prediction((middles * np.diff(levels)).sum(axis=1), levels, quantiles)


def conformal_quantile(scores: Array, coverage: float) -> float:
    """The score that a new one does not exceed with probability ``coverage`` at least.

    Of n scores the ceil((n + 1) coverage)-th (Romano et al. 2019), or the largest where that is
    beyond n.

    :param scores: exchangeable with the new one, shape (n,)
    """
    n = len(scores)
    return float(np.sort(scores)[min(int(np.ceil((n + 1) * coverage)), n) - 1])


def _autogluon(task: RegressionTask) -> Prediction:
    """The published recipe, within a time limit: mean and log deviation, Gaussian."""
    import tempfile

    import pandas as pd
    from autogluon.tabular import TabularPredictor
    from scipy.stats import norm

    names = [f"arch_feature_{i}" for i in range(task.learn_x.shape[1])]
    learn, test = (pd.DataFrame(x, columns=names) for x in (task.learn_x, task.test_x))
    learn[AVERAGE] = task.learn_y.mean(axis=1)
    single = task.learn_y.shape[1] == 1
    if not single:
        learn[DEVIATION] = np.log(np.maximum(task.learn_y.std(axis=1, ddof=1), 1e-9))
    for label in (AVERAGE,) if single else (AVERAGE, DEVIATION):
        with tempfile.TemporaryDirectory() as folder:
            later = [DEVIATION] if label == AVERAGE and not single else []
            predictor = TabularPredictor(
                label=label, problem_type="regression", eval_metric="r2", path=folder, verbosity=0
            ).fit(learn.drop(columns=later), time_limit=task.time_limit, num_cpus=1)
            test[label] = np.asarray(predictor.predict(test), dtype=np.float64)
    mean = test[AVERAGE].to_numpy()
    if single:
        return Prediction(mean)
    levels = quantile_levels()
    z = norm.ppf(np.clip(levels, levels[1] / 4.0, 1.0 - (1.0 - levels[-2]) / 4.0))
    return Prediction(mean, levels, mean[:, None] + np.exp(test[DEVIATION].to_numpy())[:, None] * z)


@dataclass(frozen=True)
class Family:
    """A family of surrogates.

    :param require: raises :class:`MissingExtraError` if its library is not installed
    :param learn: fits to one part of a task and predicts the other
    """

    require: Callable[[], object]
    learn: Callable[[RegressionTask], Prediction]

    def __call__(self, task: RegressionTask) -> Prediction:
        """Fit and predict.

        :raises MissingExtraError: its library is not installed
        """
        self.require()
        return self.learn(task)


_SKLEARN = partial(require, "sklearn", extra="comparison")

FAMILIES: dict[str, Family] = {
    "xgboost": Family(partial(require, "xgboost", extra="comparison"), partial(_mean, _xgboost)),
    "lightgbm": Family(partial(require, "lightgbm", extra="comparison"), partial(_mean, _lightgbm)),
    "mlp": Family(_SKLEARN, partial(_mean, _mlp)),
    "conformal-quantile": Family(_SKLEARN, _conformal_quantile),
    "autogluon": Family(require_autogluon, _autogluon),
}
"""Every family by the name that ``--fit`` takes."""
