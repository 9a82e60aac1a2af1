"""Measuring architectures of a space on this machine, visit by visit, into a measurement set."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import ModelConfig, model_config
from hwgpt_blackbox.domain.spaces import Space, get_space
from hwgpt_blackbox.errors import DataError, InputError, printable
from hwgpt_blackbox.profiling.conditions import ENERGY, OTHER_SET, Conditions, ConditionsFile
from hwgpt_blackbox.profiling.design import design, reference_architecture
from hwgpt_blackbox.profiling.forward_pass import (
    DTYPES,
    METHODS,
    TooLargeError,
    forward_pass,
    memory_columns,
    memory_of_pass,
    warm_up,
)
from hwgpt_blackbox.profiling.machine import CUDA, Place, default_threads, find_place, threads
from hwgpt_blackbox.profiling.meters import Meter, MeterError, NoMeter, energy_of_pass, find_meter
from hwgpt_blackbox.storage.atomic_writes import write_file, writing
from hwgpt_blackbox.storage.measurement_set import (
    DRIFT_BOUND,
    REFERENCE,
    SECONDS,
    SPACE_FILE,
    RowFile,
    configuration_cells,
)

logger = logging.getLogger(__name__)

Row = NDArray[np.uint8]

ARCHITECTURES = 200
"""Architectures that are measured if neither their number nor a time is given."""

REFERENCE_SECONDS, REFERENCE_SHARE = 120.0, 0.1
"""The reference architecture is visited after this time, or after this share of the architectures
if that is sooner; and first and last."""

ROUNDS = 4
"""Of the design, one architecture of each (embed_dim, bias), whose order is random together when a
time is given and not a number."""


@dataclass
class Profiled:
    """What a call of :func:`profile` or :func:`measure` did.

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
    skipped: list[dict[str, Any]] = field(default_factory=list)
    change: float = 0.0
    no_energy: str | None = None


def profile(
    space: str | Space,
    device: str,
    out: str | Path,
    *,
    architectures: int | None = None,
    minutes: float | None = None,
    batch: int | None = None,
    length: int | None = None,
    dtype: str | None = None,
    method: str = "wall",
    on: str = "cpu",
    threads: int | None = None,
    repeats: int = 10,
    compiled: bool = False,
    seed: int = 0,
    progress: bool = True,
) -> Profiled:
    """Measure architectures of a space on this machine.

    Rows are appended one by one: after an interrupt or a kill the same call goes on.

    :param space: a published space's name, or a space
    :param device: what this machine is called
    :param out: folder of the measurement set
    :param architectures: how many, 200 if no time is given; those of a D-optimal design
    :param minutes: stop after this time instead
    :param batch: sequences of a forward pass; default: the space's
    :param length: tokens of each; default: the space's
    :param dtype: ``float32``, ``bfloat16`` or ``float16``; default: float16 on GPUs, as in
        HW-GPT-Bench, and float32 on CPUs
    :param method: ``wall`` time, or self time of all ``kernels``
    :param on: ``cpu``, ``cuda`` or ``cuda:<i>``
    :param threads: of torch; default: as many as torch takes
    :param repeats: latencies of each architecture
    :param compiled: compile networks by ``torch.compile``
    :param seed: of the design and its order
    :param progress: show a progress bar on standard error
    :raises InputError: an argument does not fit, the device was measured under other conditions,
        another process measures into this folder, or the largest architecture does not fit into
        memory
    :raises DataError: a file of the set is broken, or the clock of the machine is
    :raises OutputError: the set cannot be written; the rows before stay
    :raises MissingExtraError: torch is not installed
    """
    row = get_space(space)
    place = find_place(on)
    if architectures is not None and minutes is not None:
        raise InputError("architectures and minutes are both given; give one of them")
    _positive("architectures", architectures)
    _positive("minutes", minutes)
    conditions = Conditions(
        device=device,
        batch_size=row.batch_size if batch is None else batch,
        sequence_length=row.sequence_length if length is None else length,
        dtype=dtype or (DTYPES[2] if place.kind == CUDA else DTYPES[0]),
        method=method,
        on=str(place),
        threads=default_threads() if threads is None else threads,
        repeats=repeats,
        compiled=compiled,
    )
    number = ARCHITECTURES if minutes is None and architectures is None else architectures
    order = visiting_order(row, seed, number)
    return measure(
        row, conditions, order, out, number=number, minutes=minutes, progress=progress
    )


