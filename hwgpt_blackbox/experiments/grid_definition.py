"""What a user asks for: spaces, devices, objectives, methods and seeds, and the runs they make."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from reprlib import repr as shortened
from typing import Any

from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.errors import HWGPTError, InputError, printable, require, unknown
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings

GRIDS = "grids"
"""Key of an experiment file under which it lists several grids; keys beside it hold for all."""


@dataclass(frozen=True)
class Grid:
    """Every space with every set of objectives, on every device, by every method and seed.

    :param spaces: names of spaces
    :param objectives: sets of objectives; ``latency`` stands for ``latency@`` each of the devices
    :param devices: devices for objectives that name none; a set of objectives that depend on no
        device is evaluated on the first
    :param methods: names or import paths
    :param seeds: of the methods and measurements
    :param trials: per run
    :param workers: evaluations at a time, in simulated time
    :param noise: whether the methods see measurements; else expected values
    """

    spaces: tuple[str, ...]
    objectives: tuple[tuple[str, ...], ...]
    devices: tuple[str, ...] = ()
    methods: tuple[str, ...] = ("RS",)
    seeds: tuple[int, ...] = (0,)
    trials: int = 1000
    workers: int = 4
    noise: bool = True

    def problems(self) -> list[Problem]:
        """The problems, without repetition.

        :raises InputError: nothing to do, something named twice, unknown names, or devices that
            nothing is measured on
        """
        for name in ("spaces", "objectives", "methods", "seeds"):
            if not getattr(self, name):
                raise InputError(f"{name} are missing; name one or more")
        for name in ("spaces", "devices", "methods", "seeds"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise InputError(f"{name} are {' '.join(map(str, values))}; name each once")
        if self.devices and all(map(_says_where, self.objectives)):
            raise InputError(
                f"devices are {', '.join(self.devices)}, but every objective that depends on a "
                "device names its own; leave the device out"
            )
        found: dict[str, Problem] = {}
        for space in self.spaces:
            for objectives in self.objectives:
                for targets, device in _expand(objectives, self.devices):
                    problem = _problem(space, targets, device)
                    found.setdefault(problem.name, problem)
        return list(found.values())

    def runs(self) -> list[RunSettings]:
        """The runs, all problems and methods of one seed before the next seed.

        An interrupted grid then holds complete comparisons, and its speed so far tells what is
        left.

        :raises InputError: as :meth:`problems`, or a number out of range
        """
        problems = self.problems()
        return [
            RunSettings(problem, method, seed, self.trials, self.workers, self.noise)
            for seed in self.seeds
            for problem in problems
            for method in self.methods
        ]


def all_runs(grids: Sequence[Grid]) -> list[RunSettings]:
    """The runs of several grids; what two of them share is run once.

    :raises InputError: see :meth:`Grid.runs`; or two runs of one name with other settings
    """
    found: dict[str, RunSettings] = {}
    runs: list[RunSettings] = []
    for grid in grids:
        mine = grid.runs()
        for run in mine:
            other = found.get(run.name)
            if other is not None and other != run:
                raise InputError(
                    f"run {run.name} is asked for with other settings by two grids; give each its "
                    "own --out"
                )
        runs += [run for run in mine if run.name not in found]
        found |= {run.name: run for run in mine}
    return runs


def read_experiment(path: Path) -> list[Grid]:
    """The grids of an experiment file.

    Its keys are those of :class:`Grid`; with ``[[grids]]``, each table is a grid and the keys
    beside them hold for all.

    :param path: TOML, or YAML (``.yaml``, ``.yml``) if PyYAML is installed
    :raises InputError: it cannot be read, or a key or value does not fit
    """
    try:
        parse = _parse_yaml if path.suffix in (".yaml", ".yml") else tomllib.loads
        stated = parse(path.read_text(encoding="utf-8"))
    except HWGPTError:
        raise
    except Exception as error:  # PyYAML lets through what its constructors raise
        reason = " ".join(str(error).split())
        if not isinstance(error, OSError | ValueError):
            reason = f"{type(error).__name__}: {reason}"
        raise InputError(
            f"experiment file {path} cannot be read ({printable(reason)}); expected TOML, or YAML "
            "in a file called .yaml"
        ) from error
    if not isinstance(stated, Mapping):
        raise InputError(f"experiment file {path} holds a {type(stated).__name__}, no keys")
    common = {key: value for key, value in stated.items() if key != GRIDS}
    listed = stated.get(GRIDS, [{}])
    if not isinstance(listed, list) or not all(isinstance(row, Mapping) for row in listed):
        raise InputError(f"experiment file {path}: {GRIDS} is {shortened(listed)}; expected tables")
    try:
        return [_as_grid({**common, **row}) for row in listed]
    except InputError as error:
        raise InputError(f"experiment file {path}: {error}") from error


def override(grid: Grid, changes: Mapping[str, Any]) -> Grid:
    """The grid with other values where ``changes`` has one that is not None."""
    return replace(grid, **{key: value for key, value in changes.items() if value is not None})


def _parse_yaml(text: str) -> Any:
    require("yaml", extra="clusters")
    import yaml

    _check_keys(yaml.compose(text, Loader=yaml.SafeLoader))
    return yaml.safe_load(text)


def _check_keys(node: Any) -> None:
    """Raise if a mapping of a YAML document has a key twice, of which the parser keeps the last.

    :raises ValueError: one has
    """
    seen, nodes = set[int](), [node]
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(getattr(node, "value", None), list):
            continue
        seen.add(id(node))
        pairs = [pair for pair in node.value if isinstance(pair, tuple)]
        keys = [str(key.value) for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is given twice; leave one")
        nodes += [part for pair in pairs for part in pair] or node.value


_Reader = Callable[[str, Any], Any]
"""Takes a key and what a file states for it, and returns the value."""


def _one(kind: type, expected: str) -> _Reader:
    def read(key: str, value: Any) -> Any:
        if type(value) is not kind:
            raise InputError(f"{key} is {shortened(value)}; expected {expected}")
        return value

    return read


def _list_of(read: _Reader, expected: str) -> _Reader:
    def read_all(key: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise InputError(f"{key} is {shortened(value)}; expected {expected}")
        return tuple(read(key, item) for item in value)

    return read_all


_texts = _list_of(_one(str, "a list of texts"), "a list of texts")
_integer = _one(int, "an integer")


def _sets(key: str, value: Any) -> tuple[tuple[str, ...], ...]:
    """One set of objectives, or a list of them."""
    nested = isinstance(value, list) and value and all(isinstance(row, list) for row in value)
    return tuple(_texts(key, row) for row in (value if nested else [value]))


_READERS: dict[str, _Reader] = {
    "spaces": _texts,
    "objectives": _sets,
    "devices": _texts,
    "methods": _texts,
    "seeds": _list_of(_integer, "a list of integers"),
    "trials": _integer,
    "workers": _integer,
    "noise": _one(bool, "true or false"),
}


def _as_grid(stated: Mapping[str, Any]) -> Grid:
    for key in stated:
        if key not in _READERS:
            raise unknown("key", key, [field.name for field in fields(Grid)] + [GRIDS])
    for key in ("spaces", "objectives"):
        if key not in stated:
            raise InputError(f"{key} is missing; expected a list")
    return Grid(**{key: _READERS[key](key, value) for key, value in stated.items()})


def _needs_device(objective: str) -> bool:
    """Whether an objective depends on the device and names none."""
    return objective in METRICS and METRICS[objective].per_device


def _says_where(objectives: Sequence[str]) -> bool:
    """Whether some objective names a device, and none needs another."""
    return any("@" in text for text in objectives) and not any(map(_needs_device, objectives))


def _expand(
    objectives: tuple[str, ...], devices: tuple[str, ...]
) -> list[tuple[tuple[str, ...], str | None]]:
    """Objectives with devices in place, and the device of a set that depends on none."""
    if not devices or _says_where(objectives):
        return [(objectives, None)]
    if not any(map(_needs_device, objectives)):
        return [(objectives, devices[0])]
    return [
        (tuple(f"{text}@{device}" if _needs_device(text) else text for text in objectives), None)
        for device in devices
    ]


def _problem(space: str, objectives: tuple[str, ...], device: str | None) -> Problem:
    try:
        return Problem.parse(space, objectives, device=device)
    except InputError as error:
        raise InputError(f"space {space}, objectives {' '.join(objectives)}: {error}") from error
