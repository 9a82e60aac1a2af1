"""One call of profiling: the visits that are left, and those of the reference architecture."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.domain.architecture_strings import Architectures
from hwgpt_blackbox.errors import DataError, InputError, printable
from hwgpt_blackbox.profiling.conditions import OTHER_SET, ConditionsFile
from hwgpt_blackbox.profiling.forward_pass import TooLargeError
from hwgpt_blackbox.profiling.visits import Row, Visits
from hwgpt_blackbox.storage.measurement_set import DRIFT_BOUND, REFERENCE, SECONDS, RowFile

logger = logging.getLogger(__name__)

REFERENCE_SECONDS, REFERENCE_SHARE, REFERENCE_MOST = 120.0, 0.1, 20
"""The reference architecture is visited after this time, this share of the architectures, or so
many of them, whatever comes first; and first and last."""


@dataclass
class Profiled:
    """What a call of :func:`profile` did.

    :param path: the table of the device
    :param architectures: that the table holds, the reference architecture left out
    :param new: of them, those of this call
    :param skipped: architectures that did not fit into memory
    :param change: largest over smallest median latency of the visits of the reference
        architecture, less 1
    :param no_energy: why there is no energy; None if there is
    """

    path: Path
    architectures: int = 0
    new: int = 0
    skipped: list[str] = field(default_factory=list)
    change: float = 0.0
    no_energy: str | None = None


class Session:
    """One call: the visits that are left, and when they began."""

    def __init__(self, table: RowFile, visits: Visits, file: ConditionsFile) -> None:
        self.table, self.visits, self.file = table, visits, file
        rows = table.rows()
        self.measured = self._measured(rows)
        self.since_reference = 0 if rows and rows[-1][REFERENCE] == "1" else len(rows)
        """Architectures after the last visit of the reference architecture."""
        self.last_reference = -np.inf
        now = time.time()
        begun = now - file.begin(now, visits.place.state())
        last = float(rows[-1][SECONDS]) if rows else 0.0
        if begun < last:
            logger.warning(
                "the clock of this machine is %.0f s behind the last row of %s: it was set back; "
                "times go on from that row",
                last - begun,
                table.path,
            )
        self._offset = max(begun, last) - time.monotonic()

    def _measured(self, rows: list[dict[str, str]]) -> set[tuple[str, ...]]:
        """Cells of the architectures that the table holds."""
        names = self.visits.encoding.names
        try:
            for row in rows:
                float(row[SECONDS])
                if None in row or None in row.values():
                    raise ValueError("not as many cells as columns")
        except (TypeError, ValueError) as error:
            raise DataError(
                f"{self.table.path} has a row that is not whole ({printable(error)}); delete the "
                f"row, or {OTHER_SET}"
            ) from None
        return {tuple(row[name] for name in names) for row in rows if row[REFERENCE] == "0"}

    def now(self) -> float:
        """Seconds since profiling began, in whatever process."""
        return time.monotonic() + self._offset

    def run(
        self,
        order: Iterable[Row],
        result: Profiled,
        number: int | None,
        minutes: float | None,
        progress: bool,
    ) -> None:
        """Visit what is left, and the reference architecture first, last and in between."""
        begin = self.now()
        deadline = begin + 60.0 * minutes if minutes else np.inf
        share = REFERENCE_MOST if number is None else round(REFERENCE_SHARE * number)
        between = max(1, min(share, REFERENCE_MOST))
        with _bar(progress, len(self.measured), number, minutes) as show:
            for row in order:
                if tuple(self.visits.cells(row)) in self.measured:
                    continue
                waited = self.now() - self.last_reference
                if waited >= REFERENCE_SECONDS or self.since_reference >= between:
                    self._visit(self.visits.reference, reference=True)
                if self.now() >= deadline:
                    break
                try:
                    self._visit(row, reference=False)
                except TooLargeError as error:
                    name = Architectures(self.visits.encoding.space).to_string(row.tolist())
                    logger.warning("skipped %s: it does not fit into memory (%s)", name, error)
                    result.skipped.append(name)
                    continue
                result.new += 1
                show(self.now() - begin)
            if self.since_reference:
                self._visit(self.visits.reference, reference=True)
        result.architectures = len(self.measured)
        result.change = self._change()
        self.file.end(time.time(), self.visits.place.state())

    def _visit(self, row: Row, *, reference: bool) -> None:
        begin = self.now()
        try:
            found = self.visits.visit(row)
        except TooLargeError as error:
            if not reference:
                raise
            raise InputError(
                f"the reference architecture does not fit into memory ({error}); give a smaller "
                "--batch or --length"
            ) from None
        cells = self.visits.cells(row)
        self.table.append([*cells, *found, int(reference), round(begin, 3)])
        if reference:
            self.last_reference, self.since_reference = self.now(), 0
        else:
            self.measured.add(tuple(cells))
            self.since_reference += 1

    def _change(self) -> float:
        """How much slower the slowest visit of the reference architecture was than the fastest."""
        names = [f"latency_{i}" for i in range(self.visits.conditions.repeats)]
        found = [
            np.median([float(row[name]) for name in names])
            for row in self.table.rows()
            if row[REFERENCE] == "1"
        ]
        change = float(max(found) / min(found) - 1.0) if found else 0.0
        if change > DRIFT_BOUND:
            logger.warning(
                "this machine changed: the slowest visit of the reference architecture took "
                "%.0f %% longer than the fastest (more than %.0f %%); the fit removes slow "
                "changes, but look for other programs, a hot processor or a battery",
                100 * change,
                100 * DRIFT_BOUND,
            )
        return change


@contextmanager
def _bar(shown: bool, done: int, number: int | None, minutes: float | None) -> Iterator[Any]:
    """A progress bar with the time left: of architectures, or of time if that is given.

    :return: called after each architecture with the seconds of this call
    """
    from tqdm import tqdm

    options: dict[str, Any] = {"disable": not shown, "file": sys.stderr}
    if not sys.stderr.isatty():
        options["mininterval"] = 10.0
    if minutes:
        options |= {"total": round(60 * minutes), "unit": "s"}
    else:
        options |= {"total": number, "initial": min(done, number or done), "unit": "architecture"}
    with tqdm(**options) as bar:
        count = done

        def show(seconds: float) -> None:
            nonlocal count
            count += 1
            if minutes:
                bar.set_description_str(f"{count} architectures", refresh=False)
                bar.update(min(round(seconds), bar.total) - bar.n)
            else:
                bar.update()

        yield show
