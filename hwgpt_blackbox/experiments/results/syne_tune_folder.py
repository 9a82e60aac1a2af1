"""Syne Tune's own experiment folders (``metadata.json``, ``results.csv.zip``) as runs of ours."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import METRICS, PREFIX, check_device, dataset_columns
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES
from hwgpt_blackbox.errors import DataError, HWGPTError, printable
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import StoredRun, check_method_name, check_values
from hwgpt_blackbox.experiments.results.scores import DENOISED
from hwgpt_blackbox.experiments.runs import (
    CONFIG,
    EXPECTED,
    MEASURED,
    SIMULATED_TIME,
    TRIAL_ID,
    RunSettings,
)
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.storage.spaces import find_space, own_spaces
from hwgpt_blackbox.storage.surrogates import load_surrogate, measured_in

METADATA_FILE, RESULTS_FILE = "metadata.json", "results.csv.zip"
MAX_METADATA_BYTES, MAX_RESULTS_BYTES = 16 << 20, 1 << 30
"""Files that are or unpack to more are refused unread."""

UNKNOWN_SEED = 2**32 - 1
"""Seed of an experiment that states none."""

_METHOD_KEYS = ("method", "algorithm", "method_name", "scheduler_name")
_DEVICE_KEYS = ("device", "dataset", "dataset_name")
_SEED_KEYS = ("seed", "random_seed")
_TIME, _TRIAL = "st_tuner_time", "trial_id"


def read_experiment(
    folder: Path, *, device: str | None = None, seed: int | None = None
) -> StoredRun:
    """Read an experiment that Syne Tune's ``StoreResultsCallback`` wrote.

    The space follows from the hyperparameters; the objectives from ``metric_names`` of the
    metadata (``metric_latency_a100``, or ``metric_latency`` with the device given or stated there);
    the method from ``method``, ``algorithm``, ``method_name`` or ``scheduler_name``, the first that
    is there. The last result of each trial counts. Expected values are those of the installed
    surrogate for its configurations. A method is called denoised if ``denoise`` is true there and
    it saw noise.

    :param folder: holds ``metadata.json`` and ``results.csv.zip``
    :param device: device of objectives that name none; what the metadata say comes first
    :param seed: of the run; default: what the metadata say, else :data:`UNKNOWN_SEED`
    :return: the run, with the columns of ``RunSettings.columns``
    :raises DataError: a file is missing, broken, or not of one of our spaces
    """
    try:
        metadata = _metadata(folder / METADATA_FILE)
        frame = _frame(folder / RESULTS_FILE)
        space, matrix = _architectures(frame)
        problem = _problem(space, metadata, device)
        settings = RunSettings(
            problem=problem,
            method=check_method_name(str(_first(metadata, _METHOD_KEYS, "unknown"))[:80]),
            seed=_seed(metadata) if seed is None else seed,
            trials=len(frame),
            workers=_workers(frame),
        )
        values = _values(problem, frame, matrix)[settings.columns()]
        check_values(settings, values)
        if metadata.get("denoise") is True and _is_noisy(settings, values):
            settings = replace(settings, method=DENOISED.format(settings.method))
    except (HWGPTError, OSError, TypeError, ValueError) as error:
        raise DataError(
            printable(f"{folder} is no experiment that can be scored: {error}; leave it out")
        ) from error
    return StoredRun(settings, {}, {}, folder, values)


def _is_noisy(run: RunSettings, values: pd.DataFrame) -> bool:
    """Whether the method saw other values than expected ones."""
    targets = run.problem.targets
    seen, expected = (values[[prefix + t for t in targets]] for prefix in (MEASURED, EXPECTED))
    return not np.allclose(seen, expected)


def _metadata(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_METADATA_BYTES:
        raise DataError(f"{path.name} is larger than {MAX_METADATA_BYTES} bytes")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name} is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path.name} holds a {type(found).__name__}, not an object")
    return found


def _frame(path: Path) -> pd.DataFrame:
    """Last result of each trial, in the order in which they ended."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_RESULTS_BYTES:
                raise DataError(f"{path.name} unpacks to more than {MAX_RESULTS_BYTES} bytes")
        frame = pd.read_csv(path)
    except DataError:
        raise
    except Exception as error:  # zipfile, zlib and pandas raise many kinds on hostile bytes
        raise DataError(f"{path.name} cannot be read ({type(error).__name__}: {error})") from error
    missing = {_TIME, _TRIAL} - set(frame)
    if missing or frame.empty:
        raise DataError(f"{path.name} lacks {', '.join(sorted(missing)) or 'results'}")
    frame[_TIME] = _numbers(frame, _TIME)
    frame[_TRIAL] = _numbers(frame, _TRIAL, whole=True)
    configured = [name for name in map(str, frame) if name.startswith(CONFIG)]
    changed = frame.duplicated(_TRIAL) & ~frame.duplicated([_TRIAL, *configured])
    if changed.any():
        raise DataError(
            f"{path.name} holds trial {frame[_TRIAL][changed].iloc[0]} twice, with other "
            "configurations"
        )
    frame = frame.sort_values(_TIME, kind="stable").drop_duplicates(_TRIAL, keep="last")
    return frame.reset_index(drop=True)


