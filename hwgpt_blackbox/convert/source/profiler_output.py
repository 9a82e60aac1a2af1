"""Raw profiler output: cross-checked with ``stats.pkl``, and the source of accuracy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.source.checkout import ENERGY_FILES, LATENCY_FILES, Checkout
from hwgpt_blackbox.convert.source.number_checks import PlausibleRange, check_range, number, numbers
from hwgpt_blackbox.convert.source.stats_file import PERPLEXITY_RANGE, SERIES, Stats
from hwgpt_blackbox.domain.architecture_strings import Architectures
from hwgpt_blackbox.domain.devices import DEVICES, Device
from hwgpt_blackbox.domain.objectives import UNITS
from hwgpt_blackbox.errors import DataError, unknown

PROFILER_UNITS = {"latency": ("s", "ms", "us", "µs", "μs"), "energy": ("KWh", "kWh", "Wh")}
"""Units of ``UNITS`` that the published profiler writes, by metric."""

MEMORY_FOLDERS = {"mem_rtx2080": "float16_memory", "mem_a100": "bfloat16_memory"}
"""Raw folder to the key of ``stats.pkl`` that it measures."""

TOLERANCE = 1e-9
"""Relative difference between raw output and ``stats.pkl``: some differ in the last bit."""

ACCURACY_RANGE = PlausibleRange(0.1, 0.8, "")
"""Plausible accuracy: every measured value, 0.35 to 0.45, with a margin of nearly two or more."""

Compare = Callable[[dict[str, Any], int, str], None]


class CrossCheck:
    """Compares raw profiler output with the data set, as far as there is any.

    :param checkout: the source
    :param stats: its data set, in natural units
    """

    def __init__(self, checkout: Checkout, stats: Stats) -> None:
        self.checkout = checkout
        self.stats = stats
        self.compared: dict[str, int] = {}
        """What was compared to the number of architectures."""
        self._architectures = Architectures(checkout.space)
        self._index = {bytes(row): i for i, row in enumerate(stats.matrix)}

    def run(self) -> None:
        """Compare all raw output of latency, energy and memory.

        :raises DataError: a file is unreadable, corrupt or hostile; a unit is unknown; a value
            differs. Names file, architecture, device and both values.
        """
        for device in DEVICES.values():
            for what, kind, compare in (
                ("latencies", LATENCY_FILES, self._compare_latency(device)),
                ("energies", ENERGY_FILES, self._compare_tracked_energy(device)),
            ):
                chunks = self.checkout.raw_chunks(f"latency_{device.source_name}", kind)
                self._compare(f"{device.name}.{what}", chunks, compare)
        for folder, key in MEMORY_FOLDERS.items():
            chunks = self.checkout.raw_chunks(folder, LATENCY_FILES)
            self._compare(key, chunks, self._compare_memory(key))

    def perplexity_and_accuracy(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Perplexity and next-token accuracy of the data set's architectures.

        :return: two arrays of shape (n,), NaN where not measured; perplexity as in the data set,
            completed by raw output where only that has it
        :raises DataError: as in :meth:`run`
        """
        perplexity = self.stats.perplexity.copy()
        accuracy = np.full_like(perplexity, np.nan)

        def compare(row: dict[str, Any], i: int, where: str) -> None:
            measured = number(row.get("perplexity"), f"{where}: perplexity")
            if np.isnan(perplexity[i]):
                perplexity[i] = measured
            self._equal(np.array([measured]), perplexity[i : i + 1], i, "perplexity", where)
            accuracy[i] = number(row.get("accuracy"), f"{where}: accuracy")

        path = self.checkout.perplexity_chunks()
        self._compare("perplexity", path, compare)
        for values, plausible, what in (
            (perplexity, PERPLEXITY_RANGE, "perplexity"),
            (accuracy, ACCURACY_RANGE, "accuracy"),
        ):
            present = np.flatnonzero(~np.isnan(values))
            names = [self.stats.names[i] for i in present]
            folder = str(path[0].parent) if path else ""
            check_range(values[present, None], plausible, names, what, folder)
        return perplexity, accuracy

    # -- comparisons of one row ----------------------------------------------------------------

    def _compare_latency(self, device: Device) -> Compare:
        def compare(row: dict[str, Any], i: int, where: str) -> None:
            self._equal_to_series(latencies(row, where), "latencies", device, i, where)
            energy = mean_energy(row, where)
            if energy is not None:
                self._equal_to_series(energy, "energies", device, i, where, repeats=1)

        return compare

    def _compare_tracked_energy(self, device: Device) -> Compare:
        def compare(row: dict[str, Any], i: int, where: str) -> None:
            self._equal_to_series(tracked_energies(row, where), "energies", device, i, where)

        return compare

    def _compare_memory(self, key: str) -> Compare:
        def compare(row: dict[str, Any], i: int, where: str) -> None:
            memory = numbers(row.get("mean_mem"), f"{where}: mean_mem")
            self._equal(memory, self.stats.memory[key][i : i + 1], i, f"{key} (MB)", where)

        return compare

    # -- parts -----------------------------------------------------------------------------------

    def _compare(self, what: str, chunks: list[Path], compare: Compare) -> None:
        """Compare the architectures of raw files that the data set has, and count them."""
        count = 0
        for i, row, where in self._rows(chunks):
            compare(row, i, where)
            count += 1
        if chunks:
            self.compared[what] = count

    def _rows(self, chunks: list[Path]) -> Iterator[tuple[int, dict[str, Any], str]]:
        """Index in the data set, row, and where it stands; architectures that it lacks are left."""
        seen: set[bytes] = set()
        for path in chunks:
            for number_of_row, row in enumerate(self.checkout.read_rows(path)):
                where = f"{path}: row {number_of_row}"
                key = bytes(self._architectures.from_sample(row.get("arch"), where))
                name = self._architectures.to_string(list(key))
                if key in seen:
                    raise DataError(
                        f"{where}: {name} is there twice; remove the file that holds it again"
                    )
                seen.add(key)
                if key in self._index:
                    yield self._index[key], row, f"{path}: {name}"

    def _equal_to_series(
        self,
        raw: NDArray[np.float64],
        key: str,
        device: Device,
        index: int,
        where: str,
        *,
        repeats: int | None = None,
    ) -> None:
        """Compare with the repeats of a device; default: all that were measured."""
        stored = self.stats.series[key][list(DEVICES).index(device.name), index]
        unit = next(row.unit for row in SERIES if row.key == key)
        stored = stored[: repeats or self.stats.measured[key][device.name]]
        self._equal(raw, stored, index, f"{device.name}.{key} ({unit})", where)

    def _equal(
        self,
        raw: NDArray[np.float64],
        stored: NDArray[np.float64],
        index: int,
        what: str,
        where: str,
    ) -> None:
        path = self.checkout.stats
        if len(raw) != len(stored):
            raise DataError(
                f"{where}: {len(raw)} repeats of {what}; {path} has {len(stored)}: the two files "
                "are not of the same version, fetch them anew"
            )
        different = np.abs(raw - stored) > TOLERANCE * np.abs(stored)
        for k in np.flatnonzero(different)[:1]:
            raise DataError(
                f"{where}: repeat {k} of {what} is {raw[k]:.12g}; {path} has {stored[k]:.12g}: the "
                "two files are not of the same version, or one was changed; fetch them anew"
            )


