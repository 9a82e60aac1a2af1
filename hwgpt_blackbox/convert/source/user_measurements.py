"""Reading what a user measured on a device of their own: a table, or raw profiler output."""

from __future__ import annotations

import hashlib
import logging
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.source.checkout import (
    ENERGY_FILES,
    LATENCY_FILES,
    numbered_chunks,
    parse_rows,
)
from hwgpt_blackbox.convert.source.pickle_reader import read_bytes
from hwgpt_blackbox.convert.source.profiler_output import (
    latencies,
    mean_energy,
    tracked_energies,
)
from hwgpt_blackbox.convert.source.user_table import ENDINGS, Rows, read_table
from hwgpt_blackbox.domain.architecture_strings import Architectures
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.storage.user_devices import Workload, workload_of

logger = logging.getLogger(__name__)

MAX_SPREAD = 200.0
"""Largest factor between an architecture's median and that of all: 12 in the published data."""

SLOWEST, FASTEST = 5e10, 2e14
"""FLOP/s between which a device is plausible: seven tenths of the slowest of the 13 devices, and
twice the fastest (medians over architectures: 7.0e10 of cpu_amd_7513 to 9.7e13 of h100)."""

WATTS = (5.0, 2_000.0)
"""Power between which a device is plausible; the five CPUs have 57 to 460 W."""

PUBLISHED_GPU_WATTS, GPU_RATE = (4e4, 3e6), 1e12
"""Energy over latency as HW-GPT-Bench published them for GPUs (65 kW to 1.7 MW: its energies are
not those of one pass), and the FLOP/s from which this is taken for plausible too."""

SMALLEST = 1e-12
"""Smallest latency (ms) and energy (Wh): what is smaller was not measured."""


@dataclass(frozen=True)
class DeviceMeasurements:
    """What was measured of ``n`` architectures on one device, per forward pass of one batch.

    :param space: the space
    :param matrix: canonical choice indices in profiling order, shape (n, num_columns)
    :param values: ``latency`` (ms), and ``energy`` (Wh) if measured, each of shape (n, repeats)
    :param source: what was read, for the manifest
    """

    space: Space
    matrix: NDArray[np.uint8]
    values: Mapping[str, Array]
    source: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.matrix)

    def targets(self, device: str) -> dict[str, Array]:
        """Measurements under the names that a surrogate has for them: ``latency@<device>`` …"""
        return {f"{metric}@{device}": measured for metric, measured in self.values.items()}

    def take(self, rows: NDArray[np.intp]) -> DeviceMeasurements:
        """Those of some of the architectures."""
        values = {metric: measured[rows] for metric, measured in self.values.items()}
        return DeviceMeasurements(self.space, self.matrix[rows], values, self.source)


def read_device(
    source: str | Path,
    space: Space,
    *,
    latency_unit: str | None = None,
    energy_unit: str | None = None,
    workload: Workload | None = None,
    confirm_units: bool = False,
) -> DeviceMeasurements:
    """Measurements from a ``.csv`` or ``.parquet`` file, or a folder of raw profiler output.

    Several rows of one architecture are repeats of it. The order of first mention is taken for
    the order of profiling.

    :param latency_unit: of a table, of ``domain.objectives.UNITS``; default ms
    :param energy_unit: of a table, of ``domain.objectives.UNITS``; default Wh
    :param workload: of one forward pass; default: that of the space
    :param confirm_units: accept latencies and energies of an implausible size
    :raises InputError: the source is neither, or a unit is unknown or does not apply
    :raises DataError: the content is malformed or implausible
    """
    path = Path(source).expanduser()
    if path.is_dir():
        if latency_unit or energy_unit:
            raise InputError("raw profiler output says its own units; leave the units out")
        data = _checked(space, path, *_read_raw(path, space))
    elif not path.exists():
        raise InputError(f"there is no file or folder {str(source)!r}; give the measurements")
    elif path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"source is {str(source)!r}; expected a file that ends in {' or '.join(ENDINGS)}, or "
            "a folder of raw profiler output"
        )
    else:
        units = {"latency": latency_unit or "ms", "energy": energy_unit or "Wh"}
        data = _checked(space, path, *read_table(path, space, units))
    if not confirm_units:
        _check_units(data, path, workload or workload_of(space))
    return data


# -- what both kinds have in common --------------------------------------------------------------


def _checked(space: Space, path: Path, rows: Rows, source: dict[str, Any]) -> DeviceMeasurements:
    """Gather the repeats of each architecture, and check what can be checked."""
    gathered: dict[str, dict[bytes, list[Array]]] = {}
    for metric, entries in rows.items():
        found: dict[bytes, list[Array]] = {}
        for row, measured in entries:
            found.setdefault(np.asarray(row, dtype=np.uint8).tobytes(), []).append(measured)
        gathered[metric] = found
    if not gathered.get("latency"):
        raise DataError(f"{path} has no latency; measure it: elapsed time is computed from it")
    keys = [k for k in gathered["latency"] if all(k in found for found in gathered.values())]
    if not keys:
        raise DataError(f"{path}: no architecture has both latency and energy")
    matrix = np.array([np.frombuffer(key, dtype=np.uint8) for key in keys])
    names = Architectures(space)
    values = {}
    for metric, found in gathered.items():
        repeats = [np.concatenate(found[key]) for key in keys]
        expected = statistics.mode(map(len, repeats))
        for key, measured in zip(keys, repeats, strict=True):
            where = f"{path}: {metric} of {names.to_string(list(key))}"
            if len(measured) != expected:
                raise DataError(
                    f"{where} has {len(measured)} repeats, most architectures have {expected}; "
                    "give every architecture the same number (rows of one architecture are its "
                    "repeats)"
                )
            if not (np.isfinite(measured).all() and (measured >= SMALLEST).all()):
                raise DataError(
                    f"{where} is {measured.min():g}; expected positive, finite numbers: measure it "
                    "again, or leave the architecture out"
                )
        values[metric] = np.array(repeats)
        _check_spread(values[metric], [names.to_string(list(key)) for key in keys], metric, path)
    left_out = len(set().union(*gathered.values())) - len(keys)
    if left_out:
        logger.warning("%s: %d architectures lack latency or energy: left out", path, left_out)
    source = {
        **source,
        "architectures": len(keys),
        "architectures_left_out": left_out,
        "repeats": {metric: v.shape[1] for metric, v in values.items()},
    }
    return DeviceMeasurements(space, matrix, values, source)


