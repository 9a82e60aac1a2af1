"""NVML through zeus: what is asked of it, and what is said when it fails."""

from __future__ import annotations

import pytest

from hwgpt_blackbox.profiling.meters import Meter, MeterError, NoMeter, find_meter

device = pytest.importorskip("zeus.device")
gpu = pytest.importorskip("zeus.device.gpu")


class Gpus:
    """As zeus's: a counter in mJ of each GPU."""

    def __init__(self, counters: dict[int, float | Exception]) -> None:
        self.counters = counters

    def supports_get_total_energy_consumption(self, index: int) -> bool:
        return index in self.counters

    def get_total_energy_consumption(self, index: int) -> float:
        found = self.counters[index]
        if isinstance(found, Exception):
            raise found
        return found


def test_the_counter_of_the_gpu_is_read_in_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "get_gpus", lambda: Gpus({0: 5.0, 1: 7000.0}))
    meter = find_meter("cuda", 1)
    assert isinstance(meter, Meter) and meter.joules() == 7.0


def test_an_old_gpu_has_no_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "get_gpus", lambda: Gpus({}))
    meter = find_meter("cuda", 0)
    assert isinstance(meter, NoMeter) and "since Volta" in meter.reason


def test_no_driver_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise gpu.ZeusGPUInitError("no NVML")

    monkeypatch.setattr(device, "get_gpus", fail)
    meter = find_meter("cuda", 0)
    assert isinstance(meter, NoMeter) and "is the NVIDIA driver installed" in meter.reason


def test_a_lost_gpu_is_an_error_of_the_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "get_gpus", lambda: Gpus({0: gpu.ZeusGPULostError("lost")}))
    meter = find_meter("cuda", 0)
    assert isinstance(meter, Meter)
    with pytest.raises(MeterError, match="lost"):
        meter.joules()
