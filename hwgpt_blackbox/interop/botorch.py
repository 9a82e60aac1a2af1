"""Problems for BoTorch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from hwgpt_blackbox.errors import require
from hwgpt_blackbox.interop.exact_problem import ExactProblem

require("botorch", extra="interop")

import torch  # noqa: E402  (after the check)
from botorch.test_functions.base import MultiObjectiveTestProblem, validate_inputs  # noqa: E402
from torch import Tensor  # noqa: E402


class Problem(MultiObjectiveTestProblem):  # type: ignore[misc]
    """A space and two or more objectives as a test problem of BoTorch; minimised unless negated.

    A point holds the index of a choice for each hyperparameter, in the order of
    ``encoding.names``; ``encoding.decode`` makes configurations of points. Hyperparameters of
    layers that the architecture does not have change nothing.

    :param space: ``s``, ``m`` or ``l``
    :param objectives: ``perplexity``, ``energy@h100`` …; natural units
    :param noise: whether the problem returns measurements; ``evaluate_true`` never does
    :param seed: number of the repeat that is measured: one point always has the same values then;
        None: another repeat at each evaluation
    :param negate: return the negative objectives, to be maximised
    :param dtype: of bounds and reference point
    :raises InputError: unknown space or objective, too few objectives, or a bad seed
    """

    _check_grad_at_opt = False

    def __init__(
        self,
        space: str,
        objectives: Sequence[str],
        *,
        noise: bool = False,
        seed: int | None = None,
        negate: bool = False,
        dtype: torch.dtype = torch.double,
    ) -> None:
        self._exact = ExactProblem(space, objectives, noise=noise, seed=seed)
        self.encoding = self._exact.problem.encoding
        self.dim = self.encoding.num_columns
        self.num_objectives = len(self._exact.problem.targets)
        self.discrete_inds = list(range(self.dim))
        self._bounds = [(float(low), float(high)) for low, high in self.encoding.bounds.T]
        self._ref_point = self._exact.problem.reference_point.tolist()
        super().__init__(negate=negate, dtype=dtype)

    @cached_property
    def _max_hv(self) -> float | None:
        """Hypervolume of the exact front at the reference point, natural units; None: not known."""
        front = self._exact.front
        return None if front is None else front.hypervolume_at(self._ref_point)

    def forward(self, X: Tensor, noise: bool = True) -> Tensor:
        """Values of the objectives.

        :param X: choice indices, shape (…, dim)
        :param noise: False returns expected values even where the problem has noise
        :return: shape (…, objectives)
        :raises ValueError: a point is out of bounds, or no whole numbers
        """
        validate_inputs(X, self.dim, self.bounds, self.discrete_inds, [])
        values = self._values(X, noise=noise and self._exact.noise)
        return -values if self.negate else values

    def _evaluate_true(self, X: Tensor) -> Tensor:
        return self._values(X, noise=False)

    def _values(self, X: Tensor, *, noise: bool) -> Tensor:
        matrix = X.detach().reshape(-1, self.dim).to("cpu", torch.int64).numpy()
        values = self._exact.values(matrix, noise=noise)
        found = torch.as_tensor(values, dtype=X.dtype, device=X.device)
        return found.reshape(*X.shape[:-1], self.num_objectives)

    def gen_pareto_front(self, n: int) -> Tensor:
        """Points of the exact front, evenly spaced in its order; all of them if it has no more.

        :return: objectives (negative if negated), shape (n or fewer, objectives)
        :raises NotImplementedError: the exact front is not known
        """
        front = self._exact.front
        if front is None:
            raise NotImplementedError(f"the exact front of {self._exact.problem.name} is not known")
        rows = np.linspace(0, len(front) - 1, min(n, len(front))).round().astype(int)
        found = torch.as_tensor(front.objectives[rows]).to(self.ref_point)
        return -found if self.negate else found