def latencies(row: dict[str, Any], where: str) -> NDArray[np.float64]:
    """Latencies of a row in ms, each in its own unit there; shape (repeats,).

    :raises DataError: they are missing or no numbers, or a unit is unknown
    """
    kinds = [kind for kind in ("gpu", "cpu") if length(row.get(f"times_profiler_{kind}"))]
    if len(kinds) != 1:
        raise DataError(
            f"{where}: times of {' and '.join(kinds) or 'neither GPU nor CPU'}; expected one of "
            "times_profiler_gpu and times_profiler_cpu"
        )
    times = numbers(row[f"times_profiler_{kinds[0]}"], f"{where}: times_profiler_{kinds[0]}")
    units: Any = row.get(f"unit_{kinds[0]}")
    if length(units) != len(times):
        raise DataError(
            f"{where}: unit_{kinds[0]} has {length(units)} units for {len(times)} times; expected "
            "one per time"
        )
    factors = np.array([unit_factor("latency", unit, where) for unit in units])
    return np.asarray(times * factors)


def mean_energy(row: dict[str, Any], where: str) -> NDArray[np.float64] | None:
    """Mean energy of a CPU in a row of latencies, in Wh; None if it has none; shape (1,).

    Of a GPU a row of latencies has a mean energy too, in kWh but called Wh: it is not read.
    """
    if row.get("mean_energy_cpu") is None:
        return None
    energy = numbers(row["mean_energy_cpu"], f"{where}: mean_energy_cpu")
    return energy * unit_factor("energy", row.get("unit_energy"), where)


def tracked_energies(row: dict[str, Any], where: str) -> NDArray[np.float64]:
    """Energies of a row of the energy tracker in Wh, shape (repeats,)."""
    key = "energy_gpu" if length(row.get("energy_gpu")) else "energy_cpu"
    energy = numbers(row.get(key), f"{where}: {key}")
    return energy * unit_factor("energy", row.get("unit_energy"), where)


def unit_factor(metric: str, unit: Any, where: str) -> float:
    """Factor of a unit of the profiler to the metric's own.

    :raises DataError: the unit is unknown
    """
    known = PROFILER_UNITS[metric]
    if not isinstance(unit, str):
        raise DataError(
            f"{where}: unknown unit of type {type(unit).__name__}; known: {', '.join(known)}"
        )
    if unit not in known:
        raise DataError(f"{where}: {unknown('unit', unit, known)}")
    return UNITS[metric][unit]


def length(value: Any) -> int:
    """Entries of a list, tuple or row of an array; 0 of anything else."""
    sized = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
    return len(value) if sized else 0
