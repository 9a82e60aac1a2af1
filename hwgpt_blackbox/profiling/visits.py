"""What one visit of an architecture measures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import model_config
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.profiling.conditions import Conditions
from hwgpt_blackbox.profiling.design import reference_architecture
from hwgpt_blackbox.profiling.forward_pass import METHODS, forward_pass, warm_up
from hwgpt_blackbox.profiling.machine import CUDA, Place
from hwgpt_blackbox.profiling.memory import memory_columns, memory_of_pass
from hwgpt_blackbox.profiling.meters import Meter, MeterError, NoMeter, energy_of_pass, find_meter
from hwgpt_blackbox.storage.measurement_set import REFERENCE, SECONDS, configuration_cells

Row = NDArray[np.uint8]
"""An architecture: canonical choice indices, shape (hyperparameters,)."""


class Visits:
    """What one visit measures."""

    def __init__(self, space: Space, conditions: Conditions, place: Place) -> None:
        self.encoding = Encoding(space)
        self.conditions, self.place = conditions, place
        self.reference = reference_architecture(space)
        self.meter: Meter | NoMeter = NoMeter("")

    def find_meter(self, *, tried: bool) -> Meter | NoMeter:
        """The meter of energy; it counts as none if it does not work on the first pass.

        :param tried: whether it worked before
        """
        self.meter = find_meter(self.place.kind, self.place.index)
        if isinstance(self.meter, Meter) and not tried:
            try:
                self.visit(self.reference)
            except MeterError as error:
                self.meter = NoMeter(str(error))
        return self.meter

    @property
    def columns(self) -> list[str]:
        """Columns of the table."""
        return [
            *self.encoding.names,
            *(f"latency_{i}" for i in range(self.conditions.repeats)),
            *(["energy_0"] if isinstance(self.meter, Meter) else []),
            *memory_columns(self.place, self.conditions.dtype),
            REFERENCE,
            SECONDS,
        ]

    def visit(self, row: Row) -> list[float]:
        """Latencies (ms), then energy (Wh) and memory (MB) where they are measured.

        :raises TooLargeError: the architecture does not fit into memory
        :raises MeterError: energy cannot be read any more
        """
        asked = self.conditions
        config = model_config(self.encoding.space, self.encoding.decode_one(row))
        with forward_pass(
            config,
            self.place,
            asked.batch_size,
            asked.sequence_length,
            asked.dtype,
            compiled=asked.compiled,
        ) as forward:
            seconds = warm_up(forward)
            found = METHODS[asked.method](forward, asked.repeats, seconds)
            if isinstance(self.meter, Meter):
                found.append(energy_of_pass(self.meter, forward.run))
            if self.place.kind == CUDA:
                found += memory_of_pass(forward, asked.dtype)
        return found

    def cells(self, row: Row) -> list[str]:
        """The cells of an architecture."""
        return configuration_cells(self.encoding.space, self.encoding.decode_one(row))
