"""The measured table on disk, in Syne Tune's own format: its files, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import METRICS, PREFIX, Measured
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.models.surrogate import ERROR, measured_targets
from hwgpt_blackbox.storage.artifact_kinds import TABULAR
from hwgpt_blackbox.storage.locations import is_artifact
from hwgpt_blackbox.storage.manifest import (
    MAX_MANIFEST_BYTES,
    check_files,
    map_numbers,
    read_arrays,
    read_manifest,
    read_small,
    read_whole,
)
from hwgpt_blackbox.storage.spaces import space_of
from hwgpt_blackbox.storage.user_devices import check_name

if TYPE_CHECKING:
    import pandas as pd

ARCHITECTURES, MATRIX = "architectures.npz", "matrix"
"""Choice indices of the rows, as the array ``matrix``. Syne Tune reads ``hyperparameters.parquet``,
which holds the same; we do not, because fastparquet crashes the process on hostile bytes."""

OBJECTIVES = "objectives_evaluations.npy"
METADATA = "metadata.json"
HYPERPARAMETERS, FIDELITIES, CONFIGSPACE = (
    "hyperparameters.parquet",
    "fidelities_values.npy",
    "configspace.json",
)
"""Further files that Syne Tune reads, and we do not."""

SIDE = "side.npz"
"""Which perplexities were filled, and next-token accuracy where it was measured (else NaN)."""

MAX_SIDE_BYTES = 16 << 20

_CURE = "convert or pull it again"

OBJECTIVE_NAMES = [PREFIX + name for name in METRICS]
"""The objectives that a table may have, in order."""

OPTIONAL_OBJECTIVE = PREFIX + ERROR
"""It is there where it was measured on every architecture of the table: nothing is filled in."""


class Table:
    """A measured table on disk: architectures, and the objectives of every device and repeat.

    :param space: its space
    :param matrix: canonical choice indices of the rows, shape (n, hyperparameters)
    :param objectives: shape (devices, n, repeats, 1, objectives), in the order of ``devices``
        and ``metrics``; NaN throughout where a metric was not measured on a device; may be mapped
        from disk
    :param folder: where it is
    :param manifest: what the artifact says of itself
    :param metrics: those that are stored, in the order of ``METRICS``
    :param devices: those that were measured, in order
    """

    def __init__(
        self,
        space: Space,
        matrix: IntMatrix,
        objectives: NDArray[np.float64],
        folder: Path,
        manifest: Mapping[str, Any],
        metrics: Sequence[str] = tuple(METRICS),
        devices: Sequence[str] = tuple(DEVICES),
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.space = space
        self.encoding = Encoding(space)
        self.matrix = matrix
        self.objectives = objectives
        self.metrics = tuple(metrics)
        self.devices = tuple(devices)
        self.rows = {row.tobytes(): i for i, row in enumerate(matrix)}

    @cached_property
    def measured(self) -> Measured:
        """What it holds."""
        targets = []
        for d, device in enumerate(self.devices):
            for j, metric in enumerate(self.metrics):
                row = METRICS[metric]
                if row.noisy and (
                    self.space.measured or np.isfinite(self.objectives[d, 0, 0, 0, j])
                ):
                    targets.append(f"{metric}@{device}")
                elif not row.per_device:
                    targets.append(metric)
        return measured_targets(self.space, targets)

    @cached_property
    def hyperparameters(self) -> pd.DataFrame:
        """Configurations of the rows, one column per hyperparameter."""
        import pandas as pd

        return pd.DataFrame(self.encoding.decode(self.matrix))

    @classmethod
    def read(cls, folder: Path, space: str | None = None) -> Table:
        """Map a table from disk and check its form, and its files against the manifest.

        The sha256 of the objectives takes 0.3 to 0.5 s for the 416 MB of a whole table that is in
        the memory of the system, the rest 0.01 s. So it is computed once for a file in a process,
        not by every read. Every query checks, too, that what it returns is positive and finite.

        :param space: of which it must be; None: any
        :raises DataError: the folder is no sound table, or of another space
        """
        return read_whole(folder, lambda folder: cls._read(folder, space))

    @classmethod
    def _read(cls, folder: Path, of: str | None) -> Table:
        manifest = read_manifest(folder, kind=TABULAR, space=of)
        check_files(folder, manifest, [ARCHITECTURES, METADATA])
        try:
            space = space_of(manifest, folder)
            metadata = json.loads(read_small(folder / METADATA, MAX_MANIFEST_BYTES))
            objectives = map_numbers(folder / OBJECTIVES)
            encoding = Encoding(space)
            matrix = encoding.as_matrix(read_arrays(folder / ARCHITECTURES)[MATRIX])
            matrix = matrix.astype(np.uint8)
        except Exception as error:  # readers of hostile bytes raise many kinds
            raise DataError(
                f"{folder} is no sound table ({type(error).__name__}: {error!s:.200}); {_CURE}"
            ) from error
        devices, names = _stated(metadata, space, folder / METADATA)
        shape = (len(devices), len(matrix), *objectives.shape[2:3], 1, len(names))
        if objectives.shape != shape or objectives.dtype.kind != "f" or not objectives.size:
            raise _unsound(
                folder / OBJECTIVES,
                f"it has shape {objectives.shape} and dtype {objectives.dtype}; expected floats, "
                f"({shape[0]}, {shape[1]}, repeats, 1, {shape[-1]})",
            )
        if (encoding.canonical(matrix) != matrix).any():
            raise _unsound(folder / ARCHITECTURES, "it has rows that are not canonical")
        metrics = [name.removeprefix(PREFIX) for name in names]
        table = cls(space, matrix, objectives, folder, manifest, metrics, devices)
        if len(table.rows) != len(matrix):
            raise _unsound(folder / ARCHITECTURES, "it has the same architecture twice")
        _check_objectives(folder, manifest)
        return table

    def __reduce__(self) -> tuple[Any, ...]:
        """A pickle holds the folder and what tells the table from others, not its 420 MB."""
        return _reopen, (self.folder.absolute(), self.digests)

    @property
    def digests(self) -> dict[str, Any]:
        """sha256 of the files whose content the table is."""
        files = self.manifest["files"]
        return {name: files[name]["sha256"] for name in (ARCHITECTURES, OBJECTIVES, METADATA)}

    def check(self) -> None:
        """Read every value, one device at a time, and look for the files that Syne Tune reads.

        :raises DataError: a value is not positive and finite, or a file is missing or broken
        """
        for name in (HYPERPARAMETERS, FIDELITIES, CONFIGSPACE):
            if not (self.folder / name).is_file():
                raise _unsound(self.folder / name, "it is missing")
        for device, values in zip(self.devices, self.objectives, strict=True):
            for name, column in zip(self.metrics, np.moveaxis(values, -1, 0), strict=True):
                known = self.measured.has(name, device if METRICS[name].per_device else None)
                if not (
                    np.isfinite(column).all() and (column > 0).all()
                    if known
                    else np.isnan(column).all()
                ):
                    reason = (
                        f"{PREFIX}{name} of {device} has values that are not positive and finite"
                    )
                    raise _unsound(self.folder / OBJECTIVES, reason)
        if self.space.measured:
            self.read_side()

    def read_side(self) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Whether each perplexity was filled, and accuracies (NaN: not measured), each (n,).

        :raises DataError: the file is not sound
        """
        path, shape = self.folder / SIDE, (len(self.matrix),)
        check_files(self.folder, self.manifest, [SIDE])
        try:
            arrays = read_arrays(path, limit=MAX_SIDE_BYTES, missing=True)
            filled, accuracy = arrays["perplexity_filled"], arrays["accuracy"]
        except Exception as error:  # readers of hostile bytes raise many kinds
            raise _unsound(path, f"{type(error).__name__}: {error}") from error
        kinds = (filled.dtype.kind, accuracy.dtype.kind)
        if filled.shape != shape or accuracy.shape != shape or kinds != ("b", "f"):
            raise _unsound(path, f"expected truth values and floats, each of shape {shape}")
        return filled, accuracy.astype(np.float64)


