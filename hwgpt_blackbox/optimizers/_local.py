"""LS: local search around the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._base import MultiObjectiveSearcher
from hwgpt_blackbox.optimizers._pareto import ParetoFront, Values, crowding_distances
from hwgpt_blackbox.optimizers._space import Codes

_TRIES = 50  # neighbours drawn before a random architecture is taken


class LS(MultiObjectiveSearcher):
    """Local search as in HW-GPT-Bench (arXiv:2405.10299, appendix): neighbours of the front.

    Takes a point of the Pareto front of the results so far and changes one hyperparameter; an
    architecture that was suggested before is drawn again, and a random one is taken when the
    neighbourhood of the front seems to be used up.

    Two deviations, since the plain walk (one random start, points of the front drawn evenly) comes
    out hardly above random search within 1,000 trials: it starts from ``initial`` random
    architectures, and of two points drawn from the front it takes the one that lies farther from
    its neighbours (crowding distance, Deb et al., 2002), which fills the gaps of the front.
    With ``initial=1, even=True`` it is the plain walk.

    Args:
        config_space: See :class:`MultiObjectiveSearcher`, as for ``common``.
        initial: Results before the search starts; random architectures until then.
        even: Draw the points of the front evenly.
        **common: Arguments of :class:`MultiObjectiveSearcher`.

    Raises:
        InputError: ``initial`` below 1.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        initial: int = 20,
        even: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(config_space, **common)
        if initial < 1:
            raise InputError(f"initial={initial}: expected 1 or more")
        self.initial, self.even = initial, even
        self._front = ParetoFront()
        self._gaps: Values | None = None  # crowding distances of the front; None: not known

    def _propose(self) -> Codes | None:
        if len(self.observations) < self.initial:
            return self.random_new()
        if self._gaps is None:
            self._gaps = crowding_distances(self.observations.Y[self._front.rows])
        return self.first_new(self._neighbour(self._gaps) for _ in range(_TRIES))

    def _neighbour(self, gaps: Values) -> Codes:
        first, second = self.rng.integers(len(gaps), size=2)
        chosen = first if self.even or gaps[first] >= gaps[second] else second
        return self.space.change_one(self.rng, self.observations.X[self._front.rows[chosen]])

    def _observed(self, codes: Codes, values: Values) -> None:
        if self._front.add(values):
            self._gaps = None
