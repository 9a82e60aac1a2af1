"""Reading ``stats.pkl``, the profiled data set of one space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import ENERGY_REPEATS, LATENCY_REPEATS
from hwgpt_blackbox.convert.source.number_checks import PlausibleRange, check_range, number, numbers
from hwgpt_blackbox.domain.architecture_strings import ArchitectureStrings
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.errors import DataError

MEMORY_RANGE = PlausibleRange(60.0, 11_000.0, "MB")
"""Plausible memory: every measured value with a margin of two."""

PERPLEXITY_RANGE = PlausibleRange(5.0, 100.0, "")
"""Plausible perplexity: every measured value with a margin of two or more."""


@dataclass(frozen=True)
class Series:
    """A key of a device's entry: repeated measurements.

    :param key: in the file
    :param repeats: how many there are, unless one stands for all
    :param unit: of the plausible range
    """

    key: str
    repeats: int
    unit: str


SERIES = (Series("latencies", LATENCY_REPEATS, "ms"), Series("energies", ENERGY_REPEATS, "Wh"))

MEMORY_KEYS = ("float16_memory", "bfloat16_memory")
COUNT_KEYS = ("flops", "params")


@dataclass
class Stats:
    """What a ``stats.pkl`` says, in natural units; arrays as in ``Measurements``.

    :param names: architecture strings in profiling order
    :param series: per key of ``SERIES``: shape (13, n, repeats), ms and Wh
    :param measured: per key of ``SERIES``: device to number of repeats
    :param memory: per key of ``MEMORY_KEYS``: MB, shape (n,)
    :param counts: per key of ``COUNT_KEYS``: shape (n,)
    :param perplexity: shape (n,), NaN where absent
    """

    names: list[str]
    matrix: NDArray[np.uint8]
    series: dict[str, NDArray[np.float64]]
    measured: dict[str, dict[str, int]]
    memory: dict[str, NDArray[np.float64]]
    counts: dict[str, NDArray[np.int64]]
    perplexity: NDArray[np.float64]


def read_stats(checkout: Checkout) -> Stats:
    """Read and check the profiled data set of the checkout's space.

    :raises DataError: the file is unreadable, corrupt or hostile; an architecture is not of the
        space; a device or value is missing, not a finite positive number or implausible; counts
        differ from the formulas. Names file, architecture, device and value.
    """
    path = str(checkout.stats)
    data = checkout.read_pickle(checkout.stats)
    if type(data) is not dict or not data:
        raise DataError(f"{path} is no dict of architectures; fetch it anew from HW-GPT-Bench")
    stats = _empty(checkout, data, path)
    for index, name in enumerate(stats.names):
        _read_entry(stats, index, data.pop(name), f"{path}: {name}")
    _check(stats, Encoding(checkout.space), path)
    return stats


def _empty(checkout: Checkout, data: dict[str, Any], path: str) -> Stats:
    """Arrays of the right shapes, with the architectures filled in."""
    n, names = len(data), list(data)
    architectures = ArchitectureStrings(checkout.space)
    rows = [architectures.from_string(name, path) for name in names]
    return Stats(
        names=names,
        matrix=np.array(rows, dtype=np.uint8),
        series={row.key: np.empty((len(DEVICES), n, row.repeats)) for row in SERIES},
        measured={row.key: {} for row in SERIES},
        memory={key: np.empty(n) for key in MEMORY_KEYS},
        counts={key: np.empty(n, dtype=np.int64) for key in COUNT_KEYS},
        perplexity=np.full(n, np.nan),
    )


def _read_entry(stats: Stats, index: int, entry: Any, where: str) -> None:
    """Move the entry of one architecture into the arrays, units as in the file."""
    if type(entry) is not dict:
        raise DataError(f"{where} is a {type(entry).__name__}, not a dict of measurements")
    for d, device in enumerate(DEVICES):
        if type(values := entry.get(device)) is not dict:
            raise DataError(
                f"{where} has no measurements on {device}; expected the 13 devices "
                f"{', '.join(DEVICES)}: fetch the file anew from HW-GPT-Bench"
            )
        for row in SERIES:
            _read_series(stats, row, d, index, values, f"{where}: {device}.{row.key}")
    for key in MEMORY_KEYS:
        stats.memory[key][index] = number(entry.get(key), f"{where}: {key}")
    for key in COUNT_KEYS:
        value = number(entry.get(key), f"{where}: {key}")
        if not value.is_integer() or not 0 < value < 2**62:
            raise DataError(f"{where}: {key} is {value!r}; expected a positive integer")
        stats.counts[key][index] = int(value)
    if "perplexity" in entry:
        stats.perplexity[index] = number(entry["perplexity"], f"{where}: perplexity")


def _read_series(
    stats: Stats, row: Series, device: int, index: int, values: dict[str, Any], where: str
) -> None:
    repeats = numbers(values.get(row.key), where)
    name = list(DEVICES)[device]
    expected = stats.measured[row.key].setdefault(name, len(repeats))
    if len(repeats) not in (1, row.repeats) or len(repeats) != expected:
        wanted = f"{row.repeats} (or one)" if expected not in (1, row.repeats) else str(expected)
        raise DataError(
            f"{where} has {len(repeats)} repeats; expected {wanted}, as for every architecture on "
            f"{name}"
        )
    stats.series[row.key][device, index] = repeats


def _check(stats: Stats, encoding: Encoding, path: str) -> None:
    """Convert units, then check every value of the data set."""
    for d, device in enumerate(DEVICES.values()):
        stats.series["energies"][d] *= device.energy_to_wh
        ranges = {"latencies": device.latency_range, "energies": device.energy_range}
        for row in SERIES:
            plausible = PlausibleRange(*ranges[row.key], row.unit)
            what = f"{device.name}.{row.key}"
            check_range(stats.series[row.key][d], plausible, stats.names, what, path)
    for key in MEMORY_KEYS:
        check_range(stats.memory[key][:, None], MEMORY_RANGE, stats.names, key, path)
    present = np.flatnonzero(~np.isnan(stats.perplexity))
    names = [stats.names[i] for i in present]
    check_range(stats.perplexity[present, None], PERPLEXITY_RANGE, names, "perplexity", path)
    for key in COUNT_KEYS:
        exact = count(encoding, stats.matrix, key)
        for i in np.flatnonzero(exact != stats.counts[key])[:1]:
            raise DataError(
                f"{path}: {stats.names[i]}: {key} is {stats.counts[key][i]}; the architecture has "
                f"{exact[i]}: the entry belongs to another architecture"
            )
