"""Reading what a user measured on a device of their own: a table, or raw profiler output."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.architectures import Architectures
from hwgpt_blackbox.convert.layout import ENERGY_FILES, LATENCY_FILES, numbered_chunks
from hwgpt_blackbox.convert.raw import TO_MS, TO_WH, length, read_times, unit_factor
from hwgpt_blackbox.convert.unpickle import parse_pickle, read_bytes
from hwgpt_blackbox.convert.values import numbers
from hwgpt_blackbox.encoding import FIRST_LAYER, NUM_LAYERS, Encoding
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.own_devices import NOISY
from hwgpt_blackbox.spaces import Space

UNITS: dict[str, dict[str, float]] = {
    "latency": {"ms": 1.0, "s": 1000.0, "us": 1e-3},
    "energy": {"Wh": 1.0, "kWh": 1000.0, "mWh": 1e-3, "J": 1.0 / 3600.0, "mJ": 1e-3 / 3600.0},
}
"""Units that a table may be in to their factor to ms and Wh."""

MAX_SPREAD = 200.0
"""Largest factor between an architecture's median and that of all: 12 in the published data."""

READERS = {".csv": "read_csv", ".parquet": "read_parquet"}
"""Ending of a table to its reader in pandas."""

_BIAS: dict[Any, int] = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}
_VALUE = re.compile(r"(latency|energy)(?:_(\d{1,6}))?")

Array = NDArray[np.float64]


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


def read_device(
    source: str | Path,
    space: Space,
    *,
    latency_unit: str | None = None,
    energy_unit: str | None = None,
) -> DeviceMeasurements:
    """Measurements from a ``.csv`` or ``.parquet`` file, or a folder of raw profiler output.

    Several rows of one architecture are repeats of it. The order of first mention is taken for
    the order of profiling.

    :param latency_unit: of a table, of ``UNITS``; default ms
    :param energy_unit: of a table, of ``UNITS``; default Wh
    :raises InputError: the source is neither, or a unit is unknown or does not apply
    :raises DataError: the content is malformed or implausible
    """
    path = Path(source).expanduser()
    if path.is_dir():
        if latency_unit or energy_unit:
            raise InputError("raw profiler output says its own units; leave the units out")
        return _checked(space, path, *_read_raw(path, space))
    if not path.is_file() or path.suffix.lower() not in READERS:
        raise InputError(
            f"source is {str(source)!r}; expected a file that ends in {' or '.join(READERS)}, or "
            "a folder of raw profiler output"
        )
    units = {"latency": latency_unit or "ms", "energy": energy_unit or "Wh"}
    factors = {metric: _factor(metric, unit) for metric, unit in units.items()}
    frame = _read_frame(path)
    matrix = _architectures(frame, space, path)
    values = {
        metric: _values(frame, columns, path) * factors[metric]
        for metric, columns in _value_columns(frame, space, path).items()
    }
    files = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}
    units = {metric: units[metric] for metric in values}
    rows = {m: list(zip(matrix, v, strict=True)) for m, v in values.items()}
    return _checked(space, path, rows, {"files": files, "units": units})


# -- what both kinds have in common --------------------------------------------------------------

Rows = Mapping[str, list[tuple[Any, Array]]]
"""Metric to (choice indices, measurements) in profiling order."""


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
        expected = len(repeats[0])
        for key, measured in zip(keys, repeats, strict=True):
            where = f"{path}: {metric} of {names.to_string(list(key))}"
            if len(measured) != expected:
                raise DataError(
                    f"{where} has {len(measured)} repeats, the first architecture has {expected}; "
                    "give every architecture the same number"
                )
            if not (np.isfinite(measured).all() and (measured > 0).all()):
                raise DataError(f"{where} is {measured.min()}; expected positive, finite numbers")
        values[metric] = np.array(repeats)
        _check_spread(values[metric], [names.to_string(list(key)) for key in keys], metric, path)
    source = {
        **source,
        "architectures": len(keys),
        "architectures_left_out": len(set().union(*gathered.values())) - len(keys),
        "repeats": {metric: v.shape[1] for metric, v in values.items()},
    }
    return DeviceMeasurements(space, matrix, values, source)


def _check_spread(values: Array, names: list[str], metric: str, path: Path) -> None:
    median = np.median(values, axis=1)
    middle = float(np.median(median))
    outside = (median > MAX_SPREAD * middle) | (median < middle / MAX_SPREAD)
    for i in np.flatnonzero(outside)[:1]:
        raise DataError(
            f"{path}: {metric} of {names[i]} is {median[i]:.6g} (median over repeats), that of all "
            f"architectures {middle:.6g}; is the unit of some rows another?"
        )


# -- tables --------------------------------------------------------------------------------------


def _factor(metric: str, unit: str) -> float:
    if unit not in UNITS[metric]:
        raise InputError(f"unit of {metric} is {unit!r}; choose one of {', '.join(UNITS[metric])}")
    return UNITS[metric][unit]


def _read_frame(path: Path) -> pd.DataFrame:
    options = {"engine": "fastparquet"} if path.suffix.lower() == ".parquet" else {}
    try:
        frame = getattr(pd, READERS[path.suffix.lower()])(path, **options)
    except Exception as error:  # readers of foreign bytes raise many kinds
        first_line = str(error).partition("\n")[0][:200]
        raise DataError(f"{path} cannot be read as a table ({first_line})") from None
    if not len(frame):
        raise DataError(f"{path} has no rows")
    return frame  # type: ignore[no-any-return]


