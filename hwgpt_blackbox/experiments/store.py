"""Results on disk: one Parquet file per run, complete or absent, checked when read.

A folder of results holds a marker, ``runs/<name>.parquet`` for every run, and what is made from
them. A file states the settings, the constants of the problem, the artifact, the versions of the
libraries and a digest of every column. Files are written under a temporary name and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastparquet
import numpy as np
import pandas as pd

from hwgpt_blackbox.artifact import sha256
from hwgpt_blackbox.cost import CostModel
from hwgpt_blackbox.errors import DataError, HWGPTError, InputError, OutputError
from hwgpt_blackbox.experiments.problems import (
    Problem,
    check_bounds,
    evaluating_devices,
    parse_objectives,
)
from hwgpt_blackbox.experiments.runs import RunSettings
from hwgpt_blackbox.names import artifact_name
from hwgpt_blackbox.places import MANIFEST, find
from hwgpt_blackbox.spaces import get_space

SCHEMA_VERSION = 1
"""Version of the result files that this code writes, and the newest that it reads."""

MARKER, RUNS, SUFFIX = "hwgpt-blackbox.json", "runs", ".parquet"
METADATA_KEY = "hwgpt_blackbox"
MAX_FILE_BYTES = 4 << 30

_LIBRARIES = ("hwgpt-blackbox", "syne-tune", "numpy", "pandas", "torch", "botorch", "pymoo")


class OtherVersionError(DataError):
    """A file is of another version of the format."""


@dataclass(frozen=True)
class StoredRun:
    """A result file that was read.

    :param run: its settings; ideal and nadir are those of the file
    :param artifact: sha256 of the manifest of the artifact that it ran on
    :param versions: of the libraries that made it
    :param path: the file
    :param frame: the columns that were asked for
    """

    run: RunSettings
    artifact: str
    versions: dict[str, str]
    path: Path
    frame: pd.DataFrame


class ResultStore:
    """The results of one experiment in one folder.

    :param folder: the folder; :meth:`prepare` makes it
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder, or check that it is one of ours.

        :raises OutputError: it cannot be made, is a file, or holds something else
        :raises DataError: its results are of a later version
        """
        marker = self.folder / MARKER
        try:
            if marker.is_file():
                _check_version(_json(marker.read_bytes(), marker), marker)
            elif self.folder.exists() and any(self.folder.iterdir()):
                raise OutputError(
                    f"{self.folder} is not empty and holds no results of hwgpt-blackbox; name a "
                    "new or an empty folder"
                )
            (self.folder / RUNS).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, HWGPTError):
                raise
            raise OutputError(
                f"{self.folder} cannot be used ({error}); name a folder that can be written"
            ) from error
        if not marker.is_file():
            text = json.dumps({"schema_version": SCHEMA_VERSION, "kind": "results"}) + "\n"
            write_atomically(marker, lambda path: path.write_text(text, encoding="utf-8"))

    def path(self, run: RunSettings) -> Path:
        """File of a run."""
        return self.folder / RUNS / (run.name + SUFFIX)

    def paths(self) -> list[Path]:
        """Files of all runs, sorted by name."""
        return sorted((self.folder / RUNS).glob(f"*{SUFFIX}"))

    def holds(self, run: RunSettings) -> bool:
        """Whether the complete results of a run are here.

        :raises InputError: its file holds a run with other settings
        :raises DataError: its file is not sound
        """
        path = self.path(run)
        if not path.exists():
            return False
        stored = read(path)
        theirs, ours = stored.run.settings(), run.settings()
        theirs["artifact"], ours["artifact"] = stored.artifact, artifact_digest(run.problem.space)
        for name, value in ours.items():
            if theirs[name] != value:
                raise InputError(
                    f"{path} holds a run with {name} {theirs[name]!r}, but {value!r} is asked for; "
                    "name another output folder, or ask for the same"
                )
        return True

    def write(self, run: RunSettings, frame: pd.DataFrame) -> Path:
        """Write the results of a run, all or nothing.

        :param frame: what ``execute`` returned
        :raises OutputError: the disk is full or the folder cannot be written
        """
        metadata = {
            "schema_version": SCHEMA_VERSION,
            "settings": run.settings(),
            "bounds": [
                list(pair) for pair in zip(run.problem.ideal, run.problem.nadir, strict=True)
            ],
            "artifact": artifact_digest(run.problem.space),
            "versions": _versions(),
            "digests": {name: _digest(frame[name]) for name in frame},
        }
        text = json.dumps(metadata, allow_nan=False)

        def fill(path: Path) -> None:
            fastparquet.write(
                str(path),
                frame,
                compression="ZSTD",
                write_index=False,
                has_nulls=False,
                stats=False,
                custom_metadata={METADATA_KEY: text},
            )

        path = self.path(run)
        write_atomically(path, fill)
        return path


def read(
    path: Path, columns: Callable[[RunSettings], Sequence[str]] = RunSettings.columns
) -> StoredRun:
    """Read and check a result file.

    :param columns: says which columns of a run to read; default: all
    :raises DataError: the file is corrupt, truncated, of another version, or no result file
    """
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); make it readable") from error
    try:
        if size > MAX_FILE_BYTES:
            raise DataError(f"it is larger than {MAX_FILE_BYTES} bytes")
        file = fastparquet.ParquetFile(io.BytesIO(data))
        metadata = _json(file.key_value_metadata.get(METADATA_KEY, ""), path)
        _check_version(metadata, path)
        run = _as_run(metadata["settings"], metadata["bounds"])
        artifact, versions = str(metadata["artifact"]), dict(metadata["versions"])
        kinds = {name: np.dtype(kind).kind for name, kind in file.dtypes.items()}
        if list(kinds) != run.columns() or not set(kinds.values()) <= set("ifb"):
            raise DataError(f"its columns are not those of a run of space {run.problem.space}")
        if file.count() != run.trials:
            raise DataError(f"it holds {file.count()} trials, not {run.trials}")
        wanted = list(columns(run))
        frame = file.to_pandas(columns=wanted, index=False)
        for name in wanted:
            if len(frame) != run.trials or _digest(frame[name]) != metadata["digests"][name]:
                raise DataError(f"column {name} is not what was written")
    except OtherVersionError:
        raise
    except Exception as error:  # readers of hostile bytes raise many kinds
        reason = str(error) if isinstance(error, HWGPTError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path} is no sound result file ({reason}); move it away and run again to make it anew"
        ) from error
    return StoredRun(run, artifact, versions, path, frame)


def artifact_digest(space: str) -> str:
    """sha256 of the manifest of the surrogate artifact in use: it holds those of its files."""
    return sha256(find(artifact_name(space)).path / MANIFEST)


def write_atomically(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a file under a temporary name, then rename it: it is complete or not there.

    :param fill: writes the file that it is given
    :raises OutputError: the disk is full or the folder cannot be written
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with _removed_on_failure(temporary):
            fill(temporary)
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error}); make room or name another folder, then run again"
        ) from error


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:  # an interrupt, too, leaves nothing behind
        path.unlink(missing_ok=True)
        raise


def _digest(column: pd.Series[Any]) -> str:
    """Digest of the values of a column, the same on every machine."""
    values = column.to_numpy()
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return hashlib.blake2b(little.tobytes(), digest_size=16).hexdigest()


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _json(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} states no settings ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} states {value!r:.40} instead of settings")
    return value


def _check_version(stated: Mapping[str, Any], path: Path) -> None:
    version = stated.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise OtherVersionError(
            f"{path} has schema_version {version!r}, this release reads {SCHEMA_VERSION}; use the "
            "release that wrote it, or name another folder"
        )


def _as_run(settings: Mapping[str, Any], bounds: Sequence[Any]) -> RunSettings:
    """Settings from a file.

    :raises Exception: a value does not fit, is missing, or one is too many
    """
    rest = dict(settings)
    space = get_space(rest.pop("space"), measured=True).name
    columns = parse_objectives(rest.pop("objectives"))
    named = rest.pop("devices")
    own = any(column.device for column in columns)
    devices = evaluating_devices(columns, None if own else named[0])
    if list(devices) != named or len(bounds) != len(columns):
        raise DataError(f"devices {named!r} do not fit the objectives")
    pairs = [check_bounds(b, c.target, "it") for b, c in zip(bounds, columns, strict=True)]
    ideal, nadir = zip(*pairs, strict=True)
    method, noise, cost = rest.pop("method"), rest.pop("noise"), rest.pop("cost_model")
    if not isinstance(method, str) or not isinstance(noise, bool):
        raise DataError(f"method {method!r} or noise {noise!r} is of the wrong type")
    problem = Problem(space, columns, devices, ideal, nadir)
    run = RunSettings(problem, method, noise=noise, cost_model=CostModel(**cost), **rest)
    if run.settings() != settings:
        raise DataError("settings are missing")
    return run
