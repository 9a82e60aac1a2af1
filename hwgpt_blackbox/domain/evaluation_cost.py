"""What evaluating one architecture costs: the model behind ``metric_elapsed_time``.

An evaluation builds the network, warms the device up, measures latency 10 times and energy 50 times
(as HW-GPT-Bench did) and computes perplexity on validation batches. Every step but the first is a
number of forward passes, so the cost is affine in the *expected* latency of the architecture.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import InputError

Number = TypeVar("Number", float, NDArray[np.float64])


@dataclass(frozen=True)
class CostModel:
    """Cost of one evaluation, in seconds, from the expected latency of a forward pass.

    The repeats are those of HW-GPT-Bench; the other defaults are our assumptions.

    :param setup_seconds: building the network and moving it to the device
    :param warmup_passes: forward passes that are not measured
    :param latency_repeats: measured passes for latency
    :param energy_repeats: measured passes for energy
    :param validation_batches: passes over validation data for perplexity
    :raises InputError: a number is negative or not finite, or all are zero
    """

    setup_seconds: float = 2.0
    warmup_passes: float = 10.0
    latency_repeats: float = 10.0
    energy_repeats: float = 50.0
    validation_batches: float = 50.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, int | float) or not 0 <= value < float("inf"):
                raise InputError(f"{name} is {value!r}; expected a finite number, zero or more")
        if self.setup_seconds + self.passes() == 0:
            raise InputError("the cost model makes evaluations free; give one part a cost above 0")

    def passes(self, share: float = 1.0) -> float:
        """Forward passes of one evaluation after ``share`` of the repeats (1: all of them)."""
        measured = self.latency_repeats + self.energy_repeats
        return self.warmup_passes + self.validation_batches + share * measured

    def seconds(self, latency_ms: Number) -> Number:
        """Seconds that one evaluation takes.

        :param latency_ms: expected latency of one forward pass in ms, any shape
        """
        return self.setup_seconds + self.passes() / 1000.0 * latency_ms

    def partial(self, seconds: Number, share: float) -> Number:
        """Seconds spent when only ``share`` of the repeats are measured.

        :param seconds: what all of it takes, any shape
        :param share: from 0 to 1
        """
        if share == 1.0 or self.passes() == 0.0:
            return seconds
        return self.setup_seconds + (seconds - self.setup_seconds) * (
            self.passes(share) / self.passes()
        )