def _value_columns(frame: pd.DataFrame, space: Space, path: Path) -> dict[str, list[str]]:
    """Columns of the repeats of each metric, in order of their numbers."""
    found: dict[str, list[tuple[int, str]]] = {metric: [] for metric in NOISY}
    for name in map(str, frame.columns):
        match = _VALUE.fullmatch(name)
        if match:
            found[match[1]].append((int(match[2] or -1), name))
        elif name not in space.choices:
            raise DataError(
                f"{path} has the column {name!r}, which is no hyperparameter of space "
                f"{space.name} and no measurement (latency, latency_0 …, energy, energy_0 …); "
                "rename or remove it"
            )
    if not found["latency"]:
        raise DataError(f"{path} has no column latency, nor latency_0, latency_1 …")
    return {metric: [name for _, name in sorted(names)] for metric, names in found.items() if names}


def _values(frame: pd.DataFrame, columns: list[str], path: Path) -> Array:
    for name in columns:
        column = pd.to_numeric(frame[name], errors="coerce")
        bad = np.flatnonzero(~np.isfinite(column.to_numpy(dtype=np.float64)))
        if len(bad):
            shown = frame[name].iloc[int(bad[0])]
            raise DataError(f"{path}: row {bad[0]}: {name} is {shown!r}; expected a number")
    return frame[columns].apply(pd.to_numeric).to_numpy(dtype=np.float64)  # type: ignore[no-any-return]


def _architectures(frame: pd.DataFrame, space: Space, path: Path) -> NDArray[np.uint8]:
    """Canonical choice indices of the rows; cells of inactive layers may be empty."""
    missing = [name for name in space.choices if name not in frame.columns]
    if missing:
        raise DataError(
            f"{path} lacks {len(missing)} of the {len(space.choices)} hyperparameters of space "
            f"{space.name}: {', '.join(missing[:5])}{' …' * (len(missing) > 5)}"
        )
    matrix = np.zeros((len(frame), len(space.choices)), dtype=np.int64)
    for column, (name, choices) in enumerate(space.choices.items()):
        index: dict[Any, int] = {float(value): i for i, value in enumerate(choices)}
        index = _BIAS if name == "bias" else index
        cells = frame[name].tolist()
        layer = (column - FIRST_LAYER) % space.max_layers if column >= FIRST_LAYER else -1
        for i, cell in enumerate(cells):
            if layer >= space.num_layers[matrix[i, NUM_LAYERS]]:
                continue
            key = str(cell).strip().lower() if name == "bias" else _number(cell)
            if key not in index:
                shown = ", ".join(map(str, choices))
                raise DataError(f"{path}: row {i}: {name} is {cell!r}; choose one of {shown}")
            matrix[i, column] = index[key]
    return Encoding(space).canonical(matrix.astype(np.uint8)).astype(np.uint8)


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None


# -- raw profiler output -------------------------------------------------------------------------


def _read_raw(folder: Path, space: Space) -> tuple[Rows, dict[str, Any]]:
    """Rows of a raw folder, in ms and Wh, and a record of its files."""
    architectures, files = Architectures(space), dict[str, Any]()
    rows: dict[str, list[tuple[Any, Array]]] = {"latency": [], "energy": []}

    def entries(kind: str) -> Iterator[tuple[list[int], dict[str, Any], str]]:
        for path in numbered_chunks(folder, kind):
            data = read_bytes(path)
            files[path.name] = {"sha256": hashlib.sha256(data).hexdigest()}
            content = parse_pickle(data, path)
            if type(content) is not list or any(type(row) is not dict for row in content):
                raise DataError(f"{path} is no list of dicts, as profiler output is")
            for i, row in enumerate(content):
                where = f"{path}: row {i}"
                yield architectures.from_sample(row.get("arch"), where), row, where

    tracked = bool(numbered_chunks(folder, ENERGY_FILES))
    for row, entry, where in entries(LATENCY_FILES):
        times, units = read_times(entry, where)
        factors = np.array([unit_factor(unit, TO_MS, where) for unit in units])
        rows["latency"].append((row, times * factors))
        # Of a GPU this file has a mean energy too, in kWh but called Wh: not read.
        if not tracked and entry.get("mean_energy_cpu") is not None:
            energy = numbers(entry["mean_energy_cpu"], f"{where}: mean_energy_cpu")
            rows["energy"].append((row, energy * _energy_factor(entry, where)))
    for row, entry, where in entries(ENERGY_FILES):
        key = "energy_gpu" if length(entry.get("energy_gpu")) else "energy_cpu"
        energy = numbers(entry.get(key), f"{where}: {key}")
        rows["energy"].append((row, energy * _energy_factor(entry, where)))
    if not rows["latency"]:
        raise DataError(f"{folder} has no rows in files {LATENCY_FILES}_<first>_<end>.pkl")
    return {metric: found for metric, found in rows.items() if found}, {"files": files}


def _energy_factor(entry: dict[str, Any], where: str) -> float:
    return unit_factor(entry.get("unit_energy"), TO_WH, where)
