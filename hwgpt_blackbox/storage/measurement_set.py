"""Measurement sets: folders that profiling and supernet evaluation write, and conversion reads.

A set holds the space (``space.toml``); for each device ``<device>.csv``, one row a visit in the
order of measuring, and ``<device>.json``, the conditions; and ``quality.csv``. Rows are appended
whole, so that a killed process loses the row that it was at.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.architecture_forms import as_configuration
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, OutputError, printable
from hwgpt_blackbox.storage.atomic_writes import write_file, writing

SPACE_FILE = "space.toml"
QUALITY = "quality"
"""Stem of the table of perplexities and errors; no device has this name."""

PERPLEXITY, ERROR = "perplexity", "error"
"""Columns of the quality table: perplexity, and share of wrong next tokens (0 to 1)."""

REFERENCE, SECONDS = "reference", "seconds"
"""Columns of a device's table: whether the visit is one of the reference architecture (0 or 1), and
its begin in seconds since the start of profiling. Repeats are ``latency_<i>`` (ms) and
``energy_<i>`` (Wh), i from 0 in the order of measuring; memory columns are in MB."""


DRIFT_BOUND = 0.1
"""A machine whose reference architecture took this share longer at one time than at another has
changed, and users are warned."""


def is_set(path: Path) -> bool:
    """Whether a folder is a measurement set."""
    return (path / SPACE_FILE).is_file()


def configuration_cells(space: Space, configuration: Mapping[str, Any]) -> list[str]:
    """The cells of a configuration, in the order of ``Space.choices``."""
    return [str(configuration[name]) for name in space.choices]


def read_configurations(space: Space, path: Path) -> list[dict[str, Any]]:
    """The architectures of a file.

    :param path: JSON with one in any form that ``model_config`` reads, or a list of them; or CSV
        with a column for every hyperparameter, as the tables of a measurement set have
    :return: configurations in canonical form
    :raises InputError: there is no such file, or an architecture is not of the space; names the row
    :raises DataError: it is neither
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".csv":
            texts = {
                key: {str(value): value for value in space.choices[key]} for key in space.choices
            }
            given: Any = [
                {key: known.get(row.get(key, ""), row.get(key)) for key, known in texts.items()}
                for row in csv.DictReader(io.StringIO(text))
            ]
        else:
            given = json.loads(text)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error, RecursionError) as error:
        raise DataError(f"{path} holds no architectures ({printable(error):.200})") from None
    encoding, found = Encoding(space), []
    for i, architecture in enumerate(given if isinstance(given, list) else [given]):
        try:
            found.append(encoding.canonical_form(as_configuration(space, architecture)))
        except InputError as error:
            raise InputError(f"{path}, architecture {i}: {printable(error)}") from None
    if not found:
        raise DataError(f"{path} holds no architectures")
    return found


@contextmanager
def alone(folder: Path, lock: str, does: str) -> Iterator[None]:
    """Make a folder, and let no other process work in it within the block.

    :param lock: name of the file that is locked
    :param does: what the other process does, for the message
    :raises InputError: another works there
    :raises OutputError: the folder cannot be made
    """
    from filelock import FileLock, Timeout

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        held = FileLock(folder / lock, timeout=0)
        try:
            held.acquire()
        except Timeout:
            raise InputError(
                f"another process {does} into {folder}; wait for it, or choose another folder with "
                "--out"
            ) from None
    try:
        yield
    finally:
        held.release()


def write_space(folder: Path, space: Space) -> None:
    """Write the space of a set, or check that it is this one.

    :raises InputError: it is another
    :raises OutputError: it cannot be written
    """
    path = folder / SPACE_FILE
    if not path.exists():
        with writing(path):
            write_file(path, space.as_toml())
    elif (found := Space.from_file(path)) != space:
        raise InputError(
            f"{folder} is of another space, {found.name} with other choices or sizes; choose "
            "another folder with --out"
        )


class RowFile:
    """A CSV file to which whole rows are appended, also after a process was killed.

    :param path: the file; made with its header if it is not there
    :param columns: names of the columns
    :raises DataError: the file has other columns
    :raises OutputError: it cannot be written
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)
        header = _line(self.columns)
        try:
            content = path.read_bytes() if path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            if whole and not whole.startswith(header):
                first = printable(whole.split(b"\n", 1)[0].decode(errors="replace"))
                raise DataError(
                    f"{path} has the columns {first:.300}; expected "
                    f"{header.decode().strip():.300}: go on with the same command as "
                    "before, or choose another folder"
                )
            if whole != content:  # the row at which a process was killed
                os.truncate(path, len(whole))
            if not whole:
                self._append(header)
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror}") from None

    def rows(self) -> list[dict[str, str]]:
        """The rows written so far, in order; cells are text."""
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def append(self, cells: Sequence[object]) -> None:
        """Append one row; it is on disk when this returns.

        :param cells: one for each column; numbers are written so that they read back equal
        :raises OutputError: it cannot be written, for instance because the disk is full; the rows
            before it stay
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        try:
            self._append(_line(cells))
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written: {error.strerror}; the rows before stay"
            ) from None

    def _append(self, line: bytes) -> None:
        with self.path.open("ab", buffering=0) as file:
            before = file.tell()
            try:
                if file.write(line) < len(line):  # a disk may take a part before it is full
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, before)
                raise


def _line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
