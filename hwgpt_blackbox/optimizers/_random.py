"""RS: random search."""

from __future__ import annotations

from hwgpt_blackbox.optimizers._base import MultiObjectiveSearcher
from hwgpt_blackbox.optimizers._space import Codes


class RS(MultiObjectiveSearcher):
    """Random search (Bergstra and Bengio, 2012), without repeating an architecture.

    Every hyperparameter is drawn from its own distribution. Small spaces are exhausted: after the
    last architecture ``suggest`` returns None. No options.
    """

    def _propose(self) -> Codes | None:
        return self.random_new()
