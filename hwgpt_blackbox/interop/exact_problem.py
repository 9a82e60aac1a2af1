"""A problem and its exact front: what the classes for other libraries share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Configurations
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.fronts import ReferenceFront, reference_front
from hwgpt_blackbox.models.noise import MAX_REPEAT, check_repeat


class ExactProblem:
    """Two or more objectives of a space, all minimised, in natural units.

    :param space: ``s``, ``m`` or ``l``
    :param objectives: ``perplexity``, ``energy@h100`` …
    :param noise: whether :meth:`values` are measurements; else expected values
    :param seed: number of the repeat that is measured; None: another one at each evaluation
    :raises InputError: unknown space or objective, too few objectives, or a bad seed
    """

    def __init__(
        self, space: str, objectives: Sequence[str], *, noise: bool = False, seed: int | None = None
    ) -> None:
        self.problem = Problem.parse(space, objectives)
        self.noise = noise
        self._repeat = None if seed is None else check_repeat(seed)
        self._rng = np.random.default_rng()

    def values(self, configurations: Configurations, *, noise: bool) -> NDArray[np.float64]:
        """Values of the objectives, shape (n, objectives).

        :param configurations: dicts, or choice indices of shape (n, hyperparameters)
        :param noise: whether they are measurements
        :raises InputError: a configuration is not of the space
        """
        matrix = self.problem.encoding.as_matrix(configurations)
        if not noise:
            return self.problem.expected(matrix)
        if self._repeat is not None:
            return self.problem.measure(matrix, self._repeat)
        return self.problem.measure(
            matrix, self._rng.integers(MAX_REPEAT, size=len(matrix)).tolist()
        )

    @cached_property
    def front(self) -> ReferenceFront | None:
        """The exact front, computed when first asked for; None: it is not known exactly."""
        found = reference_front(self.problem.space, self.problem.targets)
        return found if found.exact else None
