"""Splits of a user's own: rows that a file names, or another share than a fifth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.judging.holdouts import Split
from hwgpt_blackbox.convert.judging.measures import random_split
from hwgpt_blackbox.errors import InputError

MAX_BYTES = 64 << 20
"""Largest file of rows that is read."""


@dataclass(frozen=True, eq=False)
class GivenSplit(Split):
    """Architectures that are held out because somebody says so.

    :param kind: its name
    :param seed: for its name only
    :param held: rows, positions in the source from 0, each once
    """

    held: NDArray[np.intp]

    def __post_init__(self) -> None:
        """Any kind and any seed will do."""

    def rows(
        self, n: int, cell: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of ``n`` architectures to fit on, and those held out, each ascending.

        :param cell: does not matter
        :raises InputError: a row is named twice or does not exist, or one side is empty
        """
        held = np.unique(self.held)
        if len(held) < len(self.held):
            raise InputError("a row is held out twice; name each once")
        if not 0 < len(held) < n:
            raise InputError(f"{len(held)} of {n} architectures are held out; expected some")
        if held[0] < 0 or held[-1] >= n:
            wrong = held[0] if held[0] < 0 else held[-1]
            raise InputError(f"row {wrong} is held out; the source has rows 0 to {n - 1}")
        mask = np.ones(n, dtype=bool)
        mask[held] = False
        return np.flatnonzero(mask), held.astype(np.intp)


def share_split(n: int, share: float, seed: int) -> GivenSplit:
    """A random share: scikit-learn's ``train_test_split(test_size=share, random_state=seed)``.

    :param n: number of architectures
    :param share: how many are held out, above 0 and below 1
    :raises InputError: the share is none
    """
    if not 0.0 < share < 1.0:
        raise InputError(f"share is {share!r}; expected above 0 and below 1")
    return GivenSplit(f"random {share:g}", seed, random_split(n, seed, share)[1])


def read_split(path: Path) -> GivenSplit:
    """The split that a text file names: one row number in each line.

    :param path: positions in the source of what is held out, from 0
    :raises InputError: it cannot be read or a line is no number
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path} is larger than {MAX_BYTES} bytes; expected row numbers")
        lines = path.read_text(encoding="utf-8").split()
        return GivenSplit(path.name, 0, np.array([int(line) for line in lines], dtype=np.intp))
    except (OSError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {error}; expected one row number in each line") from error
