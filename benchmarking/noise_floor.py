"""What error is left if architecture is known exactly: repeats and drift of the machine.

The floor is a lower bound. What single sessions have in common over all their repeats, and
neighbours in profiling order have not, cannot be told from architecture without measuring the same
architecture again, and is not in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.drift import Drift, choose, estimate
from hwgpt_blackbox.convert.fitting.features import Array

EFFECTS_DRIFT = Drift(40, by_embed=True)
"""Drift that is taken from all errors alike where effects of architectures are judged."""


def noise_floor(
    repeats: Array, predicted: Array, embed: NDArray[np.intp], rows: NDArray[np.intp]
) -> dict[str, float]:
    """Mean absolute and root mean square error that repeats and drift alone cause.

    Drift: what the errors of neighbours in profiling order have in common, the own error left out
    (a running median, see :mod:`hwgpt_blackbox.convert.fitting.drift`; none where it does not
    help).
    Repeats: half the difference between the mean of the odd and that of the even repeats, which is
    distributed as the error of the mean of all; 0 where one repeat was published.

    :param repeats: measurements of every architecture in profiling order, shape (n, r)
    :param predicted: their expected values, shape (n,)
    :param embed: index of embed_dim, shape (n,)
    :param rows: architectures that are judged
    :return: ``mae_floor``, ``rmse_floor``, and the parts ``rmse_repeats`` and ``rmse_drift``
    """
    order = np.arange(len(predicted))
    residuals = np.log(repeats.mean(axis=1) / predicted)
    drift = estimate(residuals, order, embed, choose(residuals, order, embed))[rows]
    chosen = repeats[rows]
    half = np.zeros(len(rows))
    if repeats.shape[1] > 1:
        half = (chosen[:, ::2].mean(axis=1) - chosen[:, 1::2].mean(axis=1)) / 2.0
    moved = predicted[rows] * np.expm1(drift)
    both = half + moved
    return {
        "mae_floor": float(np.abs(both).mean()),
        "rmse_floor": _rms(both),
        "rmse_repeats": _rms(half),
        "rmse_drift": _rms(moved),
    }


def effect_errors(
    measured: Array, predicted: Array, order: NDArray[np.intp], embed: NDArray[np.intp]
) -> dict[str, float]:
    """Errors of the effects of architectures alone: relative, drift taken out.

    The same drift is taken from whatever is judged: that of the judged architectures themselves, so
    that a fit is not praised for following the machine.

    :param measured: means over repeats of judged architectures, shape (n,)
    :param predicted: their expected values, shape (n,)
    :param order: their positions while profiling, shape (n,)
    :param embed: index of embed_dim, shape (n,)
    :return: ``mae_effects`` and ``rmse_effects``
    """
    # Plain least squares may predict what is not positive.
    residuals = np.log(measured / np.maximum(predicted, 1e-3 * float(np.median(predicted))))
    left = residuals - estimate(residuals, order, embed, EFFECTS_DRIFT)
    return {"mae_effects": float(np.abs(left).mean()), "rmse_effects": _rms(left)}


def _rms(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))
