"""Problems for pymoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import InputError, require
from hwgpt_blackbox.interop.exact_problem import ExactProblem

require("pymoo", extra="interop")

from pymoo.core.problem import Problem as PymooProblem  # noqa: E402  (after the check)


class Problem(PymooProblem):  # type: ignore[misc]
    """A space and two or more objectives as a problem of pymoo, with integer variables.

    A variable is the index of a choice of a hyperparameter, in the order of ``encoding.names``;
    ``encoding.decode`` makes configurations of rows. Hyperparameters of layers that the
    architecture does not have change nothing. ``pareto_front()``, ``pareto_set()``,
    ``ideal_point()`` and ``nadir_point()`` are exact, of expected values; each is None if the exact
    front is not known.

    :param space: ``s``, ``m`` or ``l``
    :param objectives: ``perplexity``, ``energy@h100`` …; natural units
    :param noise: whether an evaluation is a measurement; else expected values
    :param seed: number of the repeat that is measured: one row always has the same values then;
        None: another repeat at each evaluation
    :raises InputError: unknown space or objective, too few objectives, or a bad seed
    """

    def __init__(
        self, space: str, objectives: Sequence[str], *, noise: bool = False, seed: int | None = None
    ) -> None:
        self._exact = ExactProblem(space, objectives, noise=noise, seed=seed)
        self.encoding = self._exact.problem.encoding
        low, high = self.encoding.bounds
        count = len(self._exact.problem.targets)
        super().__init__(n_var=len(low), n_obj=count, xl=low, xu=high, vtype=int)

    @property
    def reference_point(self) -> NDArray[np.float64]:
        """Reference point of the hypervolume, natural units, shape (objectives,)."""
        return self._exact.problem.reference_point

    def _evaluate(self, x: NDArray[Any], out: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        given = np.asarray(x, dtype=np.float64)
        matrix = np.nan_to_num(given, posinf=0, neginf=0).round().astype(np.int64)
        if (given != matrix).any():
            raise InputError(
                f"x holds {given[given != matrix][0]}; expected whole numbers: give the algorithm "
                "sampling=IntegerRandomSampling(), and operators with repair=RoundingRepair()"
            )
        out["F"] = self._exact.values(matrix, noise=self._exact.noise)

    def _calc_pareto_front(self, *args: Any, **kwargs: Any) -> NDArray[np.float64] | None:
        return None if self._exact.front is None else self._exact.front.objectives

    def _calc_pareto_set(self, *args: Any, **kwargs: Any) -> NDArray[np.int64] | None:
        """Choice indices of an architecture for each row of the front, in its order."""
        return None if self._exact.front is None else self._exact.front.matrix.astype(np.int64)
