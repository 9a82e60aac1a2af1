"""Reading all that a user measured of one space: a measurement set, or tables by themselves."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.source.table_measurements import TableMeasurements
from hwgpt_blackbox.convert.source.user_measurements import read_device, read_quality
from hwgpt_blackbox.convert.source.user_table import CSV, ENDINGS
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import SPACES, Space
from hwgpt_blackbox.errors import DataError, InputError, printable
from hwgpt_blackbox.storage.manifest import read_small
from hwgpt_blackbox.storage.measurement_set import QUALITY, SPACE_FILE, is_set
from hwgpt_blackbox.storage.user_devices import Workload, check_name, workload_of

logger = logging.getLogger(__name__)

MAX_CONDITIONS_BYTES = 1 << 20
"""Conditions beyond this are refused unread."""


@dataclass(frozen=True)
class UserMeasurements:
    """What a user measured of ``n`` architectures of one space.

    :param space: the space
    :param matrix: canonical choice indices, shape (n, num_columns)
    :param values: by target (``latency@mygpu``, ``perplexity`` …), in the metric's unit, shape
        (n, repeats); rows of NaN where it was not measured
    :param order: by device, the place of each architecture in the order of measuring, shape (n,)
    :param source: what was read, for the manifest
    """

    space: Space
    matrix: NDArray[np.uint8]
    values: Mapping[str, Array]
    order: Mapping[str, NDArray[np.intp]]
    source: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.matrix)

    @property
    def noisy(self) -> dict[str, Array]:
        """Measurements of the targets that are modelled with noise, shape (n, repeats)."""
        return {t: v for t, v in self.values.items() if METRICS[t.partition("@")[0]].noisy}

    @property
    def exact(self) -> dict[str, Array]:
        """Values of the other targets, shape (n,)."""
        return {t: v[:, 0] for t, v in self.values.items() if t not in self.noisy}

    def take(self, rows: NDArray[np.intp]) -> UserMeasurements:
        """Those of some of the architectures."""
        values = {target: measured[rows] for target, measured in self.values.items()}
        order = {device: places[rows] for device, places in self.order.items()}
        return replace(self, matrix=self.matrix[rows], values=values, order=order)

    def only(self, targets: Collection[str]) -> UserMeasurements:
        """Those of some targets, on all architectures."""
        values = {t: v for t, v in self.values.items() if t in targets}
        devices = {target.partition("@")[2] for target in values}
        order = {device: places for device, places in self.order.items() if device in devices}
        return replace(self, values=values, order=order)

    def measuring(self, targets: Collection[str]) -> UserMeasurements:
        """Those of some targets, on the architectures of which one of them was measured."""
        found = self.only(targets)
        known = [~np.isnan(v[:, 0]) for v in found.values.values()]
        return found.take(np.flatnonzero(np.any(known, axis=0)))

    def rows_of(self, target: str) -> NDArray[np.intp]:
        """Rows of the architectures of which a target was measured, in the order of measuring."""
        rows = np.flatnonzero(~np.isnan(self.values[target][:, 0]))
        device = target.partition("@")[2]
        return rows[np.argsort(self.order[device][rows], kind="stable")] if device else rows


def join(
    space: Space,
    devices: Mapping[str, TableMeasurements],
    quality: TableMeasurements | None = None,
) -> UserMeasurements:
    """The measurements of several tables of one space.

    Memory does not depend on the device: it is the first device's that has it.

    :param devices: by name
    :param quality: perplexity, error or both
    """
    tables = {**devices, **({QUALITY: quality} if quality else {})}
    index: dict[bytes, int] = {}
    for table in tables.values():
        for row in table.matrix:
            index.setdefault(row.tobytes(), len(index))
    matrix = np.array([np.frombuffer(key, dtype=np.uint8) for key in index])
    values: dict[str, Array] = {}
    order: dict[str, NDArray[np.intp]] = {}
    for name, table in tables.items():
        rows = np.array([index[row.tobytes()] for row in table.matrix])
        if name in devices:
            order[name] = np.full(len(matrix), len(rows), dtype=np.intp)
            order[name][rows] = np.arange(len(rows))
        for metric, measured in table.values.items():
            target = f"{metric}@{name}" if METRICS[metric].per_device else metric
            if target not in values:
                values[target] = np.full((len(matrix), measured.shape[1]), np.nan)
                values[target][rows] = measured
    files = {key: row for table in tables.values() for key, row in table.source["files"].items()}
    about = {name: dict(table.source) for name, table in tables.items()}
    return UserMeasurements(space, matrix, values, order, {"files": files, "tables": about})


def read_set(folder: Path, *, confirm_units: bool = False) -> UserMeasurements:
    """All tables of a measurement set.

    :param confirm_units: accept latencies and energies of an implausible size
    :raises InputError: it is no measurement set, or a device's name is taken
    :raises DataError: it has no tables or two spaces, or a table is malformed or implausible
    """
    if not is_set(folder):
        raise InputError(f"{folder} is no measurement set: it has no {SPACE_FILE}; write one")
    others = [path.name for path in sorted(folder.glob("*.toml")) if path.name != SPACE_FILE]
    if others:
        raise DataError(
            f"{folder} has the space files {SPACE_FILE} and {', '.join(others)}; a set is of one "
            "space: keep each in a folder of its own"
        )
    space = Space.from_file(folder / SPACE_FILE)
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS]
    tables = {path.stem: path for path in files}
    if not tables:
        raise DataError(
            f"{folder} has no tables; measure with 'hwgpt-blackbox profile', or write <device>.csv "
            f"or {QUALITY}.csv"
        )
    for path in files:
        if path != tables[path.stem]:
            other = tables[path.stem].name
            raise DataError(f"{folder} has both {path.name} and {other}; keep one of them")
        _check_end(path)
    found = tables.pop(QUALITY, None)
    devices, usual = {}, workload_of(space)
    for device, path in tables.items():
        try:
            check_name(device)
        except InputError as error:
            raise InputError(f"{path}: {error}: rename the file") from None
        stated = path.with_suffix(".json")
        conditions = _conditions(stated, space)
        try:
            workload = Workload(
                conditions.get("batch_size", usual.batch),
                conditions.get("sequence_length", usual.length),
            )
        except InputError as error:
            raise DataError(f"{stated}: {error}; correct it") from None
        # ``profile`` writes ms and Wh, and says its method: its units are not in doubt.
        sure = confirm_units or "method" in conditions
        table = read_device(path, space, workload=workload, confirm_units=sure)
        if workload != usual and space.name not in SPACES:
            logger.warning(
                "%s was measured on %s; FLOPs and memory are of %s", device, workload, usual
            )
        if conditions:
            about = {"workload": workload.as_dict(), "conditions": conditions}
            table = replace(table, source={**table.source, **about})
        devices[device] = table
    return join(space, devices, read_quality(found, space) if found else None)


def _check_end(path: Path) -> None:
    """Raise where the last row of a table of a set is not whole.

    :raises DataError: it is no file; or says what its last row is
    """
    if not path.is_file():
        raise DataError(f"{path} is no file; put the table itself into the set")
    if path.suffix.lower() == CSV and path.stat().st_size:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - (1 << 16)))
            last = file.read().splitlines(keepends=True)[-1]
        if not last.endswith((b"\n", b"\r")):
            shown = printable(last.decode(errors="replace"))
            raise DataError(
                f"{path}: the last row, {shown:.80}, has no line end, as after a process was "
                "killed: run the command that wrote it again, or complete or delete the row"
            )


def _conditions(path: Path, space: Space) -> dict[str, Any]:
    """The conditions under which a device was measured; empty if they were not written.

    :raises DataError: they are no JSON object, or of another space
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(read_small(path, MAX_CONDITIONS_BYTES, "measure again, or delete it"))
        json.dumps(found, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is no JSON ({printable(error):.200}); measure again, or delete it"
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no JSON object; measure again, or delete it")
    stated = found.get("space", space.name)
    if stated not in (space.name, space.as_dict()):
        raise DataError(
            f"{path} is of space {printable(stated):.80}, {SPACE_FILE} of {space.name}; a set is "
            "of one space: keep each in a folder of its own"
        )
    return found
