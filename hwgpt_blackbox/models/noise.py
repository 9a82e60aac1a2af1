"""Measurement noise: draws keyed by (architecture, device, metric, repeat).

A draw is the expected value times a ratio, read off the empirical quantile function of the device's
measurements at a uniform number that a counter-based generator computes from the key. The same key
always gives the same draw, in any order, batch, process or machine.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.models.portable_arithmetic import (
    GOLDEN,
    mix64,
    mix64_one,
    unit_interval,
    unit_interval_one,
)

MAX_REPEAT = 2**62
"""Repeats are numbered from 0 to below this."""

SESSIONS = 2**40
"""Repeat k is measured in session k mod this, so that the next repeats are of other sessions; those
of one session, which share the state of the machine, are k, k + 2^40, k + 2 * 2^40 …"""

_FIRST_SESSION = 2**62
"""Counters of sessions start here, beyond those of repeats."""


POSITIONS = 10
"""Repeats of a session whose position in it may matter."""

_TAIL = 2.0 ** -np.arange(9, 5, -1)
POSITION_LEVELS = np.concatenate([[0.0], _TAIL, np.arange(1, 32) / 32, 1.0 - _TAIL[::-1], [1.0]])
"""Levels at which the distributions of positions are kept. Their distances are powers of two, so
that a position without an effect leaves a level as it is, to the bit."""


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
    if type(repeat) is not int and (
        isinstance(repeat, bool) or not isinstance(repeat, (int, np.integer))
    ):
        raise InputError(f"seed is {repeat!r}; expected None or an integer, 0 or more")
    if not 0 <= repeat < MAX_REPEAT:
        raise InputError(f"seed is {repeat}; expected an integer from 0 to below 2**62")
    return int(repeat)


@dataclass(frozen=True)
class Dependence:
    """How measurements of one (metric, device) depend on one another. All ones: not at all.

    The level u of a measurement in its distribution is the state of the machine in the session,
    moved evenly by up to ``spread`` and reflected at 0 and 1, which keeps it uniform. The repeats
    of a session share its state; with a spread of 1 they forget it, with 0 they are equal. The
    states of latency and energy come from one state of the device, likewise moved by up to
    ``coupling`` each; ``sign`` -1 lets this metric be low where the device's state is high.

    :param spread: 0 to 1
    :param coupling: 0 to 1
    :param sign: 1 or -1
    """

    spread: float = 1.0
    coupling: float = 1.0
    sign: float = 1.0


@dataclass(frozen=True)
class Streams:
    """Random streams of several (metric, device), each field of shape (c,)."""

    own: NDArray[np.uint64]
    machine: NDArray[np.uint64]
    spread: NDArray[np.float64]
    coupling: NDArray[np.float64]
    sign: NDArray[np.float64]


def make_streams(names: Sequence[str], dependences: Sequence[Dependence]) -> Streams:
    """The streams of targets.

    :param names: ``latency@a100`` …
    :param dependences: one for each
    """
    devices = [name.partition("@")[2] for name in names]
    return Streams(
        np.array([stream_key(*name.split("@")) for name in names], dtype=np.uint64),
        np.array([stream_key("machine", device) for device in devices], dtype=np.uint64),
        np.array([d.spread for d in dependences]),
        np.array([d.coupling for d in dependences]),
        np.array([d.sign for d in dependences]),
    )


def uniforms(
    keys: NDArray[np.uint64], streams: Streams, repeats: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """Level of each measurement in its distribution: uniform on [0, 1].

    :param keys: of architectures, shape (n,)
    :param streams: of c (metric, device)
    :param repeats: shape (n,) or (1,)
    :return: shape (n, c)
    """
    session = (repeats % np.uint64(SESSIONS) + np.uint64(_FIRST_SESSION)) * np.uint64(GOLDEN)
    counter = repeats * np.uint64(GOLDEN)
    own = mix64(keys[:, None] ^ streams.own)
    machine = mix64(keys[:, None] ^ streams.machine)
    state = unit_interval(mix64(machine + session[:, None]))
    state = np.where(streams.sign < 0, 1.0 - state, state)
    state = _moved(state, streams.coupling, unit_interval(mix64(own + session[:, None])))
    return _moved(state, streams.spread, unit_interval(mix64(own + counter[:, None])))


def _moved(
    state: NDArray[np.float64], by: NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A uniform number moved evenly by up to ``by`` and reflected at 0 and 1: uniform again."""
    moved = np.abs(state + by * (2.0 * u - 1.0))
    return np.minimum(moved, 2.0 - moved)


def _moved_one(state: float, by: float, u: float) -> float:
    """``_moved`` of one number."""
    moved = abs(state + by * (2.0 * u - 1.0))
    return min(moved, 2.0 - moved)


_GUIDE = 1024