def _check_spread(values: Array, names: list[str], metric: str, path: Path) -> None:
    """Raise where architectures, or repeats, are of different sizes, or all the same.

    :raises DataError: says which
    """
    if (values == values[0, 0]).all():
        raise DataError(
            f"{path}: {metric} is {values[0, 0]:g} throughout; expected what was measured"
        )
    by_repeat = np.median(values, axis=0)
    if by_repeat.max() > MAX_SPREAD * by_repeat.min():
        low, high = int(by_repeat.argmin()), int(by_repeat.argmax())
        raise DataError(
            f"{path}: {metric} is {by_repeat[low]:.6g} in the repeats number {low + 1} and "
            f"{by_repeat[high]:.6g} in those number {high + 1} (medians over architectures); is "
            "the unit of some columns or rows another?"
        )
    median = np.median(values, axis=1)
    middle = float(np.median(median))
    outside = (median > MAX_SPREAD * middle) | (median < middle / MAX_SPREAD)
    for i in np.flatnonzero(outside)[:1]:
        raise DataError(
            f"{path}: {metric} of {names[i]} is {median[i]:.6g} (median over repeats), that of all "
            f"architectures {middle:.6g}; is the unit of some rows another?"
        )


def _check_units(data: DeviceMeasurements, path: Path, workload: Workload) -> None:
    """Raise where latencies or energies are of a size that no device has for its architectures.

    :raises DataError: names the values, and what was expected
    """
    flops = count(Encoding(data.space), data.matrix, "flops") * workload.share_of(data.space)
    seconds = np.median(data.values["latency"], axis=1) / 1e3
    rate, middle = float(np.median(flops / seconds)), 1e3 * float(np.median(seconds))
    if not SLOWEST <= rate <= FASTEST:
        low, high = (middle * rate / limit for limit in (FASTEST, SLOWEST))
        raise DataError(
            f"{path}: the median latency is {middle:.4g} ms; expected {low:.3g} to {high:.3g} ms "
            f"for these architectures ({rate:.2g} FLOP/s; the 13 devices have 7e10 to 1e14). "
            f"{_CURE.format(metric='latency')}"
        )
    if "energy" not in data.values:
        return
    energy = np.median(data.values["energy"], axis=1)
    watts = float(np.median(3600.0 * energy / seconds))
    ranges = [WATTS, PUBLISHED_GPU_WATTS] if rate >= GPU_RATE else [WATTS]
    if not any(low <= watts <= high for low, high in ranges):
        scale = float(np.median(energy)) / watts
        expected = " or ".join(f"{low * scale:.3g} to {high * scale:.3g}" for low, high in ranges)
        raise DataError(
            f"{path}: the median energy is {watts * scale:.4g} Wh in {middle:.4g} ms; expected "
            f"{expected} Wh for that latency ({watts:.2g} W). {_CURE.format(metric='energy')}"
        )


_CURE = (
    "Is the unit another? Give it with --{metric}-unit ({metric}_unit=); if the values are right, "
    "say so with --confirm-units (confirm_units=True)"
)


# -- raw profiler output -------------------------------------------------------------------------


def _read_raw(folder: Path, space: Space) -> tuple[Rows, dict[str, Any]]:
    """Rows of a raw folder, in ms and Wh, and a record of its files."""
    architectures, files = Architectures(space), dict[str, Any]()
    rows: dict[str, list[tuple[Any, Array]]] = {"latency": [], "energy": []}

    def entries(kind: str) -> Iterator[tuple[list[int], dict[str, Any], str]]:
        for path in numbered_chunks(folder, kind):
            data = read_bytes(path)
            files[path.name] = {"sha256": hashlib.sha256(data).hexdigest()}
            for i, row in enumerate(parse_rows(data, path)):
                where = f"{path}: row {i}"
                yield architectures.from_sample(row.get("arch"), where), row, where

    tracked = bool(numbered_chunks(folder, ENERGY_FILES))
    for row, entry, where in entries(LATENCY_FILES):
        rows["latency"].append((row, latencies(entry, where)))
        energy = None if tracked else mean_energy(entry, where)
        if energy is not None:
            rows["energy"].append((row, energy))
    for row, entry, where in entries(ENERGY_FILES):
        rows["energy"].append((row, tracked_energies(entry, where)))
    if not rows["latency"]:
        raise DataError(f"{folder} has no rows in files {LATENCY_FILES}_<first>_<end>.pkl")
    return {metric: found for metric, found in rows.items() if found}, {"files": files}
