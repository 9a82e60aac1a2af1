"""The 13 devices of HW-GPT-Bench, one row each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Device:
    """A device that was measured.

    :param name: as in the published data
    :param source_name: folder name part in the raw profiler output (a host's, for CPUs)
    :param energy_to_wh: factor from the published unit of energy to Wh (GPU kWh, CPU Wh)
    :param latency_range: plausible median latency of an architecture of s, m or l, in ms
    :param energy_range: plausible median energy of an architecture of s, m or l, in Wh;
        both ranges hold every measured median with a margin of two and are narrow enough that a
        slip of 1,000 in the unit falls outside (checked by the tests)
    """

    name: str
    source_name: str
    energy_to_wh: float
    latency_range: tuple[float, float]
    energy_range: tuple[float, float]


DEVICES: dict[str, Device] = {
    row.name: row
    for row in (
        #      name               source name    Wh per unit  latency ms        energy Wh
        Device("a100", "a100", 1000.0, (4.5, 100.0), (0.1, 30.0)),
        Device("a40", "a40", 1000.0, (5.0, 140.0), (0.15, 50.0)),
        Device("h100", "h100", 1000.0, (2.0, 40.0), (0.15, 12.0)),
        Device("rtx2080", "rtx2080", 1000.0, (9.0, 250.0), (0.2, 90.0)),
        Device("rtx3080", "rtx3080", 1000.0, (6.5, 190.0), (0.28, 80.0)),
        Device("a6000", "a6000", 1000.0, (4.9, 120.0), (0.16, 50.0)),
        Device("v100", "v100", 1000.0, (7.0, 150.0), (0.13, 60.0)),
        Device("P100", "P100", 1000.0, (29.0, 1100.0), (0.4, 330.0)),
        Device("cpu_xeon_silver", "cpu_mlgpu", 1.0, (500.0, 25000.0), (0.008, 0.6)),
        Device("cpu_xeon_gold", "cpu_meta", 1.0, (230.0, 60000.0), (0.0035, 0.9)),
        Device("cpu_amd_7502", "cpu_alldlc", 1.0, (480.0, 27000.0), (0.035, 2.2)),
        Device("cpu_amd_7513", "helix_cpu", 1.0, (1400.0, 90000.0), (0.14, 26.0)),
        Device("cpu_amd_7452", "cpu_a6000", 1.0, (540.0, 45000.0), (0.015, 1.6)),
    )
}
"""Every device by name."""

ALL_DEVICES = "all"
"""The dataset that answers for every device at once."""
