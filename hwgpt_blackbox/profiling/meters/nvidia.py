"""NVIDIA GPUs: the counter of NVML, which GPUs have since Volta, through zeus."""

from __future__ import annotations

from typing import Any

from hwgpt_blackbox.profiling.meters.common import Meter, MeterError, NoMeter


class NvidiaMeter(Meter):
    """Energy of one GPU.

    :param gpus: of zeus
    :param index: as torch counts GPUs
    """

    name = "NVML"

    def __init__(self, gpus: Any, index: int) -> None:
        self._gpus, self._index = gpus, index

    def joules(self) -> float:
        """The counter now, in joules since the driver was loaded."""
        from zeus.exception import ZeusBaseError

        try:
            return float(self._gpus.get_total_energy_consumption(self._index)) / 1e3
        except ZeusBaseError as error:
            raise MeterError(f"the energy of the GPU cannot be read: {error}") from None


def nvidia_meter(index: int) -> Meter | NoMeter:
    """The meter of a GPU, or why there is none.

    :param index: as torch counts GPUs
    """
    from zeus.device import get_gpus
    from zeus.exception import ZeusBaseError

    try:
        gpus = get_gpus()
        if not gpus.supports_get_total_energy_consumption(index):
            return NoMeter("NVML has no energy counter of this GPU; GPUs have one since Volta")
    except (ZeusBaseError, ValueError) as error:
        return NoMeter(f"NVML cannot be used ({error}); is the NVIDIA driver installed?")
    return NvidiaMeter(gpus, index)
