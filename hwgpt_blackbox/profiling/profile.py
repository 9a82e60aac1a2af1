"""Measuring architectures of a space on this machine, into a measurement set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import numpy as np

from hwgpt_blackbox.domain.spaces import Space, get_space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.models.noise import check_repeat
from hwgpt_blackbox.profiling.conditions import OTHER_SET, Conditions, ConditionsFile
from hwgpt_blackbox.profiling.design import design
from hwgpt_blackbox.profiling.forward_pass import DTYPES
from hwgpt_blackbox.profiling.machine import CUDA, default_threads, find_place, threads
from hwgpt_blackbox.profiling.memory import check_memory
from hwgpt_blackbox.profiling.meters import Meter, NoMeter
from hwgpt_blackbox.profiling.session import Profiled, Session
from hwgpt_blackbox.profiling.visits import Row, Visits
from hwgpt_blackbox.storage.measurement_set import RowFile, alone, write_space

ARCHITECTURES = 200
"""Architectures that are measured if neither their number nor a time is given."""

ROUNDS = 4
"""Of the design, one architecture of each (embed_dim, bias), whose order is random together when a
time is given and not a number."""


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
    order = visiting_order(row, check_repeat(seed), number)
    return measure(row, conditions, order, out, number=number, minutes=minutes, progress=progress)


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
    check_memory(space, conditions, place)
    with ExitStack() as stack:
        stack.enter_context(threads(conditions.threads))
        stack.enter_context(alone(folder, ".profiling.lock", "measures"))
        write_space(folder, space)
        file = ConditionsFile(folder, space, conditions, place.facts())
        visits = Visits(space, conditions, place)
        meter = visits.find_meter(tried=file.before is not None)
        energy = meter.name if isinstance(meter, Meter) else None
        file.set_energy(energy, meter.reason if isinstance(meter, NoMeter) else None)
        table = RowFile(folder / f"{conditions.device}.csv", visits.columns)
        if file.before is None and table.rows():
            raise InputError(
                f"{table.path} has rows, but {file.path.name} is missing, so that their conditions "
                f"are not known; {OTHER_SET}"
            )
        result = Profiled(table.path, no_energy=None if energy else file.content["no_energy"])
        session = Session(table, visits, file)
        session.run(order, result, number, minutes, progress)
    return result
