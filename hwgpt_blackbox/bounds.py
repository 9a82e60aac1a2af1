"""Ideal and nadir of every objective: the range of expected values over uniform architectures."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwgpt_blackbox.devices import ALL_DEVICES
from hwgpt_blackbox.metrics import dataset_columns
from hwgpt_blackbox.predictor import Predictor
from hwgpt_blackbox.surrogate import Surrogate

SAMPLE_SIZE, SAMPLE_SEED = 20_000, 20_240_516
"""Architectures drawn uniformly, once, and the seed (``numpy.random.default_rng``)."""


def bounds(surrogate: Surrogate) -> dict[str, Any]:
    """Smallest and largest expected value of every objective over uniform architectures.

    :return: ``sample_size``, ``seed``, and under ``objectives`` [ideal, nadir] by short name
        (``perplexity``, ``latency@a100``), natural units
    """
    columns = list(dataset_columns(ALL_DEVICES).values())
    predictor = Predictor(surrogate, columns)
    rng = np.random.default_rng(SAMPLE_SEED)
    values = predictor.expected(predictor.encoding.sample(SAMPLE_SIZE, rng))
    return {
        "sample_size": SAMPLE_SIZE,
        "seed": SAMPLE_SEED,
        "objectives": {
            column.target: [low, high]
            for column, low, high in zip(
                columns, values.min(axis=0).tolist(), values.max(axis=0).tolist(), strict=True
            )
        },
    }
