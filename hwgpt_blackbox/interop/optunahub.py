"""Problems for Optuna, as OptunaHub's benchmarks are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hwgpt_blackbox.errors import require
from hwgpt_blackbox.fronts import ReferenceFront
from hwgpt_blackbox.interop.exact_problem import ExactProblem

require("optunahub", extra="interop")

from optuna.distributions import (  # noqa: E402  (after the check)
    BaseDistribution,
    CategoricalDistribution,
    IntDistribution,
)
from optuna.study import StudyDirection  # noqa: E402
from optunahub.benchmarks import BaseProblem  # noqa: E402


class Problem(BaseProblem):  # type: ignore[misc]
    """A space and two or more objectives as a benchmark of OptunaHub, all minimised.

    Every trial suggests all hyperparameters, by name and value. Those of layers that the
    architecture does not have change nothing.

    :param space: ``s``, ``m`` or ``l``
    :param objectives: ``perplexity``, ``energy@h100`` …; natural units
    :param noise: whether an evaluation is a measurement; else expected values
    :param seed: number of the repeat that is measured: one architecture always has the same values
        then; None: another repeat at each evaluation
    :raises InputError: unknown space or objective, too few objectives, or a bad seed
    """

    def __init__(
        self, space: str, objectives: Sequence[str], *, noise: bool = False, seed: int | None = None
    ) -> None:
        self._exact = ExactProblem(space, objectives, noise=noise, seed=seed)

    @property
    def search_space(self) -> dict[str, BaseDistribution]:
        """Distribution of each hyperparameter: of integers where choices are evenly spaced."""
        space = self._exact.problem.encoding.space
        return {name: _distribution(choices) for name, choices in space.choices.items()}

    @property
    def directions(self) -> list[StudyDirection]:
        """Every objective is minimised."""
        return [StudyDirection.MINIMIZE] * len(self.metric_names)

    @property
    def metric_names(self) -> list[str]:
        """The objectives, as they were given."""
        return list(self._exact.problem.targets)

    @property
    def reference_point(self) -> list[float]:
        """Reference point of the hypervolume, natural units."""
        return [float(value) for value in self._exact.problem.reference_point]

    @property
    def front(self) -> ReferenceFront | None:
        """The exact front: objectives and configurations; None: it is not known exactly."""
        return self._exact.front

    def evaluate(self, params: dict[str, Any]) -> list[float]:
        """Values of the objectives.

        :param params: value of each hyperparameter, of inactive layers too
        :raises InputError: it is no configuration of the space
        """
        (values,) = self._exact.values([params], noise=self._exact.noise)
        return [float(value) for value in values]


def _distribution(choices: Sequence[Any]) -> BaseDistribution:
    steps = {high - low for low, high in pairwise(choices)}
    if isinstance(choices[0], bool) or len(steps) != 1:
        return CategoricalDistribution(choices)
    return IntDistribution(choices[0], choices[-1], step=steps.pop())
