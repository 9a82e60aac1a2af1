"""Canonical codes of many configurations at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.optimizers._space import Codes, SearchSpace

Mask = npt.NDArray[np.bool_]

_PROBES = 16  # random configurations from which the governing hyperparameters are found
_PROBED_CHOICES = 3
_COMBINATIONS = 4096  # of governing values: more are not tabulated


@functools.cache
def _multipliers(count: int) -> Codes:
    """Numbers of which no two combinations are equal, but by an accident of 1 in 2**40."""
    return np.random.default_rng(0).random(count)


def different_rows(rows: Codes) -> tuple[Codes, npt.NDArray[np.intp]]:
    """The different ones among rows (n, k), in any order, and which of them each row is, (n,)."""
    # equal rows have equal sums: as np.unique(axis=0), in a fraction of the time
    names = (rows * _multipliers(rows.shape[1])).sum(axis=1)
    _, first, where = np.unique(names, return_index=True, return_inverse=True)
    return rows[first], where.reshape(-1)


class Canonicaliser:
    """Canonical codes of many configurations at once.

    A canonical form is a Python function of one dict; local search needs thousands of them per
    suggestion. Most are masks: a few *governing* hyperparameters (a number of layers) say which
    others exist, and those that do not are set to fixed values. Which ones govern is found by
    changing one hyperparameter at a time in random configurations; the masks follow, one per
    combination of governing values, when first met. A form that is not of this kind (other random
    configurations tell) is called row by row.

    The answer is as good as the probes: whoever hands out an architecture asks the true form once
    more (``MultiObjectiveSearcher.is_new``).

    :param space: the encoding
    :param canonical: codes (shape (d,)) -> canonical codes (shape (d,)); None: the identity.
    """

    def __init__(self, space: SearchSpace, canonical: Callable[[Codes], Codes] | None) -> None:
        self._space = space
        self._canonical = canonical
        self._strides = np.zeros(len(space))  # of the governing ones: which combination codes are
        self._known = np.zeros(1, dtype=bool)
        self._active = np.ones((1, len(space)), dtype=bool)  # by combination
        self._values: Codes = np.zeros((1, len(space)))  # of those that are not active
        self._by_row = False
        if canonical is not None:
            rng = np.random.default_rng(0)  # fixed: no randomness of the run is spent here
            self._by_row = not self._tabulate(self._find_governors(canonical, rng))
            tests = space.sample(rng, _PROBES)
            expected = np.stack([canonical(row) for row in tests])
            self._by_row = self._by_row or not np.allclose(self(tests)[0], expected)

    def __call__(self, codes: Codes) -> tuple[Codes, Mask]:
        """Canonical codes and whether each hyperparameter is active: both of shape (n, d).

        All count as active where the form is called row by row.
        """
        if self._canonical is None or not len(codes):
            return codes, np.ones(codes.shape, dtype=bool)
        if self._by_row:
            rows = np.stack([self._canonical(row) for row in codes])
            return rows, np.ones(codes.shape, dtype=bool)
        which = (codes * self._strides).sum(axis=1).astype(np.intp)
        for row in np.flatnonzero(~self._known[which]):
            if not self._known[which[row]]:
                self._learn(self._canonical, int(which[row]), codes[row])
        active = self._active[which]
        return np.where(active, codes, self._values[which]), active

    def _tabulate(self, governors: list[int]) -> bool:
        """Make room for each combination of governing values; whether there are few enough."""
        sizes = [self._space.dimensions[i].size for i in governors]
        count = math.prod(sizes)
        if not 0 < count <= _COMBINATIONS:
            return False
        for i, size in zip(governors, sizes, strict=True):
            self._strides *= size
            self._strides[i] = 1.0
        self._known = np.zeros(count, dtype=bool)
        self._active = np.ones((count, len(self._space)), dtype=bool)
        self._values = np.zeros((count, len(self._space)))
        return True

    def _others(self, i: int, code: float) -> list[float]:
        """Up to three other codes of one hyperparameter."""
        size = self._space.dimensions[i].size
        if not size:
            return [float((code + 0.37) % 1.0)]
        picks = np.unique(np.linspace(0, size - 1, min(size, _PROBED_CHOICES)).round())
        return [float(pick) for pick in picks if pick != code]

    def _find_governors(
        self, canonical: Callable[[Codes], Codes], rng: np.random.Generator
    ) -> list[int]:
        governors = set()
        for codes in self._space.sample(rng, _PROBES):
            before = canonical(codes)
            for i in range(len(codes)):
                for other in self._others(i, codes[i]):
                    changed = codes.copy()
                    changed[i] = other
                    differs = canonical(changed) != before
                    differs[i] = False
                    if differs.any():
                        governors.add(i)
        return sorted(governors)

    def _learn(self, canonical: Callable[[Codes], Codes], combination: int, codes: Codes) -> None:
        """Active hyperparameters, and values of the others, for one combination of governors."""
        values, active = canonical(codes), self._active[combination]
        for i in np.flatnonzero(self._strides == 0).tolist():
            for other in self._others(i, codes[i])[:1]:
                changed = codes.copy()
                changed[i] = other
                active[i] = canonical(changed)[i] != values[i]
        self._known[combination], self._values[combination] = True, values