def _positive(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1e9:
        raise InputError(f"{name} is {value!r:.50}; expected a number above 0")


def visiting_order(space: Space, seed: int, number: int | None) -> Iterator[Row]:
    """Architectures of the design in random order.

    :param number: how many; None: as long as there are candidates, in random order within some
        rounds of the design
    """
    rng = np.random.default_rng([seed, 1])
    sequence = design(space, seed)
    size = number or ROUNDS * 2 * len(space.embed_dims)
    while block := list(islice(sequence, size)):
        yield from (block[i] for i in rng.permutation(len(block)))
        if number:
            return


def measure(
    space: Space,
    conditions: Conditions,
    order: Iterable[Row],
    out: str | Path,
    *,
    number: int | None = None,
    minutes: float | None = None,
    progress: bool = True,
) -> Profiled:
    """Visit architectures, those left out that the set holds, and the reference among them.

    :param order: the architectures, canonical choice indices
    :param number: of them; None: not known
    :param minutes: stop after this time
    :raises InputError: see :func:`profile`
    """
    place, folder = find_place(conditions.on), Path(out).expanduser()
    _check_memory(space, conditions, place)
    with ExitStack() as stack:
        stack.enter_context(threads(conditions.threads))
        stack.enter_context(_alone(folder))
        _check_space(folder, space)
        file = ConditionsFile(folder, space, conditions, place.facts())
        visits = _Visits(space, conditions, place)
        meter = visits.find_meter(tried=file.before is not None)
        energy = meter.name if isinstance(meter, Meter) else None
        file.set_energy(energy, meter.reason if isinstance(meter, NoMeter) else None)
        table = RowFile(folder / f"{conditions.device}.csv", visits.columns)
        result = Profiled(table.path, no_energy=None if energy else file.content["no_energy"])
        session = _Session(table, visits, file)
        session.run(order, result, number, minutes, progress)
    return result


# -- before the first visit ------------------------------------------------------------------------


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make a folder, and let no other process measure into it.

    :raises InputError: another does
    """
    with writing(folder, OTHER_SET):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".profiling.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise InputError(
                f"another process measures into {folder}; wait for it: two at a time would "
                "disturb each other"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _check_space(folder: Path, space: Space) -> None:
    """Write the space of a set, or check that it is this one.

    :raises InputError: it is another
    """
    path = folder / SPACE_FILE
    if path.exists():
        found = Space.from_file(path)
        if found != space:
            raise InputError(f"{folder} is of another space, {found.name}; {OTHER_SET}")
        return
    with writing(path, OTHER_SET):
        write_file(path, space.as_toml())


def memory_needed(config: ModelConfig, batch: int, length: int, dtype: str) -> int:
    """About how many bytes a forward pass takes: weights, logits, and the widest layer."""
    low = dtype != DTYPES[0]  # autocast keeps a second copy of the weights
    weights = config.num_parameters * (6 if low else 4)
    layers = zip(config.mlp_ratios, config.num_heads, strict=True)
    widest = max(
        3 * ratio * config.embed_dim + 6 * heads * config.head_size for ratio, heads in layers
    )
    entries = config.vocabulary + widest + 4 * config.embed_dim
    return weights + batch * length * entries * (2 if low else 4)


def _check_memory(space: Space, conditions: Conditions, place: Place) -> None:
    """Stop before the start if the largest architecture does not fit.

    :raises InputError: it does not
    """
    largest = {name: choices[-1] for name, choices in space.choices.items()}
    workload = conditions.batch_size, conditions.sequence_length
    needed = memory_needed(model_config(space, largest), *workload, conditions.dtype)
    free = place.free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"the largest architecture of space {space.name} takes about {needed / 1e9:.1f} GB at "
            f"batch {workload[0]} and length {workload[1]}, and {free / 1e9:.1f} GB are free; give "
            "a smaller --batch or --length, or close other programs"
        )


# -- visits ----------------------------------------------------------------------------------------


class _Visits:
    """What one visit measures."""

    def __init__(self, space: Space, conditions: Conditions, place: Place) -> None:
        self.encoding = Encoding(space)
        self.conditions, self.place = conditions, place
        self.reference = reference_architecture(space)
        self.meter: Meter | NoMeter = NoMeter("")

    def find_meter(self, *, tried: bool) -> Meter | NoMeter:
        """The meter of energy; it counts as none if it does not work on the first pass.

        :param tried: whether it worked before
        """
        self.meter = find_meter(self.place.kind, self.place.index)
        if isinstance(self.meter, Meter) and not tried:
            try:
                self.visit(self.reference)
            except MeterError as error:
                self.meter = NoMeter(str(error))
        return self.meter

    @property
    def columns(self) -> list[str]:
        """Columns of the table."""
        return [
            *self.encoding.names,
            *(f"latency_{i}" for i in range(self.conditions.repeats)),
            *(["energy_0"] if isinstance(self.meter, Meter) else []),
            *memory_columns(self.place, self.conditions.dtype),
            REFERENCE,
            SECONDS,
        ]

    def visit(self, row: Row) -> list[float]:
        """Latencies (ms), then energy (Wh) and memory (MB) where they are measured.

        :raises TooLargeError: the architecture does not fit into memory
        :raises MeterError: energy cannot be read any more
        """
        asked = self.conditions
        config = model_config(self.encoding.space, self.encoding.decode_one(row))
        config = replace(config, sequence_length=asked.sequence_length)
        with forward_pass(
            config,
            self.place,
            asked.batch_size,
            asked.sequence_length,
            asked.dtype,
            compiled=asked.compiled,
        ) as forward:
            seconds = warm_up(forward)
            found = METHODS[asked.method](forward, asked.repeats, seconds)
            if isinstance(self.meter, Meter):
                found.append(energy_of_pass(self.meter, forward.run))
            if self.place.kind == CUDA:
                found += memory_of_pass(forward, asked.dtype)
        return found

    def cells(self, row: Row) -> list[str]:
        """The cells of an architecture."""
        return configuration_cells(self.encoding.space, self.encoding.decode_one(row))


class _Session:
    """One call: the visits that are left, and when they began."""

    def __init__(self, table: RowFile, visits: _Visits, file: ConditionsFile) -> None:
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
        between = max(1, round(REFERENCE_SHARE * (number or ARCHITECTURES)))
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
                    configuration = self.visits.encoding.decode_one(row)
                    logger.warning("skipped, it does not fit into memory (%s): %s", error, row)
                    result.skipped.append(configuration)
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
                "this machine changed: the slowest visit of the reference architecture took %.0f %% "
                "longer than the fastest (more than %.0f %%); the fit removes what is slow, but "
                "look for other programs, a hot processor or a battery",
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
