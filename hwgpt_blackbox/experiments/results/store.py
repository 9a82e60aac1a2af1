"""Results of one experiment: a folder, here or at a URL, of one file per run.

A folder of results holds a marker, ``runs/<name>.parquet`` for every run, and what is made from
them. Files are complete or absent; broken ones are set aside as ``<name>.parquet.broken``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hwgpt_blackbox.errors import DataError, HWGPTError, InputError, OutputError
from hwgpt_blackbox.experiments.methods import file_part
from hwgpt_blackbox.experiments.results.files import (
    AnyPath,
    RemotePath,
    as_path,
    set_aside,
    write_bytes_atomically,
)
from hwgpt_blackbox.experiments.results.provenance import changed, provenance
from hwgpt_blackbox.experiments.results.run_file import (
    SCHEMA_VERSION,
    StoredRun,
    as_object,
    check_version,
    decode,
    encode,
)
from hwgpt_blackbox.experiments.runs import RunSettings
from hwgpt_blackbox.storage.atomic_writes import clean_up

logger = logging.getLogger(__name__)

MARKER, RUNS, SUFFIX = "hwgpt-blackbox.json", "runs", ".parquet"
MAX_FILE_BYTES = 4 << 30


class UnreadableError(DataError):
    """A file cannot be opened, so that we cannot say whether it is broken."""


class ResultStore:
    """The results of one experiment in one folder.

    :param folder: the folder, or its URL; :meth:`prepare` makes it
    """

    def __init__(self, folder: Path | RemotePath | str) -> None:
        self.folder: AnyPath = as_path(folder)
        self.broken: list[AnyPath] = []
        """Files that this object has set aside, under their new names"""

    def prepare(self) -> None:
        """Make the folder, or check that it is one of ours; remove what killed processes left.

        :raises OutputError: it cannot be made, is a file, or holds something else
        :raises DataError: its results are of a later version
        """
        marker, runs = self.folder / MARKER, self.folder / RUNS
        try:
            if marker.exists():
                check_version(as_object(marker.read_bytes(), marker), marker)
            elif self._is_somebody_elses():
                raise OutputError(
                    f"{self.folder} is not empty and holds no results of hwgpt-blackbox; name a "
                    "new or an empty folder"
                )
            if isinstance(runs, Path):
                runs.mkdir(parents=True, exist_ok=True)
            else:
                runs.mkdir()
        except HWGPTError:
            raise
        except Exception as error:  # a remote store raises its own kinds
            raise OutputError(
                f"{self.folder} cannot be used ({error}); name a folder that can be written"
            ) from error
        if isinstance(self.folder, Path) and isinstance(runs, Path):
            removed = clean_up(self.folder) + clean_up(runs)
            if removed:
                logger.info("%s: removed %d half-written files", self.folder, removed)
        if not marker.exists():
            stated = {"schema_version": SCHEMA_VERSION, "kind": "results"}
            text = json.dumps({**stated, "id": secrets.token_hex(8)}) + "\n"
            write_bytes_atomically(marker, text.encode())

    def _is_somebody_elses(self) -> bool:
        """Whether a folder without a marker holds more than what a killed start of ours left."""
        if isinstance(self.folder, Path) and not self.folder.exists():
            return False
        names = (path.name for path in self.folder.iterdir())
        return any(not name.startswith(f".{MARKER}.") and name != RUNS for name in names)

    @property
    def identity(self) -> str | None:
        """Random text that the marker states; None: the folder is not ours."""
        try:
            stated = as_object((self.folder / MARKER).read_bytes(), self.folder)
        except (OSError, DataError):
            return None
        identity = stated.get("id")
        return identity if isinstance(identity, str) else None

    def path(self, run: RunSettings) -> AnyPath:
        """File of a run."""
        return self.folder / RUNS / (run.name + SUFFIX)

    def paths(self) -> list[AnyPath]:
        """Files of all runs, sorted by name."""
        folder = self.folder / RUNS
        if isinstance(folder, Path) and not folder.is_dir():
            return []
        names = sorted(path.name for path in folder.iterdir())
        return [folder / name for name in names if name.endswith(SUFFIX) and name[0] != "."]

    def holds(self, run: RunSettings, *, extend: bool = False) -> bool:
        """Whether the complete results of a run are here.

        :param extend: whether results of fewer trials count as missing, not as another run
        :raises InputError: its file holds a run with other settings, or was made by another method
            or on another artifact of the same name
        :raises DataError: its file is not sound
        """
        path = self.path(run)
        if not path.exists():
            return False
        stored = read(path)
        short = extend and stored.run.trials < run.trials
        _check_same(stored, replace(run, trials=stored.run.trials) if short else run)
        return not short

    def write(self, run: RunSettings, frame: pd.DataFrame) -> AnyPath:
        """Write the results of a run, all or nothing.

        :param frame: what ``execute`` returned
        :raises OutputError: the disk is full or the folder cannot be written
        """
        return self.put(run, encode(run, frame))

    def put(self, run: RunSettings, data: bytes) -> AnyPath:
        """Write the file of a run, all or nothing.

        :param data: what ``encode`` returned
        :raises OutputError: the disk is full or the folder cannot be written
        """
        path = self.path(run)
        write_bytes_atomically(path, data)
        return path

    def set_aside(self, path: AnyPath, error: DataError) -> AnyPath:
        """Rename a broken file, and say so in the log and in :attr:`broken`.

        :param error: what is wrong with it
        :return: its new name
        :raises OutputError: it cannot be renamed
        """
        target = set_aside(path)
        logger.warning("%s; set aside as %s", error, target.name)
        self.broken.append(target)
        return target

    @contextlib.contextmanager
    def outputs(self) -> Iterator[Path]:
        """A folder here for what is made from the results; put into a remote store at the end.

        :raises OutputError: the remote store cannot be written
        """
        if isinstance(self.folder, Path):
            yield self.folder
            return
        with tempfile.TemporaryDirectory(prefix="hwgpt-results-") as folder:
            yield Path(folder)
            for path in sorted(Path(folder).iterdir()):
                write_bytes_atomically(self.folder / path.name, path.read_bytes())


def _check_same(stored: StoredRun, run: RunSettings) -> None:
    """Raise unless a stored run is the one that is asked for.

    :raises InputError: it is not; the message says in what
    """
    theirs, ours = _flat(stored.run.settings()), _flat(run.settings())
    for name, value in ours.items():
        if theirs[name] != value:
            more = name == "trials" and theirs[name] < value
            raise InputError(
                f"{stored.path} holds a run with {name} {theirs[name]!r}, but {value!r} is asked "
                "for; name another output folder, or ask for the same"
                + (", or have shorter runs made anew in full: run --extend" if more else "")
            )
    for name in changed(stored.provenance, provenance(run)):
        what, cure = f"artifact {name}", "put back the artifact"
        if name == run.method:
            what = f"source of method {name}"
            cure = f"remove {RUNS}/*-{file_part(name)}-*{SUFFIX} to make its results anew"
        raise InputError(
            f"{stored.path} was made before the {what} changed; name another output folder, or "
            f"{cure}"
        )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without nesting: ``cost_model.setup_seconds``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        inner = value.items() if isinstance(value, Mapping) else None
        found |= {name: value} if inner is None else {f"{name}.{key}": v for key, v in inner}
    return found


def read(
    path: Path | RemotePath | str,
    columns: Callable[[RunSettings], Sequence[str]] = RunSettings.columns,
) -> StoredRun:
    """Read and check a result file.

    :param path: a file, here or remote
    :param columns: says which columns of a run to read; default: all
    :raises OtherVersionError: the file is of another version of the format
    :raises DataError: the file is corrupt, truncated, or no result file
    """
    file = as_path(path)
    try:
        size = file.stat().st_size if isinstance(file, Path) else file.size()
        data = file.read_bytes() if size <= MAX_FILE_BYTES else b""
    except OSError as error:
        raise UnreadableError(f"{file} cannot be read ({error}); make it readable") from error
    if size > MAX_FILE_BYTES:
        raise DataError(f"{file} is no sound result file: it is larger than {MAX_FILE_BYTES} bytes")
    return decode(data, file, columns)
