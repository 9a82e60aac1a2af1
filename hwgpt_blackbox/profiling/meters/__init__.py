"""Meters of energy: one file each, chosen by the kind of device that runs the network."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from hwgpt_blackbox.profiling.meters.common import Meter, MeterError, NoMeter, energy_of_pass
from hwgpt_blackbox.profiling.meters.nvidia import nvidia_meter
from hwgpt_blackbox.profiling.meters.rapl import rapl_meter

__all__ = ["METERS", "Meter", "MeterError", "NoMeter", "energy_of_pass", "find_meter"]

METERS: dict[str, Callable[[int], Meter | NoMeter]] = {"cpu": rapl_meter, "cuda": nvidia_meter}
"""What opens the meter of each kind of device, given the device's index."""


def find_meter(kind: str, index: int) -> Meter | NoMeter:
    """The meter of a device, or why there is none.

    :param kind: ``cpu`` or ``cuda``
    :param index: of the device
    """
    if find_spec("zeus") is None:
        return NoMeter("zeus is not installed: pip install 'hwgpt-blackbox[profiling]'")
    return METERS[kind](index)