def _numbers(frame: pd.DataFrame, name: str, *, whole: bool = False) -> Any:
    """A column as finite numbers, shape (rows,).

    :param whole: as integers from 0 that a float holds exactly
    :raises DataError: it is missing or holds something else
    """
    if name not in frame:
        raise DataError(f"{RESULTS_FILE} lacks the column {name}")
    values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
    wrong, expected = ~np.isfinite(values), "a finite number"
    if whole:
        with np.errstate(invalid="ignore"):
            wrong |= (values < 0) | (values >= 2**53) | (values % 1 != 0)
        expected = "an integer from 0"
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"column {name} holds {frame[name].iloc[row]!s:.80} in row {row}; expected {expected}"
        )
    return values.astype(np.int64) if whole else values


def _architectures(frame: pd.DataFrame) -> tuple[str, Any]:
    """The space whose hyperparameters the columns are, and the matrix of choice indices."""
    reasons = list[tuple[int, str]]()  # number of wrong cells of a space, and the first of them
    spaces = (*MEASURED_SPACES, *own_spaces())
    for name in spaces:
        choices = {CONFIG + key: known for key, known in find_space(name).choices.items()}
        if not set(choices) <= set(map(str, frame)):  # others are constants of the space
            continue
        indices = np.array([_places(known, frame[column]) for column, known in choices.items()])
        if (indices >= 0).all():
            return name, indices.T.astype(np.uint8)
        wrong = np.argwhere(indices < 0)
        column = list(choices)[wrong[0][0]]
        cell = frame[column].iloc[wrong[0][1]]
        reason = f"{column} holds {cell!s:.80}, which is no choice of {name}"
        reasons.append((len(wrong), reason))
    if not reasons:
        raise ValueError("its hyperparameters are not those of " + ", ".join(spaces))
    raise ValueError(min(reasons)[1])


def _places(known: Sequence[Any], column: pd.Series[Any]) -> list[int]:
    """Place of each cell among the choices, -1 where it is none.

    A cell may be text where another cell of its column is no number.
    """
    places = {spelt: k for k, choice in enumerate(known) for spelt in (choice, str(choice))}
    return [places.get(cell, -1) for cell in column]


def _problem(space: str, metadata: Mapping[str, Any], device: str | None) -> Problem:
    """The problem that the names of the metrics stand for."""
    names, modes = metadata.get("metric_names"), metadata.get("metric_mode", "min")
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(f"metric_names is {names!r:.80}; expected a list of texts")
    if any(mode != "min" for mode in (modes if isinstance(modes, list) else [modes])):
        raise ValueError(f"metric_mode is {modes!r:.80}; every objective of ours is minimised")
    stated, own = _first(metadata, _DEVICE_KEYS, device), measured_in(space)
    known = isinstance(stated, str) and stated in own.devices
    everywhere = {
        name: c for name, c in dataset_columns(ALL_DEVICES, own).items() if c != own.slowest
    }
    targets = []
    for name in names:
        metric = name.removeprefix(PREFIX)
        if name in everywhere:
            targets.append(everywhere[name].target)
        elif metric in METRICS and known:
            targets.append(f"{metric}@{stated}")
        elif metric in METRICS:
            if stated is not None:
                check_device(stated, own)
            raise ValueError(
                f"it does not say on which device {metric} was measured; say so with --device, or "
                "with metadata={'device': …} of the Tuner"
            )
        else:
            raise ValueError(f"{name!r:.80} is no metric of ours")
    agnostic = all("@" not in target for target in targets)
    return Problem.parse(space, targets, device=stated if agnostic and known else None)


def _values(problem: Problem, frame: pd.DataFrame, matrix: Any) -> pd.DataFrame:
    """The columns of a run."""
    encoding = Encoding(find_space(problem.space))
    expected = Predictor(load_surrogate(problem.space), problem.objectives).expected(matrix)
    columns: dict[str, Any] = {TRIAL_ID: frame[_TRIAL], SIMULATED_TIME: frame[_TIME]}
    for j, (name, choices) in enumerate(encoding.space.choices.items()):
        columns[CONFIG + name] = np.array(choices).take(matrix[:, j])
    for j, column in enumerate(problem.objectives):
        suffixed = f"{PREFIX}{column.metric}_{column.device}"
        source = suffixed if suffixed in frame else PREFIX + column.metric
        columns[MEASURED + column.target] = _numbers(frame, source)
        columns[EXPECTED + column.target] = expected[:, j]
    return pd.DataFrame(columns)


def _first(metadata: Mapping[str, Any], keys: tuple[str, ...], default: Any) -> Any:
    return next((metadata[key] for key in keys if metadata.get(key) is not None), default)


def _seed(metadata: Mapping[str, Any]) -> int:
    value = _first(metadata, _SEED_KEYS, UNKNOWN_SEED)
    valid = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= UNKNOWN_SEED
    return int(value) if valid else UNKNOWN_SEED


def _workers(frame: pd.DataFrame) -> int:
    """How many ran at a time, where the columns tell; else 1."""
    column = frame.get("st_worker")
    return 1 if column is None else max(1, int(column.nunique()))
