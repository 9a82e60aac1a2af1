"""RAPL through zeus, on a tree of files as Linux has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwgpt_blackbox.profiling.meters import Meter, MeterError, NoMeter, find_meter

zeus_cpu = pytest.importorskip("zeus.device.cpu")
rapl = pytest.importorskip("zeus.device.cpu.rapl")


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Counters of a package and its memory."""
    root = tmp_path / "intel-rapl"
    package = root / "intel-rapl:0"
    for folder, name in ((package, "package-0"), (package / "intel-rapl:0:0", "dram")):
        folder.mkdir(parents=True)
        (folder / "name").write_text(name)
        (folder / "energy_uj").write_text("1000000")
        (folder / "max_energy_range_uj").write_text("262143328850")
    monkeypatch.setattr(rapl, "RAPL_DIR", str(root))
    monkeypatch.setattr(zeus_cpu, "_cpus", None)
    # The process that watches for wrapping is zeus's own matter.
    monkeypatch.setattr(rapl.RaplWraparoundTracker, "__init__", lambda self, *_: None)
    monkeypatch.setattr(rapl.RaplWraparoundTracker, "get_num_wraparounds", lambda self: 0)
    rapl.rapl_is_available.cache_clear()
    yield [package / "energy_uj", package / "intel-rapl:0:0" / "energy_uj"]
    rapl.rapl_is_available.cache_clear()


def test_package_and_memory_are_added(counters: list[Path]) -> None:
    meter = find_meter("cpu", 0)
    assert isinstance(meter, Meter)
    before = meter.joules()
    counters[0].write_text("4000000")
    counters[1].write_text("1500000")
    assert meter.joules() - before == pytest.approx(3.5)


def test_a_counter_that_vanishes_is_an_error_of_the_meter(counters: list[Path]) -> None:
    meter = find_meter("cpu", 0)
    assert isinstance(meter, Meter)
    counters[0].unlink()
    with pytest.raises(MeterError, match="RAPL cannot be read"):
        meter.joules()


def test_a_counter_for_root_only_says_how_to_allow_it(
    counters: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise rapl.cpu_common.ZeusCPUNoPermissionError("no")

    monkeypatch.setattr(zeus_cpu, "RAPLCPUs", refuse)
    meter = find_meter("cpu", 0)
    assert isinstance(meter, NoMeter) and "sudo chmod a+r /sys/class/powercap" in meter.reason


def test_a_machine_without_counters_says_what_would_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeus_cpu, "_cpus", None)
    for name in ("RAPL_DIR", "CONTAINER_RAPL_DIR"):
        monkeypatch.setattr(rapl, name, str(tmp_path / "none"))
    rapl.rapl_is_available.cache_clear()
    meter = find_meter("cpu", 0)
    rapl.rapl_is_available.cache_clear()
    assert isinstance(meter, NoMeter) and "virtual machines" in meter.reason


def test_without_zeus_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwgpt_blackbox.profiling.meters.find_spec", lambda name: None)
    meter = find_meter("cpu", 0)
    assert isinstance(meter, NoMeter) and "hwgpt-blackbox[profiling]" in meter.reason
