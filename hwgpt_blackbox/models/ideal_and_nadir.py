"""Ideal and nadir of every objective: the range of expected values over uniform architectures."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.objectives import Column, dataset_columns
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import Surrogate

SAMPLE_SIZE, SAMPLE_SEED = 20_000, 20_240_516
"""Architectures drawn uniformly, once, and the seed (``numpy.random.default_rng``)."""

REFERENCE_POINT = 1.1
"""Reference point of the normalised hypervolume, in every objective."""

_MAX = sys.float_info.max


def bounds(surrogate: Surrogate, columns: Sequence[Column] | None = None) -> dict[str, Any]:
    """Smallest and largest expected value of every objective over uniform architectures.

    :param columns: the objectives; default: all, but of users' devices beside the 13
    :return: ``sample_size``, ``seed``, and under ``objectives`` [ideal, nadir] by short name
        (``perplexity``, ``latency@a100``), natural units
    """
    columns = columns or list(dataset_columns(ALL_DEVICES, surrogate.measured).values())
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


def stated_bounds(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a manifest states as [ideal, nadir] by short name, unchecked; empty if it states none.

    :param manifest: of a surrogate or of a user's device
    """
    stated = manifest.get("bounds")
    table = stated.get("objectives") if isinstance(stated, Mapping) else None
    return table if isinstance(table, Mapping) else {}


def check_bounds(entry: Any, target: str, source: object) -> tuple[float, float]:
    """Ideal and nadir of one objective as numbers.

    :param entry: what a file holds: a list of both
    :param source: the file, for the message
    :raises DataError: they are not two finite numbers, the first smaller
    """
    numbers = isinstance(entry, list | tuple) and len(entry) == 2
    if numbers and all(type(x) in (int, float) for x in entry):
        low, high = entry
        if 0 < low < high < _MAX:
            return float(low), float(high)
    raise DataError(
        f"{source} holds {entry!r:.200} as ideal and nadir of {target}; expected two finite "
        "numbers, the ideal smaller"
    )