class QuantileTables:
    """Ratio quantile functions of several (metric, device), piecewise linear on common levels.

    :param levels: ascending from 0 to 1, shape (k,)
    :param quantiles: shape (groups, c, k), positive and ascending along the last axis
    :param streams: of the c (metric, device)
    :param positions: distribution of the levels of the repeats at each position of a session, at
        ``POSITION_LEVELS``: shape (groups, c, POSITIONS, its length); None: all are alike
    """

    def __init__(
        self,
        levels: NDArray[np.float64],
        quantiles: NDArray[np.float64],
        streams: Streams,
        positions: NDArray[np.float64] | None = None,
    ) -> None:
        self.positions = positions
        self.streams = streams
        self._columns = len(streams.own)
        self._cells = len(levels) - 1
        self._levels = levels
        self._inner = levels[1:-1]
        self._lower = quantiles[:, :, :-1].reshape(-1)
        self._slope = (np.diff(quantiles, axis=-1) / np.diff(levels)).reshape(-1)
        self._level_list: list[float] = levels.tolist()
        self._inner_list: list[float] = self._inner.tolist()
        self._stream_list = list(
            zip(
                streams.own.tolist(),
                streams.machine.tolist(),
                streams.spread.tolist(),
                streams.coupling.tolist(),
                streams.sign.tolist(),
                strict=True,
            )
        )
        # Cell of a level by its place among 1,024; where knots lie within a place, by search.
        edges = np.arange(_GUIDE + 2) / _GUIDE
        self._guide = self._inner.searchsorted(edges[:-1], side="right")
        self._unclear = self._inner.searchsorted(edges[1:], side="left") > self._guide

    @cached_property
    def _shares(self) -> list[Any]:
        """``positions`` by group, position and column, as lists: quicker one at a time."""
        if self.positions is None:
            return []
        shares: list[Any] = self.positions.swapaxes(1, 2).tolist()
        return shares

    def _find(self, u: NDArray[np.float64]) -> NDArray[np.intp]:
        """Cell of each level, same shape."""
        place = (u * _GUIDE).astype(np.intp)
        cell: NDArray[np.intp] = self._guide.take(place)
        unclear = self._unclear.take(place)
        if unclear.any():
            cell[unclear] = self._inner.searchsorted(u[unclear], side="right")
        return cell

    def ratios(self, group: NDArray[np.intp], u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Quantiles at ``u``.

        :param group: shape (n,)
        :param u: shape (n, c), in [0, 1]
        :return: shape (n, c), positive
        """
        cell = self._find(u)
        offset = u - self._levels.take(cell)
        cell += np.arange(self._columns) * self._cells
        cell += (group * (self._columns * self._cells))[:, None]
        return self._lower.take(cell) + offset * self._slope.take(cell)

    def at_positions(
        self, group: NDArray[np.intp], u: NDArray[np.float64], position: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Levels of repeats at positions of their sessions, from levels that know no position.

        :param group: shape (n,)
        :param u: shape (n, c), uniform on [0, 1]
        :param position: shape (n,) or (1,)
        :return: shape (n, c); over all positions together uniform again
        """
        if self.positions is None:
            return u
        share = self.positions[group, :, position]
        cell = (share[..., 1:-1] <= u[..., None]).sum(axis=-1, keepdims=True)
        low, high = (np.take_along_axis(share, cell + k, axis=-1)[..., 0] for k in (0, 1))
        inside, cell = (u - low) / (high - low), cell[..., 0]
        return np.asarray(POSITION_LEVELS[cell] + inside * np.diff(POSITION_LEVELS)[cell])

    def ratios_one(
        self, group: int, key: int, repeat: int, position: int | None = None
    ) -> list[float]:
        """Ratios of one architecture: what ``ratios`` gives for its ``uniforms``.

        :param position: of the repeat in its session; None: it does not matter
        """
        known = position is not None and self.positions is not None
        share = self._shares[group][position] if known else None
        session = (repeat % SESSIONS + _FIRST_SESSION) * GOLDEN
        counter = repeat * GOLDEN
        out = []
        at = group * self._columns * self._cells
        last, of_machine = None, 0.0
        for column, (own, machine, spread, coupling, sign) in enumerate(self._stream_list):
            base = mix64_one(key ^ own)
            if machine != last:
                last = machine
                of_machine = unit_interval_one(mix64_one(mix64_one(key ^ machine) + session))
            state = 1.0 - of_machine if sign < 0 else of_machine
            state = _moved_one(state, coupling, unit_interval_one(mix64_one(base + session)))
            u = _moved_one(state, spread, unit_interval_one(mix64_one(base + counter)))
            if share is not None:
                u = _at_position_one(share[column], u)
            cell = bisect_right(self._inner_list, u)
            offset = u - self._level_list[cell]
            out.append(self._lower.item(at + cell) + offset * self._slope.item(at + cell))
            at += self._cells
        return out


_POSITION_LEVELS: list[float] = POSITION_LEVELS.tolist()


def _at_position_one(share: list[float], u: float) -> float:
    """``QuantileTables.at_positions`` of one number."""
    cell = bisect_right(share, u, 1, len(share) - 1) - 1
    low, high = share[cell], share[cell + 1]
    level = _POSITION_LEVELS[cell]
    return level + (u - low) / (high - low) * (_POSITION_LEVELS[cell + 1] - level)


def mean_ratio(levels: NDArray[np.float64], quantiles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exact mean of piecewise linear quantile functions.

    :param quantiles: shape (..., k)
    :return: shape (...)
    """
    middles = (quantiles[..., 1:] + quantiles[..., :-1]) / 2.0
    return np.asarray((middles * np.diff(levels)).sum(axis=-1))


def deviation_ratio(
    levels: NDArray[np.float64], quantiles: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Exact standard deviation of piecewise linear quantile functions.

    :param quantiles: shape (..., k)
    :return: shape (...)
    """
    low, high = quantiles[..., :-1], quantiles[..., 1:]
    square = ((low * low + low * high + high * high) / 3.0 * np.diff(levels)).sum(axis=-1)
    return np.asarray(np.sqrt(np.maximum(square - mean_ratio(levels, quantiles) ** 2, 0.0)))
