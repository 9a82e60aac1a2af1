"""What a table says of each architecture: repeats joined, and checked as far as they can be."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.source.user_table import TableRows, name_of_row
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.storage.measurement_set import ERROR, PERPLEXITY

MAX_SPREAD = 200.0
"""Largest factor between an architecture's median and that of all: 12 in the published data."""

_RANGES = {
    "latency": (1e-12, 1e9),
    "energy": (1e-12, 1e6),
    "memory_float16": (1e-3, 1e7),
    "memory_bfloat16": (1e-3, 1e7),
    "perplexity": (1.0, 1e6),
    "error": (1e-9, 1.0),
}
"""Smallest and largest plausible value of each metric, in ms, Wh, MB and 1."""


@dataclass(frozen=True)
class TableMeasurements:
    """What one table holds of ``n`` architectures, per forward pass of one batch.

    :param space: the space
    :param matrix: canonical choice indices in profiling order, shape (n, num_columns)
    :param values: by metric, in its own unit, shape (n, repeats); rows of NaN where it was not
        measured
    :param source: what was read, for the manifest
    :param rows: the rows as they stand in the table; None: it is raw profiler output
    """

    space: Space
    matrix: NDArray[np.uint8]
    values: Mapping[str, Array]
    source: Mapping[str, Any]
    rows: TableRows | None = None

    def __len__(self) -> int:
        return len(self.matrix)


def gather(rows: TableRows, space: Space, path: Path) -> TableMeasurements:
    """The measurements of each architecture of a table.

    :param path: of the table, for messages
    :raises DataError: architectures differ in their number of repeats, or values cannot be
    """
    keys = [row.tobytes() for row in rows.matrix]
    first: dict[bytes, int] = {}
    for i, key in enumerate(keys):
        first.setdefault(key, i)
    found: dict[str, dict[bytes, list[Array]]] = {metric: {} for metric in rows.values}
    for metric, measured in rows.values.items():
        for key, repeats in zip(keys, measured, strict=True):
            if not np.isnan(repeats[0]):
                found[metric].setdefault(key, []).append(repeats)
    if not found.get("latency", True):
        raise DataError(f"{path} has no latency; measure it: elapsed time is computed from it")
    names = {key: name_of_row(i) for key, i in first.items()}
    found = {metric: entries for metric, entries in found.items() if entries}
    return replace(joined_repeats(space, path, found, names, rows.source), rows=rows)


def joined_repeats(
    space: Space,
    path: Path,
    found: Mapping[str, Mapping[bytes, Sequence[Array]]],
    names: Mapping[bytes, str],
    source: Mapping[str, Any],
) -> TableMeasurements:
    """Join the repeats of each architecture, and check what can be checked.

    An architecture with twice as many repeats as most was visited twice: it counts once, with the
    mean of its visits. Likewise three times and so on.

    :param found: by metric and canonical choice indices
    :param names: of the architectures, in profiling order, for messages
    """
    values = {}
    for metric, measured in found.items():
        repeats = {key: np.concatenate(parts) for key, parts in measured.items()}
        expected = min(statistics.multimode(map(len, repeats.values())))
        low, high = _RANGES[metric]
        for key, row in repeats.items():
            where = f"{path}: {names[key]}: {metric}"
            if len(row) % expected:
                raise DataError(
                    f"{where} has {len(row)} repeats, most architectures have {expected}; "
                    "give every architecture the same number, or a multiple of it (rows of one "
                    "architecture are its repeats)"
                )
            wrong = row[~((row >= low) & (row <= high))]
            if len(wrong):
                raise DataError(
                    f"{where} is {wrong[0]:g}; expected positive numbers, from {low:g} to "
                    f"{high:g}: measure it again, or leave the architecture out"
                )
            if metric in (PERPLEXITY, ERROR) and np.ptp(row) > 0.0:
                raise DataError(
                    f"{where} is {row.min():g} in one row and {row.max():g} in another; keep the "
                    "right one"
                )
            repeats[key] = row.reshape(-1, expected).mean(axis=0)
        _check_spread(np.array([*repeats.values()]), [names[k] for k in repeats], metric, path)
        gap = np.full(expected, np.nan)
        values[metric] = np.array([repeats.get(key, gap) for key in names])
    matrix = np.array([np.frombuffer(key, dtype=np.uint8) for key in names])
    source = {
        **source,
        "architectures": len(names),
        "repeats": {metric: v.shape[1] for metric, v in values.items()},
    }
    return TableMeasurements(space, matrix, values, source)


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
            f"{path}: {names[i]}: {metric} is {median[i]:.6g} (median over repeats), that of all "
            f"architectures {middle:.6g}; is the unit of some rows another?"
        )
