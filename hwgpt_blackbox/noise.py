"""Measurement noise: draws keyed by (architecture, device, metric, repeat).

A draw is the expected value times a ratio, read off the empirical quantile function of the device's
measurements at a uniform number that a counter-based generator computes from the key. The same key
always gives the same draw, in any order, batch, process or machine.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.portable import GOLDEN, mix64, mix64_one, unit_interval, unit_interval_one

MAX_REPEAT = 2**62
"""Repeats are numbered from 0 to below this."""


def stream_key(*names: str) -> np.uint64:
    """A 64-bit constant for a name, the same in every process."""
    digest = hashlib.blake2b("/".join(names).encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def tabulation_table(space: str, groups: int, rows: int) -> NDArray[np.uint64]:
    """Random words whose exclusive-or over an architecture's layers is its key.

    Tabulation hashing (Zobrist 1970): any two architectures collide with probability 2^-64.

    :param space: name of the space; other spaces have other words
    :param groups: number of (embed_dim, num_layers, bias) groups
    :param rows: number of words of the layers
    :return: shape (groups + rows,)
    """
    counter = np.arange(1, groups + rows + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    return mix64(mix64(counter ^ stream_key("architecture", space)))


def check_repeat(repeat: object) -> int:
    """A repeat number as an int.

    :raises InputError: not an integer from 0 to below 2^62
    """
    if isinstance(repeat, bool) or not isinstance(repeat, int | np.integer):
        raise InputError(f"seed is {repeat!r}; expected None or an integer, 0 or more")
    if not 0 <= repeat < MAX_REPEAT:
        raise InputError(f"seed is {repeat}; expected an integer from 0 to below 2**62")
    return int(repeat)


def uniforms(
    keys: NDArray[np.uint64], streams: NDArray[np.uint64], repeats: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """One uniform number in (0, 1) per (architecture, stream).

    :param keys: of architectures, shape (n,)
    :param streams: of (metric, device), shape (c,)
    :param repeats: shape (n,) or (1,)
    :return: shape (n, c)
    """
    counter = repeats * np.uint64(GOLDEN)
    return unit_interval(mix64(mix64(keys[:, None] ^ streams) + counter[:, None]))


class QuantileTables:
    """Ratio quantile functions of several (metric, device), piecewise linear on common levels.

    :param levels: ascending from 0 to 1, shape (k,)
    :param quantiles: shape (groups, c, k), positive and ascending along the last axis
    :param streams: keys of the (metric, device), shape (c,)
    """

    def __init__(
        self,
        levels: NDArray[np.float64],
        quantiles: NDArray[np.float64],
        streams: NDArray[np.uint64],
    ) -> None:
        self.streams = streams
        self._columns = len(streams)
        self._cells = len(levels) - 1
        self._levels = levels
        self._inner = levels[1:-1]
        self._lower = quantiles[:, :, :-1].reshape(-1)
        self._slope = (np.diff(quantiles, axis=-1) / np.diff(levels)).reshape(-1)
        self._level_list: list[float] = levels.tolist()
        self._inner_list: list[float] = self._inner.tolist()
        self._stream_list: list[int] = streams.tolist()

    def ratios(self, group: NDArray[np.intp], u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantiles at ``u``.

        :param group: shape (n,)
        :param u: shape (n, c), in (0, 1)
        :return: shape (n, c), positive
        """
        cell = self._inner.searchsorted(u, side="right")
        offset = u - self._levels.take(cell)
        cell += np.arange(self._columns) * self._cells
        cell += (group * (self._columns * self._cells))[:, None]
        return self._lower.take(cell) + offset * self._slope.take(cell)

    def ratios_one(self, group: int, key: int, repeat: int) -> list[float]:
        """Ratios of one architecture: what ``ratios`` gives for its uniforms."""
        counter = repeat * GOLDEN
        out = []
        at = group * self._columns * self._cells
        for stream in self._stream_list:
            u = unit_interval_one(mix64_one(mix64_one(key ^ stream) + counter))
            cell = bisect_right(self._inner_list, u)
            offset = u - self._level_list[cell]
            out.append(self._lower.item(at + cell) + offset * self._slope.item(at + cell))
            at += self._cells
        return out


def mean_ratio(levels: NDArray[np.float64], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exact mean of piecewise linear quantile functions.

    :param quantiles: shape (..., k)
    :return: shape (...)
    """
    middles = (quantiles[..., 1:] + quantiles[..., :-1]) / 2.0
    return np.asarray((middles * np.diff(levels)).sum(axis=-1))
