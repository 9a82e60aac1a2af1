"""What a machine is, and the state that it is in; what cannot be read is None."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import InputError, require

CPU, CUDA = "cpu", "cuda"
"""Kinds of device, as torch calls them."""

_DEVICE = re.compile(rf"({CPU})|({CUDA})(?::(\d+))?")
_CPU_INFO = Path("/proc/cpuinfo")
_FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq")
_THERMAL = Path("/sys/class/thermal")
_FREE_MEMORY = Path("/proc/meminfo")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Place:
    """What runs the network.

    :param kind: ``cpu`` or ``cuda``
    :param index: of the GPU, as torch counts them
    """

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == CPU else f"{self.kind}:{self.index}"

    def facts(self) -> dict[str, Any]:
        """What stays the same while nobody changes the machine, for the conditions."""
        import torch

        facts: dict[str, Any] = {
            "processor": _processor(),
            "cpus": _usable_cpus(),
            "torch": str(torch.__version__),
            "governor": _text(_FREQUENCY / "scaling_governor"),
        }
        if self.kind == CUDA:
            facts |= {
                "host_processor": facts["processor"],
                "processor": torch.cuda.get_device_name(self.index),
                "driver": _driver(),
                "cuda": torch.version.cuda,
            }
        return facts

    def state(self) -> dict[str, Any]:
        """What changes: system, load average, temperature (degrees Celsius) and clock (MHz)."""
        found: dict[str, Any] = {
            "system": f"{platform.system()} {platform.release()}",
            "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "temperature": None,
            "clock": None,
        }
        if self.kind == CPU:
            clock = _number(_FREQUENCY / "scaling_cur_freq")
            mhz = None if clock is None else clock / 1e3
            return {**found, "temperature": _hottest(), "clock": mhz}
        import torch

        with contextlib.suppress(Exception):  # torch raises what NVML raises, of many kinds
            found["temperature"] = torch.cuda.temperature(self.index)
            found["clock"] = torch.cuda.clock_rate(self.index)
        return found

    def free_memory(self) -> int | None:
        """Bytes that a network may take."""
        if self.kind == CUDA:
            import torch

            return int(torch.cuda.mem_get_info(self.index)[0])
        found = [_available(), _left_in_cgroup()]
        return min((value for value in found if value is not None), default=None)


def find_place(name: str) -> Place:
    """The device that ``--on`` names.

    :param name: ``cpu``, ``cuda`` or ``cuda:<i>``
    :raises InputError: it is none of them, or torch has no such GPU
    :raises MissingExtraError: torch is not installed
    """
    require("torch", extra="profiling")
    match = _DEVICE.fullmatch(name)
    if match is None:
        raise InputError(f"on is {name!r:.50}; expected {CPU}, {CUDA} or {CUDA}:<number>")
    if match[1]:
        return Place(CPU)
    import torch

    if not torch.cuda.is_available():
        how = "was built without CUDA" if torch.version.cuda is None else "finds no GPU"
        raise InputError(
            f"on is {name!r}, but torch {torch.__version__} {how}; use --on {CPU}, or install "
            "torch for your GPU and its driver (https://pytorch.org/get-started)"
        )
    index = int(match[3] or 0)
    if index >= torch.cuda.device_count():
        raise InputError(
            f"on is {name!r}, but torch sees {torch.cuda.device_count()} GPUs; numbers are from 0"
        )
    return Place(CUDA, index)


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch compute with this many threads within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def default_threads() -> int:
    """Threads that torch would take."""
    import torch

    return torch.get_num_threads()


def _usable_cpus() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _processor() -> str:
    for line in (_text(_CPU_INFO) or "").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _driver() -> str | None:
    with contextlib.suppress(Exception):  # no NVML, or not of this GPU
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    return None


def _hottest() -> float | None:
    found = [_number(path) for path in _THERMAL.glob("thermal_zone*/temp")]
    return max((value / 1e3 for value in found if value is not None), default=None)


def _available() -> int | None:
    match = re.search(r"MemAvailable:\s+(\d+) kB", _text(_FREE_MEMORY) or "")
    return int(match[1]) * 1024 if match else None


def _left_in_cgroup() -> int | None:
    """Bytes below the limit of a container."""
    limit, used = _number(_CGROUP / "memory.max"), _number(_CGROUP / "memory.current")
    return None if limit is None or used is None else max(0, int(limit - used))


def _number(path: Path) -> float | None:
    with contextlib.suppress(TypeError, ValueError):
        return float(_text(path) or "")
    return None


def _text(path: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8").strip()
    return None
