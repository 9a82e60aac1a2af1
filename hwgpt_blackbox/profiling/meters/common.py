"""What all meters of energy share, and the energy of one forward pass."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from hwgpt_blackbox.errors import HWGPTError

Clock = Callable[[], float]
"""Seconds; only differences count."""

UPDATES, SECONDS = 20, 2.0
"""Passes are counted over so many updates of the counter, or this time if that is shorter."""

PATIENCE = 15.0
"""Seconds of passes without an update after which a counter stands still."""

MAX_WATTS = 100_000.0
"""A counter that rises faster has jumped."""

ATTEMPTS, SETTLING = 3, 1.5
"""Loops that are begun when a counter wraps or jumps, and the seconds between them: zeus notices
that a counter wrapped within a second, and its readings are wrong until then."""

JOULES_PER_WH = 3600.0


class MeterError(HWGPTError):
    """A counter of energy cannot be read, stands still, or jumps."""


class Meter(ABC):
    """A counter of energy that rises while the machine works.

    :param name: what is read, for people and for the conditions
    """

    name: str

    @abstractmethod
    def joules(self) -> float:
        """The counter now; only differences count.

        :raises MeterError: it cannot be read
        """


class NoMeter:
    """No energy can be measured here.

    :param reason: why, and what would help
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason


def energy_of_pass(
    meter: Meter,
    run: Callable[[], object],
    clock: Clock = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> float:
    """Energy of one pass in Wh: what the counter rose by between two of its updates, over passes.

    :param run: a pass, which returns when the device has done it
    :raises MeterError: the counter stands still, or jumps again and again
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            sleep(SETTLING)
        found = _loop(meter, run, clock)
        if found is not None:
            return found / JOULES_PER_WH
    raise MeterError(
        f"{meter.name} fell or jumped in {ATTEMPTS} loops of passes in a row; is another program "
        "resetting it?"
    )


def _loop(meter: Meter, run: Callable[[], object], clock: Clock) -> float | None:
    """Joules of a pass; None: the counter fell or jumped.

    What is counted begins and ends with an update, so that what the counter has not yet shown does
    not matter.
    """
    begin = before = clock()
    last, updates, passes = meter.joules(), -1, 0
    first, counted = last, 0
    while True:
        run()
        passes += 1
        now, reading = clock(), meter.joules()
        if reading != last:
            if not 0.0 < reading - last <= MAX_WATTS * max(now - before, 1e-3):
                return None
            updates += 1
            if updates == 0:  # the first one begins the count
                first, passes = reading, 0
            last, counted, before = reading, passes, now
        if updates >= UPDATES or (updates > 0 and now - begin >= SECONDS):
            return (last - first) / counted
        if now - before >= PATIENCE and passes > 1:
            raise MeterError(
                f"{meter.name} stood still for {now - before:.0f} s of work; measure without "
                "energy, or mend the driver"
            )
