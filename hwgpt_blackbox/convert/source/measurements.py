"""The measurements of one space, in natural units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.spaces import Space

LATENCY_REPEATS = 10
"""Measurements of latency of an architecture on a device."""

ENERGY_REPEATS = 50
"""Measurements of energy of an architecture on a device."""


@dataclass(frozen=True)
class Measurements:
    """What was measured of ``n`` architectures of one space, per forward pass of one batch.

    :param space: the space
    :param matrix: canonical choice indices in profiling order, shape (n, num_columns), uint8
    :param latency: ms, shape (13, n, 10), devices in the order of ``DEVICES``; a device that was
        measured once holds that value ten times
    :param energy: Wh, shape (13, n, 50); a device whose mean alone was published holds it 50 times
    :param latency_repeats: device to how many latencies of an architecture were measured
    :param energy_repeats: device to how many energies of an architecture were published
    :param memory_float16: MB, shape (n,)
    :param memory_bfloat16: MB, shape (n,)
    :param flops: FLOPs, shape (n,), int64
    :param params: count, shape (n,), int64
    :param perplexity: shape (n,), NaN where not measured
    :param accuracy: share of next tokens predicted, shape (n,), NaN where not measured
    :param source: files, units and counts, for the manifest
    """

    space: Space
    matrix: NDArray[np.uint8]
    latency: NDArray[np.float64]
    energy: NDArray[np.float64]
    latency_repeats: dict[str, int]
    energy_repeats: dict[str, int]
    memory_float16: NDArray[np.float64]
    memory_bfloat16: NDArray[np.float64]
    flops: NDArray[np.int64]
    params: NDArray[np.int64]
    perplexity: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    source: Mapping[str, Any]

    @property
    def error(self) -> NDArray[np.float64]:
        """Share of next tokens that are wrong, shape (n,), NaN where not measured."""
        return 1.0 - self.accuracy

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.matrix)
