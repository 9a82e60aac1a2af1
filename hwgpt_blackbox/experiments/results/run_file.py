"""One result file: a Parquet file that says how it was made, checked when read.

A file states the settings, the constants of the problem, what made it, the versions of the
libraries, a digest of every column, and a seal: a digest of the whole file but itself. fastparquet
writes it. ``storage.safe_parquet`` reads it, because a forged file crashes fastparquet's reader.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.errors import DataError, HWGPTError, printable
from hwgpt_blackbox.experiments.problems import (
    Problem,
    anywhere,
    evaluating_devices,
    parse_objectives,
)
from hwgpt_blackbox.experiments.results.files import AnyPath
from hwgpt_blackbox.experiments.results.provenance import provenance
from hwgpt_blackbox.experiments.runs import (
    CONFIG,
    MEASURED,
    SIMULATED_TIME,
    TRIAL_ID,
    RunSettings,
)
from hwgpt_blackbox.models.ideal_and_nadir import check_bounds
from hwgpt_blackbox.storage.safe_parquet import SafeParquet
from hwgpt_blackbox.storage.spaces import find_measured, find_space
from hwgpt_blackbox.storage.user_devices import check_name

SCHEMA_VERSION = 2
"""Version of the result files that this code writes, and the newest that it reads."""

METADATA_KEY = "hwgpt_blackbox"

MAX_METHOD_NAME = 120
"""Characters of the name of a method."""

_DIGEST_BYTES = 16
_OPEN_SEAL = "0" * 2 * _DIGEST_BYTES
"""Stands in a file for its seal while that is computed."""

_LIBRARIES = ("hwgpt-blackbox", "syne-tune", "numpy", "pandas", "torch", "botorch", "pymoo")


class OtherVersionError(DataError):
    """A file is of another version of the format."""


@dataclass(frozen=True)
class StoredRun:
    """A result file that was read.

    :param run: its settings; ideal and nadir are those of the file
    :param provenance: what it was made from, see :func:`provenance`
    :param versions: of the libraries that made it
    :param path: the file
    :param frame: the columns that were asked for
    """

    run: RunSettings
    provenance: Mapping[str, str]
    versions: dict[str, str]
    path: AnyPath
    frame: pd.DataFrame

    @property
    def expected(self) -> NDArray[np.float64]:
        """Expected objectives of the trials, natural units, shape (trials, objectives)."""
        return self.frame[self.run.expected_columns].to_numpy(dtype=np.float64)


class _Buffer(io.BytesIO):
    """A file in memory that keeps its bytes when the writer closes it."""

    def close(self) -> None:
        self.seek(0)


def encode(run: RunSettings, frame: pd.DataFrame) -> bytes:
    """The bytes of a result file.

    :param frame: what ``execute`` returned
    """
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "settings": run.settings(),
        "bounds": [list(pair) for pair in zip(run.problem.ideal, run.problem.nadir, strict=True)],
        "provenance": provenance(run),
        "versions": _versions(),
        "digests": {name: _digest(frame[name]) for name in frame},
    }
    metadata["seal"] = _OPEN_SEAL
    import fastparquet

    buffer = _Buffer()
    fastparquet.write(
        "run.parquet",
        frame,
        compression="ZSTD",
        write_index=False,
        has_nulls=False,
        stats=False,
        custom_metadata={METADATA_KEY: json.dumps(metadata, allow_nan=False)},
        open_with=lambda name, mode: buffer,
    )
    return _sealed(buffer.getvalue())


def _sealed(data: bytes) -> bytes:
    """The file with its seal closed."""
    if data.count(_OPEN_SEAL.encode()) != 1:
        raise AssertionError("a result file states its seal once")
    return data.replace(_OPEN_SEAL.encode(), _digest_of(data).encode())


def _check_seal(data: bytes, seal: str) -> None:
    """Raise unless the bytes are those that were written, as far as they say.

    :param seal: as the file states it
    :raises DataError: they are not
    """
    # To replace a shorter text could multiply the bytes.
    if len(seal) != len(_OPEN_SEAL) or seal != _digest_of(
        data.replace(seal.encode(), _OPEN_SEAL.encode())
    ):
        raise DataError("its bytes are not those that were written")


def _digest_of(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def decode(
    data: bytes,
    path: AnyPath,
    columns: Callable[[RunSettings], Sequence[str]] = RunSettings.columns,
) -> StoredRun:
    """Check the bytes of a result file and take some columns.

    :param path: where they are from
    :param columns: says which columns of a run to take; default: all
    :raises OtherVersionError: they are of another version of the format
    :raises DataError: they are corrupt, truncated, or no result file
    """
    try:
        file = SafeParquet(data)
        metadata = as_object(file.metadata.get(METADATA_KEY, ""), path)
        check_version(metadata, path)  # another version may be sealed in another way
        _check_seal(data, metadata["seal"])
        run = _as_run(metadata["settings"], metadata["bounds"])
        made_from, versions = _texts(metadata["provenance"]), _texts(metadata["versions"])
        plain = all(dtype is not None for dtype in file.columns.values())
        if list(file.columns) != run.columns() or not plain:
            raise DataError(f"its columns are not those of a run of space {run.problem.space}")
        if file.rows != run.trials:
            raise DataError(f"it holds {file.rows} trials, not {run.trials}")
        frame = pd.DataFrame({name: file.column(name) for name in columns(run)})
        for name in frame:
            if _digest(frame[name]) != metadata["digests"][name]:
                raise DataError(f"column {name} is not what was written")
        check_values(run, frame)
    except OtherVersionError:
        raise
    except Exception as error:  # readers of hostile bytes raise many kinds
        reason = str(error) if isinstance(error, HWGPTError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"{path} is no sound result file ({printable(reason)}); move it away and run again to "
            "make it anew"
        ) from error
    return StoredRun(run, made_from, versions, path, frame)


def check_values(run: RunSettings, frame: pd.DataFrame) -> None:
    """Raise unless the values of some columns can be those of a run.

    :param frame: columns of ``run.columns()``, numbers in each
    :raises DataError: a value is not finite, negative, or not positive where it must be; a trial is
        there twice, ends before the one above it, or has a hyperparameter that is no choice
    """
    rules = _rules(run)
    for name in map(str, frame):
        values, (is_sound, expected) = frame[name].to_numpy(), rules[name]
        if name == TRIAL_ID and (values.dtype.kind != "i" or not frame[name].is_unique):
            twice = values[frame[name].duplicated().to_numpy()]
            what = f"{twice[0]} twice" if len(twice) else f"values of type {values.dtype}"
            raise DataError(f"column {name} holds {what}; expected an integer once a trial")
        sound = is_sound(values)
        if not sound.all():
            row = int(np.flatnonzero(~sound)[0])
            raise DataError(f"column {name} holds {values[row]} in row {row}; expected {expected}")


def _rules(run: RunSettings) -> dict[str, tuple[Callable[[NDArray[Any]], Any], str]]:
    """What each column of a run may hold: a test, row by row, and the same in words."""
    space, targets = find_space(run.problem.space), run.problem.targets
    hyperparameters = {
        CONFIG + name: (
            partial(np.isin, test_elements=known),
            f"one of {', '.join(map(str, known))}",
        )
        for name, known in space.choices.items()
    }
    objectives = [*(MEASURED + target for target in targets), *run.expected_columns]
    return {
        TRIAL_ID: (lambda ids: ids >= 0, "integers from 0"),
        SIMULATED_TIME: (_ascend, "finite seconds in ascending order"),
        **hyperparameters,
        **dict.fromkeys(objectives, (_positive, "positive finite numbers")),
    }


def _ascend(times: NDArray[Any]) -> Any:
    before = np.concatenate([times[:1], times[:-1]])
    return np.isfinite(times) & (times >= 0) & (times >= before)


def _positive(values: NDArray[Any]) -> Any:
    return np.isfinite(values) & (values > 0)


def _texts(stated: Any) -> dict[str, str]:
    """Names and what is stated of each, all texts.

    :raises DataError: they are not
    """
    if not isinstance(stated, dict) or not all(isinstance(text, str) for text in stated.values()):
        raise DataError(f"it states {stated!r:.40}; expected texts by name")
    return stated


def _digest(column: pd.Series[Any]) -> str:
    """Digest of the values of a column, the same on every machine."""
    values = column.to_numpy()
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return _digest_of(little.tobytes())


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def as_object(text: str | bytes, path: AnyPath) -> dict[str, Any]:
    """The JSON object that a file states.

    :raises DataError: it states none
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} states no settings ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path} states {value!r:.40} instead of settings")
    return value