def _stated(metadata: Any, space: Space, path: Path) -> tuple[list[str], list[str]]:
    """The devices and the objectives of a table.

    :raises DataError: they are not those of the published measurements, or of a user's own
    """
    stated = metadata if isinstance(metadata, dict) else {}
    devices: Any = stated.get("task_names")
    names: Any = stated.get("objectives_names")
    if space.measured:
        if devices != list(DEVICES):
            raise _unsound(path, "task_names are not the 13 devices in order")
        optional = {OPTIONAL_OBJECTIVE}
    else:
        texts = isinstance(devices, list) and all(isinstance(name, str) for name in devices)
        if not texts or not 0 < len(set(devices)) == len(devices):
            raise _unsound(path, f"task_names are {devices!r:.100}; expected devices, each once")
        for name in devices:
            try:
                check_name(name)
            except InputError as error:
                raise _unsound(path, str(error)) from None
        optional = set(OBJECTIVE_NAMES)
    if (
        not isinstance(names, list)
        or not names
        or names != [name for name in OBJECTIVE_NAMES if name in names or name not in optional]
    ):
        raise _unsound(
            path,
            f"objectives_names are {names!r:.200}; expected {OBJECTIVE_NAMES}, with or without "
            + (OPTIONAL_OBJECTIVE if space.measured else "some of them"),
        )
    return devices, names


def read_and_check(folder: Path) -> Table:
    """A table, every value of it read.

    :raises DataError: it is not sound
    """
    table = Table.read(folder)
    table.check()
    return table


_checked: set[tuple[Any, ...]] = set()
"""Files of objectives that were found to be what a manifest says."""


def _check_objectives(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare the objectives with the manifest, once for a file in this process.

    :raises DataError: they are not what it says
    """
    found, listed = (folder / OBJECTIVES).stat(), manifest["files"].get(OBJECTIVES)
    key = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, str(listed))
    if key not in _checked:
        check_files(folder, manifest, [OBJECTIVES], limit=None)
        _checked.add(key)


def _reopen(folder: Path, digests: Mapping[str, Any]) -> Table:
    """The table that was pickled.

    :raises DataError: another table is in its folder, or it is not sound
    :raises MissingArtifactError: the folder is gone
    """
    cure = "put it back, or load the blackbox anew and give it to a new tuner"
    if not is_artifact(folder):
        raise MissingArtifactError(f"the table of a pickled blackbox was in {folder}: {cure}")
    table = Table.read(folder)
    if table.digests != digests:
        raise DataError(f"{folder} holds another table than when a blackbox was pickled; {cure}")
    return table


def _unsound(path: Path, reason: str) -> DataError:
    """The error for a file of a table that is not as it must be."""
    return DataError(f"{path} is no sound part of a table ({reason}); {_CURE}")
