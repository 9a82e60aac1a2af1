"""What came back: results in the order of their arrival."""

from __future__ import annotations

import numpy as np

from hwgpt_blackbox.optimizers._pareto import Values
from hwgpt_blackbox.optimizers._space import Codes


class Observations:
    """Results of the trials that succeeded, in the order in which they came back.

    :ivar trial_ids: one per row of ``X`` and ``Y``
    """

    def __init__(self, dimensions: int) -> None:
        self.trial_ids: list[int] = []
        self._x = np.empty((64, dimensions))
        self._y = np.empty((64, 0))

    def __len__(self) -> int:
        return len(self.trial_ids)

    @property
    def X(self) -> Codes:
        """Codes, shape (n, d). A view: do not write into it."""
        return self._x[: len(self)]

    @property
    def Y(self) -> Values:
        """Minimised values, shape (n, m); m is 0 before the first result. A view."""
        return self._y[: len(self)]

    def append(self, trial_id: int, codes: Codes, values: Values) -> None:
        """Add one result (codes of shape (d,), values of shape (m,))."""
        n = len(self)
        if not n:
            self._y = np.empty((len(self._x), len(values)))
        if n == len(self._x):
            self._x = np.concatenate([self._x, np.empty_like(self._x)])
            self._y = np.concatenate([self._y, np.empty_like(self._y)])
        self._x[n], self._y[n] = codes, values
        self.trial_ids.append(trial_id)
