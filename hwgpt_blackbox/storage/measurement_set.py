"""Measurement sets: folders that profiling and supernet evaluation write, and conversion reads.

A set holds the space (``space.toml``); for each device ``<device>.csv``, one row a visit in the
order of measuring, and ``<device>.json``, the conditions; and ``quality.csv``. Rows are appended
whole, so that a killed process loses the row that it was at.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, OutputError, printable

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
                file.write(line)
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self.path, before)
                raise


def _line(cells: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()
