"""Units and counts of the published package."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.errors import unknown

OURS, PUBLISHED = UNIT_SYSTEMS = ("ours", "published")
"""Units of answers: those of the blackboxes, or of the published package."""

QUERY_UNITS = 1000.0
"""The published predictors of energy were fitted to 1,000 times the published numbers."""


def check_unit_system(name: str) -> str:
    """The name, if it is one.

    :raises InputError: it is not
    """
    if name not in UNIT_SYSTEMS:
        raise unknown("unit system", name, UNIT_SYSTEMS)
    return name


def measured_energy_unit(device: str) -> float:
    """Wh in the published unit of energy of the data set: kWh on GPUs, Wh on CPUs."""
    return DEVICES[device].energy_to_wh if device in DEVICES else 1.0


def predicted_energy_unit(device: str) -> float:
    """Wh in the unit of the published predictors of energy: Wh on GPUs, mWh on CPUs.

    They give 1,000 times the numbers of the data set. The published ranges of their predictions
    (``normalization_stats``) show it: 0.13 to 8.1 on rtx2080, 8.0 to 69 on cpu_xeon_gold (space s).
    """
    return DEVICES[device].energy_to_wh / QUERY_UNITS if device in DEVICES else 1.0


def published_params(
    encoding: Encoding, matrix: IntMatrix, biased: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Parameters as the published package counts them: of the model that it builds.

    :param matrix: choice indices, shape (n, num_columns)
    :param biased: whether that model has biases, shape (n,): it builds them for any text, so for
        ``"False"`` too
    :return: shape (n,)
    """
    built = matrix.copy()
    built[:, BIAS] = np.asarray(biased, dtype=np.bool_)
    return count(encoding, built, "params")


def published_flops(
    encoding: Encoding, matrix: IntMatrix, biased: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """FLOPs as the published package estimates them, of one sequence.

    Two for every parameter and token, though tables of embeddings do not multiply; and products in
    attention twice (once for parameters that are trained, once for frozen ones, of which there are
    none), as if heads filled the width: 2PT + 8neT².

    :param matrix: choice indices, shape (n, num_columns)
    :param biased: see :func:`published_params`
    :return: shape (n,)
    """
    space, t = encoding.space, encoding.space.sequence_length
    embed = np.array(space.embed_dims, dtype=np.int64)[matrix[:, EMBED_DIM]]
    layers = np.array(space.num_layers, dtype=np.int64)[matrix[:, NUM_LAYERS]]
    params = published_params(encoding, matrix, biased)
    return np.asarray(2 * t * params + 8 * layers * embed * t * t)


PUBLISHED_COUNTS = {"flops": published_flops, "params": published_params}
"""Metric to how the published package counts it."""
