"""Reference fronts: the non-dominated architectures of a whole space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.fronts.dynamic_programming import MAX_POINTS, group_fronts, merge
from hwgpt_blackbox.fronts.layer_sums import LayerSums, layer_sums
from hwgpt_blackbox.fronts.nondominated import hypervolume, nondominated
from hwgpt_blackbox.models.ideal_and_nadir import REFERENCE_POINT
from hwgpt_blackbox.models.surrogate import Surrogate

_ROUNDING = 1e-9
"""Allowance for the rounding of two hypervolumes, relative to their size."""


@dataclass(frozen=True, eq=False)
class ReferenceFront:
    """The Pareto front of all architectures of a space, in expected values.

    :param space: name of the space
    :param names: the objectives, all better when smaller
    :param objectives: expected values in natural units, shape (n, objectives); ascending by the
        first, then the next; distinct; no row dominates another
    :param matrix: canonical choice indices of an architecture that attains each row, shape
        (n, hyperparameters)
    :param exact: whether this is the whole front; else a subset of attainable points near it
    :param ideal: of each objective, natural units, shape (objectives,)
    :param nadir: of each objective, natural units, shape (objectives,)
    :param outer: points in natural units of which one weakly dominates each architecture, shape
        (m, objectives); None if the front is exact, which then is such a set itself
    :param artifact_sha256: of the arrays of the surrogate artifact; None if it was made in memory
    """

    space: str
    names: tuple[str, ...]
    objectives: NDArray[np.float64] = field(repr=False)
    matrix: NDArray[np.uint8] = field(repr=False)
    exact: bool
    ideal: NDArray[np.float64]
    nadir: NDArray[np.float64]
    outer: NDArray[np.float64] | None = field(repr=False)
    artifact_sha256: str | None
    encoding: Encoding = field(repr=False)

    def __len__(self) -> int:
        return len(self.objectives)

    @cached_property
    def configurations(self) -> list[dict[str, Any]]:
        """A configuration of every row, in canonical form."""
        return self.encoding.decode(self.matrix)

    def hypervolume(
        self,
        ideal: ArrayLike | None = None,
        nadir: ArrayLike | None = None,
        reference: float = REFERENCE_POINT,
    ) -> float:
        """Normalised hypervolume of the front.

        :param ideal: what is mapped to 0, shape (objectives,); default: that of the problem
        :param nadir: what is mapped to 1; default: that of the problem
        :param reference: reference point in every objective, normalised
        :raises InputError: wrong shape, or the ideal is not below the nadir
        """
        low = self._checked("ideal", self.ideal if ideal is None else ideal)
        high = self._checked("nadir", self.nadir if nadir is None else nadir)
        if not (low < high).all():
            raise InputError(f"ideal {low.tolist()} is not below nadir {high.tolist()}")
        return hypervolume((self.objectives - low) / (high - low), reference)

    def hypervolume_at(self, point: ArrayLike) -> float:
        """Hypervolume of the front in natural units, up to a point of one's own.

        :param point: reference point, natural units, shape (objectives,); what is not below it in
            every objective counts for nothing
        :return: in the product of the objectives' units, not divided by anything
        :raises InputError: wrong shape, or not finite
        """
        return hypervolume(self.objectives, self._checked("point", point))

    @cached_property
    def hypervolume_gap_bound(self) -> float:
        """Most that the normalised hypervolume may lack to that of the true front.

        Zero if exact. Else the hypervolume of ``outer`` less that of ``objectives``: every
        architecture is weakly dominated by a point of ``outer``, so the true front's hypervolume is
        no larger than that of ``outer``. (More than four objectives: may take very long.)
        """
        if self.outer is None:
            return 0.0
        below = self.hypervolume()
        normalised = (self.outer - self.ideal) / (self.nadir - self.ideal)
        above = hypervolume(normalised, REFERENCE_POINT)
        return max(above - below, 0.0) + _ROUNDING * above

    def _checked(self, name: str, point: ArrayLike) -> NDArray[np.float64]:
        """A point with a finite number for each objective."""
        array = np.asarray(point, dtype=np.float64)
        if array.shape != (len(self.names),) or not np.isfinite(array).all():
            raise InputError(
                f"{name} is {array.tolist()}; expected a finite number for each of "
                f"{', '.join(self.names)}"
            )
        return array


def reference_front(
    space: str | Path | Space,
    objectives: Sequence[str],
    *,
    surrogate: Surrogate | None = None,
    cost_model: CostModel | None = None,
    max_points: int = MAX_POINTS,
) -> ReferenceFront:
    """The exact Pareto front of a space: no architecture dominates any of it.

    Non-dominated is meant in natural units and in float64, the very numbers that
    ``expected_values`` returns: a point is on the front unless another architecture is no larger in
    every objective and smaller in one. Each point comes once, with one architecture. Of several
    that attain it, it is the one with the smallest sum over layers (they differ only where elapsed
    times round to the same number), then the first by (embed_dim, num_layers, bias), then the
    first when the choices (mlp_ratio, num_heads) of layers are compared from the last to the first.

    Method: in each group (embed_dim, num_layers, bias) every objective is a non-decreasing
    function of a sum over layers, so that dynamic programming over layers, keeping non-dominated
    partial sums, finds all that can be on the front; then groups are merged and values compared.

    When a group has more than ``max_points`` non-dominated partial sums (two objectives do not come
    near; three may) they are thinned, and the result says ``exact=False`` and bounds the
    hypervolume missed: see :attr:`ReferenceFront.hypervolume_gap_bound` and, for the proof,
    ``dynamic_programming.group_fronts``.

    :param space: ``s``, ``m``, ``l``, one of your own (its name, its file or itself); a space
        without measurements too for ``flops`` and ``params``
    :param objectives: two or more, for instance ``("perplexity", "energy@rtx2080")``; devices may
        differ; three or more need moocore (extra ``analysis``)
    :param surrogate: models of the space; default: the installed ones
    :param cost_model: cost of an evaluation, for ``elapsed_time@DEVICE``
    :param max_points: partial sums to keep at most
    :raises InputError: unknown space or objective; objectives repeated, fewer than two, or no
        function of a sum over layers (the slowest device's elapsed time)
    :raises DataError: the surrogate's coefficients are too fine for exact sums
    :raises MissingExtraError: three or more objectives and moocore is not installed
    """
    problem = layer_sums(
        space,
        objectives,
        least=2,
        surrogate=surrogate,
        cost_model=cost_model,
        max_points=max_points,
    )
    fronts, exact = group_fronts(problem, max_points)
    sums, matrix = merge(problem, fronts)
    order = np.lexsort(sums.T[::-1])
    matrix = matrix[order]
    values = problem.predictor.expected(matrix)
    keep = nondominated(values)
    keep = keep[np.lexsort(values[keep].T[::-1])]
    ideal, nadir = problem.ideal_and_nadir()
    return ReferenceFront(
        space=problem.space.name,
        names=problem.names,
        objectives=_frozen(values[keep]),
        matrix=_frozen(matrix[keep]),
        exact=exact,
        ideal=_frozen(ideal),
        nadir=_frozen(nadir),
        outer=None if exact else _frozen(_outer(problem, max_points)),
        artifact_sha256=problem.artifact_sha256,
        encoding=problem.encoding,
    )


def _outer(problem: LayerSums, max_points: int) -> NDArray[np.float64]:
    """Points in natural units of which one weakly dominates each architecture."""
    fronts, _ = group_fronts(problem, max_points, outer=True)
    sums = np.concatenate([partial.sums for _, partial in fronts])
    values = problem.natural(sums[nondominated(sums)])
    return values[nondominated(values)]


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """A copy that cannot be written to."""
    out = np.array(array)
    out.flags.writeable = False
    return out