def check_version(stated: Mapping[str, Any], path: AnyPath) -> None:
    """Raise unless this release reads that version.

    :raises OtherVersionError: it does not
    """
    version = stated.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise OtherVersionError(
            f"{path} has schema_version {version!r}, this release reads {SCHEMA_VERSION}; use the "
            "release that wrote it, or name another folder"
        )


def check_method_name(name: Any) -> str:
    """The name of a method out of a file, if people can read it.

    :raises DataError: it is no text, empty, longer than 120 characters, or unprintable
    """
    if not isinstance(name, str):
        raise DataError(f"method {name!r:.100} is of the wrong type; expected a text")
    if not (name.isprintable() and 0 < len(name) <= MAX_METHOD_NAME):
        raise DataError(
            f"method is {name!r:.100}; expected 1 to {MAX_METHOD_NAME} printable characters"
        )
    return name


def _as_run(settings: Mapping[str, Any], bounds: Sequence[Any]) -> RunSettings:
    """Settings from a file.

    :raises Exception: a value does not fit, is missing, or one is too many
    """
    rest = dict(settings)
    space = find_measured(rest.pop("space")).name
    named = rest.pop("devices")
    known = anywhere([device for device in named if device in DEVICES or check_name(device)])
    columns = parse_objectives(rest.pop("objectives"), known)
    own = any(column.device for column in columns)
    devices = evaluating_devices(columns, None if own else named[0], known)
    if list(devices) != named or len(bounds) != len(columns):
        raise DataError(f"devices {named!r} do not fit the objectives")
    pairs = [check_bounds(b, c.target, "it") for b, c in zip(bounds, columns, strict=True)]
    ideal, nadir = zip(*pairs, strict=True)
    method, noise, cost = rest.pop("method"), rest.pop("noise"), rest.pop("cost_model")
    if not isinstance(noise, bool):
        raise DataError(f"noise {noise!r} is of the wrong type")
    check_method_name(method)
    problem = Problem(space, columns, devices, ideal, nadir)
    run = RunSettings(problem, method, noise=noise, cost_model=CostModel(**cost), **rest)
    if run.settings() != settings:
        raise DataError("settings are missing")
    return run
