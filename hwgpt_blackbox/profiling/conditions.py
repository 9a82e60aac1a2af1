"""Under which conditions a device was measured: ``<device>.json`` of a measurement set."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, printable, unknown
from hwgpt_blackbox.profiling.forward_pass import DTYPES, METHODS
from hwgpt_blackbox.storage.atomic_writes import write_file, writing
from hwgpt_blackbox.storage.measurement_set import QUALITY
from hwgpt_blackbox.storage.user_devices import Workload, check_name

SESSIONS, ENERGY, NO_ENERGY = "sessions", "energy", "no_energy"
"""Keys: what each call found; the meter of energy, None if there is none; and why there is none."""

OTHER_SET = "choose another folder with --out"

MOST_THREADS, MOST_REPEATS = 4096, 1000


@dataclass(frozen=True)
class Conditions:
    """What is measured, and how.

    :param device: name of the device
    :param batch_size: sequences of a forward pass
    :param sequence_length: tokens of each
    :param dtype: of ``DTYPES``
    :param method: of ``METHODS``
    :param on: ``cpu``, ``cuda`` or ``cuda:<i>``
    :param threads: of torch
    :param repeats: latencies of a visit
    :param compiled: whether by ``torch.compile``
    """

    device: str
    batch_size: int
    sequence_length: int
    dtype: str
    method: str
    on: str
    threads: int
    repeats: int
    compiled: bool

    def __post_init__(self) -> None:
        if check_name(self.device).lower() == QUALITY:
            raise InputError(f"device {self.device!r} is the table of perplexities; choose another")
        Workload(self.batch_size, self.sequence_length)
        for name, number, most in (
            ("threads", self.threads, MOST_THREADS),
            ("repeats", self.repeats, MOST_REPEATS),
        ):
            if type(number) is not int or not 0 < number <= most:
                raise InputError(f"{name} is {number!r:.50}; expected a number from 1 to {most}")
        if self.dtype not in DTYPES:
            raise unknown("dtype", self.dtype, DTYPES)
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)


class ConditionsFile:
    """The conditions of a device in a measurement set.

    :param folder: the set
    :param space: its space
    :param conditions: of this call
    :param facts: of this machine
    :raises InputError: the device was measured under other conditions
    :raises DataError: the file holds no conditions
    """

    def __init__(
        self, folder: Path, space: Space, conditions: Conditions, facts: Mapping[str, Any]
    ) -> None:
        self.path = folder / f"{conditions.device}.json"
        self.content = {"space": space.name, **asdict(conditions), **facts}
        self.before: dict[str, Any] | None = None
        """What an earlier call wrote."""
        if self.path.exists():
            self.before = read_conditions(self.path)
            for key, value in self.content.items():
                self._check(key, value, self.before.get(key))
            self.content = dict(self.before)

    def set_energy(self, meter: str | None, reason: str | None) -> None:
        """Record the meter of energy, or why there is none.

        :raises InputError: energy was measured before and now is not, or the reverse
        """
        if self.before is not None:
            self._check(ENERGY, meter, self.before.get(ENERGY), f" ({reason})" if reason else "")
        self.content |= {ENERGY: meter, NO_ENERGY: reason}

    def begin(self, now: float, state: Mapping[str, Any]) -> float:
        """Record that a session begins.

        :param now: seconds since 1970
        :return: when the first session began
        """
        sessions = [*self.content.get(SESSIONS, []), {"start": now, **state}]
        self.content[SESSIONS] = sessions
        self._write()
        return float(sessions[0]["start"])

    def end(self, now: float, state: Mapping[str, Any]) -> None:
        """Record that the session ends; of a killed one nothing is recorded."""
        last = self.content[SESSIONS][-1]
        last |= {"end": now} | {f"{key}_at_end": value for key, value in state.items()}
        self._write()

    def _write(self) -> None:
        with writing(self.path, OTHER_SET):
            write_file(self.path, json.dumps(self.content, indent=1) + "\n")

    def _check(self, key: str, value: Any, before: Any, why: str = "") -> None:
        if value != before:
            raise InputError(
                f"{self.path}: measured with {key} {printable(before)}, now it is "
                f"{printable(value)}{why}; go on with the command and the machine of before, or "
                f"{OTHER_SET}"
            )


def read_conditions(path: Path) -> dict[str, Any]:
    """The conditions that a file holds.

    :raises DataError: it holds none
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("no object")
        sessions = found.setdefault(SESSIONS, [])
        if not all(isinstance(row["start"], int | float) for row in sessions):
            raise ValueError(f"{SESSIONS} without start")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(
            f"{path} holds no conditions of profiling ({printable(error)}); {OTHER_SET}"
        ) from None
    return found


def conditions_of(path: Path) -> Conditions:
    """What was chosen when a device was measured.

    :param path: its conditions
    :raises DataError: the file holds none
    """
    found = read_conditions(path)
    try:
        return Conditions(**{field.name: found[field.name] for field in fields(Conditions)})
    except KeyError as error:
        raise DataError(
            f"{path} lacks {error}, as of a device that 'hwgpt-blackbox profile' did not measure"
        ) from None
