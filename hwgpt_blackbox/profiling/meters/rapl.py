"""CPUs: RAPL, the counters of processor packages and their memory, through zeus."""

from __future__ import annotations

from typing import Any

from hwgpt_blackbox.profiling.meters.common import Meter, MeterError, NoMeter


class RaplMeter(Meter):
    """Energy of all processor packages, and of their memory where it is counted.

    :param cpus: of zeus
    """

    name = "RAPL"

    def __init__(self, cpus: Any) -> None:
        self._cpus = cpus

    def joules(self) -> float:
        """The counters now, in joules."""
        from zeus.exception import ZeusBaseError

        try:
            found = [
                self._cpus.get_total_energy_consumption(index) for index in range(len(self._cpus))
            ]
        except (ZeusBaseError, OSError) as error:
            raise MeterError(f"RAPL cannot be read: {error}") from None
        return float(sum(one.cpu_mj + (one.dram_mj or 0.0) for one in found)) / 1e3


def rapl_meter(index: int = 0) -> Meter | NoMeter:
    """The meter of all processors, or why there is none.

    :param index: of no meaning here
    """
    from zeus.device import get_cpus
    from zeus.device.cpu.common import ZeusCPUNoPermissionError
    from zeus.exception import ZeusBaseError

    try:
        cpus = get_cpus()
    except ZeusCPUNoPermissionError:
        return NoMeter(
            "RAPL may be read by root only; allow it until the next boot with: "
            "sudo chmod a+r /sys/class/powercap/intel-rapl/*/energy_uj "
            "/sys/class/powercap/intel-rapl/*/*/energy_uj"
        )
    except (ZeusBaseError, OSError):
        return NoMeter(
            "this machine has no RAPL; virtual machines and containers do not show the counters of "
            "their host: measure on the host itself"
        )
    return RaplMeter(cpus) if len(cpus) else NoMeter("RAPL counts no processor of this machine")
