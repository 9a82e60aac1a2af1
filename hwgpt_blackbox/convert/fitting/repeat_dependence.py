"""How repeats of one session, and latency and energy of one device, hang together.

Estimated from the levels u of the measurements in their distributions. Moving a uniform number
evenly by up to h and reflecting it at 0 and 1 multiplies the expectation of cos(pi u) by
sinc(h) = sin(pi h) / (pi h), whence the moments below.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.judging.measures import levels_of
from hwgpt_blackbox.domain.encoding import IntMatrix
from hwgpt_blackbox.models.noise import Dependence
from hwgpt_blackbox.models.surrogate import Surrogate

UNKNOWN_SPREAD = 0.5
"""Spread of repeats where neither metric of a device was measured more than once."""

NEGLIGIBLE = 0.1
"""Latency and energy whose states correlate less than this are taken as independent."""


def inverse_sinc(value: float) -> float:
    """The h in [0, 1] with sin(pi h) / (pi h) = value."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if float(np.sinc(middle)) > value:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def session_spread(levels: Array) -> float:
    """Spread of repeats about the state of their session; 0 if they do not differ.

    :param levels: of the measurements of each architecture, shape (n, r)
    """
    repeats = levels.shape[1]
    if repeats == 1:
        return 0.0
    waves = np.cos(np.pi * levels)
    pairs = (waves.sum(axis=1) ** 2 - (waves**2).sum(axis=1)) / (repeats * (repeats - 1))
    return inverse_sinc(float(np.sqrt(np.clip(2.0 * pairs.mean(), 0.0, 1.0))))


def state_correlation(first: Array, second: Array, spreads: tuple[float, float]) -> float:
    """Correlation of the states of two metrics of one device, by cos(pi u).

    :param first: levels of one metric, shape (n, r)
    :param second: levels of the other, shape (n, q)
    :param spreads: of the two
    """
    waves = np.cos(np.pi * first).mean(axis=1) * np.cos(np.pi * second).mean(axis=1)
    shrink = float(np.sinc(spreads[0]) * np.sinc(spreads[1]))
    if shrink < NEGLIGIBLE:
        return 0.0
    return float(np.clip(2.0 * waves.mean() / shrink, -1.0, 1.0))


def with_dependence(
    surrogate: Surrogate, matrix: IntMatrix, expected: dict[str, Array], noisy: dict[str, Array]
) -> Surrogate:
    """The surrogate with the dependence of every noisy target.

    :param surrogate: models with their ratio tables
    :param matrix: choice indices of the architectures, shape (n, hyperparameters)
    :param expected: their expected values by target, shape (n,)
    :param noisy: their measurements by target, shape (n, r); a device may lack energy
    """
    levels = {
        name: levels_of(surrogate, name, matrix, repeats / expected[name][:, None])
        for name, repeats in noisy.items()
    }
    # Of one repeat the level is the state itself.
    measured = {name: session_spread(u) for name, u in levels.items()}
    models = dict(surrogate.models)
    for name in noisy:
        metric, _, device = name.partition("@")
        latency, energy = f"latency@{device}", f"energy@{device}"
        together = 0.0
        if energy in noisy:
            together = state_correlation(
                levels[latency], levels[energy], (measured[latency], measured[energy])
            )
        spread = measured[name]
        if levels[name].shape[1] == 1:  # a single value says nothing of repeats: as latency's
            repeated = levels[latency].shape[1] > 1
            spread = measured[latency] if repeated else UNKNOWN_SPREAD
        coupled = abs(together) >= NEGLIGIBLE
        found = Dependence(
            spread,
            inverse_sinc(float(np.sqrt(abs(together)))) if coupled else 1.0,
            -1.0 if coupled and together < 0 and metric == "energy" else 1.0,
        )
        models[name] = replace(models[name], dependence=found)
    return Surrogate(surrogate.space, models, surrogate.levels, surrogate.manifest)
