"""Reading what a user measured: a table, or raw profiler output of a device."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.fitting.reference_visits import drift_curve
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
from hwgpt_blackbox.convert.source.table_measurements import (
    TableMeasurements,
    gather,
    joined_repeats,
)
from hwgpt_blackbox.convert.source.user_table import (
    ENDINGS,
    HARDWARE,
    QUALITY,
    read_table,
)
from hwgpt_blackbox.domain.architecture_strings import Architectures
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import NOISY
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.storage.measurement_set import DRIFT_BOUND
from hwgpt_blackbox.storage.user_devices import Workload, workload_of

logger = logging.getLogger(__name__)

SLOWEST, FASTEST = 5e10, 2e14
"""FLOP/s between which a device is plausible: seven tenths of the slowest of the 13 devices, and
twice the fastest (medians over architectures: 7.0e10 of cpu_amd_7513 to 9.7e13 of h100)."""

WATTS = (5.0, 2_000.0)
"""Power between which a device is plausible; the five CPUs have 57 to 460 W."""

PUBLISHED_GPU_WATTS, GPU_RATE = (4e4, 3e6), 1e12
"""Energy over latency as HW-GPT-Bench published them for GPUs (65 kW to 1.7 MW: its energies are
not those of one pass), and the FLOP/s from which this is taken for plausible too."""

OVERHEAD = 100.0
"""Milliseconds that a pass may take for other things than arithmetic: of small networks, most."""

DRIFT = "drift"
"""Key of the drift curves in what a table says of itself, by metric."""


def read_device(
    source: str | Path,
    space: Space,
    *,
    latency_unit: str | None = None,
    energy_unit: str | None = None,
    workload: Workload | None = None,
    confirm_units: bool = False,
) -> TableMeasurements:
    """Measurements from a ``.csv`` or ``.parquet`` file, or a folder of raw profiler output.

    Several rows of one architecture are repeats of it; of the reference architecture they are
    visits, of which the mean counts. The order of first mention is taken for the order of
    profiling.

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
        data = _read_raw(path, space)
    else:
        check_table(path)
        units = {"latency": latency_unit or "ms", "energy": energy_unit or "Wh"}
        data = _without_drift(gather(read_table(path, space, units, HARDWARE), space, path), path)
    if not confirm_units:
        _check_units(data, path, workload or workload_of(space))
    return data


def read_quality(source: str | Path, space: Space) -> TableMeasurements:
    """Perplexities, errors or both of architectures, from a ``.csv`` or ``.parquet`` file.

    :raises InputError: there is no such file
    :raises DataError: the content is malformed or implausible
    """
    path = Path(source).expanduser()
    check_table(path)
    return gather(read_table(path, space, {}, QUALITY), space, path)


def check_table(path: Path) -> None:
    """Raise unless a table is there, and of a kind that is read.

    :raises InputError: it is not
    """
    if not path.exists():
        raise InputError(f"there is no file or folder {str(path)!r}; give the measurements")
    if path.suffix.lower() not in ENDINGS:
        raise InputError(
            f"source is {str(path)!r}; expected a file that ends in {' or '.join(ENDINGS)}, or "
            "a folder of raw profiler output"
        )


def _without_drift(data: TableMeasurements, path: Path) -> TableMeasurements:
    """The measurements divided by the drift that visits of the reference architecture show."""
    rows, curves = data.rows, {}
    if rows is None or rows.seconds is None:
        return data
    values = dict(rows.values)
    for metric in NOISY:
        found = metric in values and drift_curve(values[metric], rows.reference, rows.seconds)
        if found:
            curves[metric] = found.as_dict()
            values[metric] = values[metric] / np.exp(found.at(rows.seconds))[:, None]
            if found.change > DRIFT_BOUND:
                logger.warning(
                    "%s: %s of the reference architecture changed by %.0f %% while it was "
                    "measured; it is divided out, but measure on a quieter machine if you can",
                    path,
                    metric,
                    100.0 * found.change,
                )
    if not curves:
        return data
    steady = gather(replace(rows, values=values), data.space, path)
    return replace(steady, source={**steady.source, DRIFT: curves}, rows=rows)


def _check_units(data: TableMeasurements, path: Path, workload: Workload) -> None:
    """Raise where latencies or energies are of a size that no device has for its architectures.

    :raises DataError: names the values, and what was expected
    """
    flops = count(Encoding(data.space), data.matrix, "flops") * workload.share_of(data.space)
    known = ~np.isnan(data.values["latency"][:, 0])
    flops, seconds = flops[known], np.median(data.values["latency"][known], axis=1) / 1e3
    rate, middle = float(np.median(flops / seconds)), 1e3 * float(np.median(seconds))
    low, high = (middle * rate / limit for limit in (FASTEST, SLOWEST))
    if not low <= middle <= high + OVERHEAD:
        raise DataError(
            f"{path}: the median latency is {middle:.4g} ms; expected {low:.3g} to {high:.3g} ms "
            f"for these architectures ({rate:.2g} FLOP/s; the 13 devices have 7e10 to 1e14). "
            f"{_CURE.format(metric='latency')}"
        )
    if "energy" not in data.values:
        return
    both = ~np.isnan(data.values["energy"][known, 0])
    energy = np.median(data.values["energy"][known][both], axis=1)
    if not len(energy):
        return
    watts = float(np.median(3600.0 * energy / seconds[both]))
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


def _read_raw(folder: Path, space: Space) -> TableMeasurements:
    """Measurements of a raw folder, and a record of its files.

    Architectures that lack latency or energy are left out.
    """
    architectures, files = Architectures(space), dict[str, Any]()
    found: dict[str, dict[bytes, list[Array]]] = {"latency": {}, "energy": {}}

    def entries(kind: str) -> Iterator[tuple[bytes, dict[str, Any], str]]:
        for path in numbered_chunks(folder, kind):
            data = read_bytes(path)
            files[path.name] = {"sha256": hashlib.sha256(data).hexdigest()}
            for i, row in enumerate(parse_rows(data, path)):
                where = f"{path}: row {i}"
                yield bytes(architectures.from_sample(row.get("arch"), where)), row, where

    tracked = bool(numbered_chunks(folder, ENERGY_FILES))
    for key, entry, where in entries(LATENCY_FILES):
        found["latency"].setdefault(key, []).append(latencies(entry, where))
        energy = None if tracked else mean_energy(entry, where)
        if energy is not None:
            found["energy"].setdefault(key, []).append(energy)
    for key, entry, where in entries(ENERGY_FILES):
        found["energy"].setdefault(key, []).append(tracked_energies(entry, where))
    if not found["latency"]:
        raise DataError(f"{folder} has no rows in files {LATENCY_FILES}_<first>_<end>.pkl")
    found = {metric: rows for metric, rows in found.items() if rows}
    keys = [key for key in found["latency"] if all(key in rows for rows in found.values())]
    if not keys:
        raise DataError(f"{folder}: no architecture has both latency and energy")
    left_out = len(set().union(*found.values())) - len(keys)
    if left_out:
        logger.warning("%s: %d architectures lack latency or energy: left out", folder, left_out)
    names = {key: architectures.to_string(list(key)) for key in keys}
    complete = {metric: {key: rows[key] for key in keys} for metric, rows in found.items()}
    source = {"files": files, "architectures_left_out": left_out}
    return joined_repeats(space, folder, complete, names, source)
