"""Reading a user's table of measurements: one row for each architecture, or for each repeat."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.source.parquet import parquet_as_csv
from hwgpt_blackbox.domain.encoding import FIRST_LAYER, NUM_LAYERS, Encoding
from hwgpt_blackbox.domain.objectives import NOISY, UNITS
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, printable
from hwgpt_blackbox.storage.measurement_set import REFERENCE, SECONDS

CSV, PARQUET = ".csv", ".parquet"
ENDINGS = (CSV, PARQUET)
"""Endings of the tables that are read."""

MAX_TABLE_BYTES = 1 << 30
"""A table beyond this is refused unread."""

_TRUTH: dict[Any, int] = {"true": 1, "1": 1, "1.0": 1, "false": 0, "0": 0, "0.0": 0}
_SECOND = re.compile(r"\.\d+")
_REPEATED = re.compile(r"(latency|energy)(?:_(\d{1,6}))?")

MEMORY_PEAK = "memory_peak"
"""Column of a measurement set that is not converted."""


@dataclass(frozen=True)
class TableKind:
    """What a table may hold beside configurations.

    :param metrics: that it may hold
    :param needed: of which it must hold one
    :param times: whether it may say which visits are of the reference architecture, and when
    :param shown: the columns as messages name them
    """

    metrics: tuple[str, ...]
    needed: tuple[str, ...]
    times: bool
    shown: str


DEVICE_TABLE = TableKind(
    (*NOISY, "memory_float16", "memory_bfloat16"),
    ("latency",),
    True,
    "latency, latency_0 …, energy, energy_0 …, memory_float16, memory_bfloat16",
)
QUALITY_TABLE = TableKind(
    ("perplexity", "error"), ("perplexity", "error"), False, "perplexity, error"
)


@dataclass(frozen=True)
class TableRows:
    """The rows of a table in its order; for a device, the order of measuring.

    :param matrix: canonical choice indices, shape (n, hyperparameters), uint8
    :param values: metric to measurements in its own unit, shape (n, repeats); rows of NaN where
        it was not measured
    :param reference: whether a row is a visit of the reference architecture, shape (n,)
    :param seconds: begin of each visit since the start, shape (n,); None: not stated
    :param source: the file and its units, for the manifest
    """

    matrix: NDArray[np.uint8]
    values: Mapping[str, Array]
    reference: NDArray[np.bool_]
    seconds: Array | None
    source: Mapping[str, Any]


def read_table(
    path: Path, space: Space, units: Mapping[str, str], kind: TableKind = DEVICE_TABLE
) -> TableRows:
    """The rows of a table of measurements.

    :param path: a file with an ending of ``ENDINGS``
    :param units: of latency and energy, of ``UNITS``
    :param kind: what it may hold
    :raises InputError: a unit is unknown
    :raises DataError: it is no table, or a column or cell is not what it must be
    """
    factors = {metric: _factor(metric, unit) for metric, unit in units.items()}
    frame = _read_frame(path)
    matrix = _architectures(frame, space, path)
    values = {
        metric: _values(frame, columns, path) * factors.get(metric, 1.0)
        for metric, columns in _value_columns(frame, space, kind, path).items()
    }
    empty = np.all([np.isnan(found[:, 0]) for found in values.values()], axis=0)
    for i in np.flatnonzero(empty)[:1]:
        raise DataError(f"{_where(path, i)} has no measurement; measure it, or leave the row out")
    reference = np.zeros(len(frame), dtype=bool)
    if REFERENCE in frame.columns:
        flags = [_TRUTH.get(_text(cell)) for cell in frame[REFERENCE].tolist()]
        if None in flags:
            i = flags.index(None)
            cell = frame[REFERENCE].tolist()[i]
            raise DataError(f"{_where(path, i)}: {REFERENCE} is {cell!r:.80}; choose one of 0, 1")
        reference = np.array(flags, dtype=bool)
    seconds = None
    if SECONDS in frame.columns:
        seconds = _values(frame, [SECONDS], path, whole=True)[:, 0]
    files = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}}
    stated = {metric: units[metric] for metric in values if metric in units}
    return TableRows(matrix, values, reference, seconds, {"files": files, "units": stated})


def _factor(metric: str, unit: str) -> float:
    if unit not in UNITS[metric]:
        raise InputError(f"unit of {metric} is {unit!r}; choose one of {', '.join(UNITS[metric])}")
    return UNITS[metric][unit]


def _read_frame(path: Path) -> pd.DataFrame:
    size = path.stat().st_size
    if size > MAX_TABLE_BYTES:
        raise DataError(
            f"{path} has {size} bytes, more than {MAX_TABLE_BYTES}: is it the right file? 10,000 "
            "architectures with 60 repeats take 15 MB"
        )
    if path.suffix.lower() == PARQUET:
        with parquet_as_csv(path, MAX_TABLE_BYTES) as text:
            frame = _read_csv(text, path)
    else:
        frame = _read_csv(path, path)
        _check_cells(path)
    if not len(frame):
        raise DataError(f"{path} has no rows; write one for every architecture")
    frame.columns = [str(name).strip() for name in frame.columns]
    if frame.shape[1] == 1:
        raise DataError(
            f"{path} has one column, {frame.columns[0]!r:.80}; separate columns with commas"
        )
    for name in frame.columns:  # pandas renames the second
        first = _SECOND.sub("", name)
        if first != name and first in frame.columns:
            raise DataError(f"{path} has the column {first!r} twice; rename or remove one")
    return frame


def _check_cells(path: Path) -> None:
    """Raise where a row has fewer cells than the heading: a cell that is missing is not empty.

    :raises DataError: names the row
    """
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = (row for row in csv.reader(file) if row)
        heading = len(next(rows, []))
        for i, row in enumerate(rows):
            if len(row) < heading:
                raise DataError(
                    f"{_where(path, i)} has {len(row)} of {heading} cells; last is "
                    f"{row[-1]!r:.80}: complete it, or leave the row out"
                )


def _read_csv(file: Path, path: Path) -> pd.DataFrame:
    """The table in a CSV file, every number to its last bit; errors name ``path``."""
    try:
        # An empty cell is one that was not measured; "nan" is a wrong value.
        return pd.read_csv(
            file, keep_default_na=False, na_values=[""], float_precision="round_trip"
        )
    except Exception as error:  # readers of foreign bytes raise many kinds
        first_line = printable(str(error).strip().partition("\n")[0][:200])
        raise DataError(
            f"{path} cannot be read as a table ({first_line}); expected Parquet, or CSV in UTF-8 "
            "with commas, and the same number of cells in every row"
        ) from None


def _value_columns(
    frame: pd.DataFrame, space: Space, kind: TableKind, path: Path
) -> dict[str, list[str]]:
    """Columns of the repeats of each metric, in order of their numbers."""
    found: dict[str, list[tuple[int, str]]] = {metric: [] for metric in kind.metrics}
    others = (*space.choices, *((REFERENCE, SECONDS, MEMORY_PEAK) if kind.times else ()))
    for name in map(str, frame.columns):
        match = _REPEATED.fullmatch(name)
        metric, number = (match[1], int(match[2] or -1)) if match else (name, -1)
        if metric in found:
            found[metric].append((number, name))
        elif name not in others:
            raise DataError(
                f"{path} has the column {name!r}, which is no hyperparameter of space "
                f"{space.name} and no measurement ({kind.shown}); rename or remove it"
            )
    if not any(found[metric] for metric in kind.needed):
        if kind is DEVICE_TABLE:
            raise DataError(f"{path} has no column latency, nor latency_0, latency_1 …")
        raise DataError(f"{path} has no column {' or '.join(kind.needed)}")
    return {metric: [name for _, name in sorted(names)] for metric, names in found.items() if names}


def _values(frame: pd.DataFrame, columns: list[str], path: Path, *, whole: bool = False) -> Array:
    """Numbers of some columns; a row in which all of them are empty is one of NaN.

    :param whole: no row may be empty
    """
    empty = frame[columns].isna().all(axis=1).to_numpy() & (not whole)
    found = []
    for name in columns:
        column = frame[name]
        parsed = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
        bad = ~np.isfinite(parsed) & ~empty | (column.dtype.kind not in "iufO")
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"{_where(path, row)}: {name} is {column.tolist()[row]!r:.80}; expected a number: "
                "measure it again, or leave the row out"
            )
        found.append(parsed)
    return np.stack(found, axis=1)


def _where(path: Path, index: int) -> str:
    return f"{path}: {name_of_row(index)}"


def name_of_row(index: int) -> str:
    """How messages call a row: the first after the heading is 1."""
    return f"row {index + 1} of the data"


def _architectures(frame: pd.DataFrame, space: Space, path: Path) -> NDArray[np.uint8]:
    """Canonical choice indices of the rows; cells of inactive layers may be empty."""
    missing = [name for name in space.choices if name not in frame.columns]
    if missing:
        raise DataError(
            f"{path} lacks {len(missing)} of the {len(space.choices)} hyperparameters of space "
            f"{space.name}: {', '.join(missing[:5])}{' …' * (len(missing) > 5)}; add them (cells "
            "of layers that a network does not have may be empty)"
        )
    matrix = np.zeros((len(frame), len(space.choices)), dtype=np.int64)
    for column, (name, choices) in enumerate(space.choices.items()):
        index: dict[Any, int] = {float(value): i for i, value in enumerate(choices)}
        index = _TRUTH if name == "bias" else index
        cells = frame[name].tolist()
        layer = (column - FIRST_LAYER) % space.max_layers if column >= FIRST_LAYER else -1
        for i, cell in enumerate(cells):
            if layer >= space.num_layers[matrix[i, NUM_LAYERS]]:
                continue
            key = _text(cell) if name == "bias" else _number(cell)
            if key not in index:
                shown = ", ".join(map(str, choices))
                raise DataError(f"{_where(path, i)}: {name} is {cell!r:.80}; choose one of {shown}")
            matrix[i, column] = index[key]
    return Encoding(space).canonical(matrix.astype(np.uint8)).astype(np.uint8)


def _text(cell: Any) -> str:
    return str(cell).strip().lower()


def _number(cell: Any) -> float | None:
    try:
        return float(cell)
    except (TypeError, ValueError):
        return None
