"""The best architecture under limits, from the same sums over layers as the fronts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.fronts.constrained_search import ConstrainedSearch
from hwgpt_blackbox.fronts.dynamic_programming import MAX_POINTS
from hwgpt_blackbox.fronts.layer_sums import LayerSums, layer_sums
from hwgpt_blackbox.models.surrogate import Surrogate


@dataclass(frozen=True, eq=False)
class BestArchitecture:
    """The architecture with the smallest value of an objective under limits.

    :param space: name of the space
    :param minimised: the objective that was minimised
    :param values: expected value of that objective and of every limited one, natural units
    :param row: canonical choice indices, shape (hyperparameters,)
    :param exact: whether no architecture within the limits is better
    :param lower_bound: no architecture within the limits has less, natural units; the value itself
        if exact
    :param artifact_sha256: of the arrays of the surrogate artifact; None if it was made in memory
    """

    space: str
    minimised: str
    values: dict[str, float]
    row: NDArray[np.uint8] = field(repr=False)
    exact: bool
    lower_bound: float
    artifact_sha256: str | None
    encoding: Encoding = field(repr=False)

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The architecture as a configuration, in canonical form."""
        return self.encoding.decode_one(self.row)


def best(
    space: str | Path | Space,
    minimise: str,
    limits: Mapping[str, float] | None = None,
    *,
    surrogate: Surrogate | None = None,
    cost_model: CostModel | None = None,
    max_points: int = MAX_POINTS,
) -> BestArchitecture:
    """The architecture of a space with the smallest expected value of an objective under limits.

    Of several that attain it: the one with the smallest sum over layers of the first limited
    objective, then of the next; then as in :func:`reference_front`.

    Method: dynamic programming over layers as for reference fronts, in the objective and the
    limited ones, without partial sums that cannot end within the limits and at the best known
    value: by the smallest sum of the layers to come, and by a Lagrangian bound. Exact, unless more
    than ``max_points`` partial sums remain (several limits in a refitted surrogate, say); then the
    result says ``exact=False``, and ``lower_bound`` comes from the Lagrangian.

    :param space: ``s``, ``m``, ``l``, one of your own (its name, its file or itself); a space
        without measurements too for ``flops`` and ``params``
    :param minimise: ``"perplexity"``, ``"energy@rtx2080"`` …
    :param limits: largest expected value by objective, natural units; none: the whole space. Two or
        more need moocore (extra ``analysis``)
    :param surrogate: models of the space; default: the installed ones
    :param cost_model: cost of an evaluation, for ``elapsed_time@DEVICE``
    :param max_points: partial sums to keep at most
    :raises InputError: unknown space or objective, a limit that is not a finite number, or limits
        that no architecture meets: the message has the smallest value that can be attained
    :raises DataError: the surrogate's coefficients are too fine for exact sums
    :raises MissingExtraError: two or more limits and moocore is not installed
    """
    given = _check_limits(limits)
    own = given.pop(minimise, None)
    problem = layer_sums(
        space,
        (minimise, *given),
        least=1,
        surrogate=surrogate,
        cost_model=cost_model,
        max_points=max_points,
    )
    _check_each(problem, given)
    largest = np.array([*given.values()], dtype=np.float64)
    found = ConstrainedSearch(problem, largest).solve(max_points)
    row = found.row
    if row is None:
        row = _within(problem, given, proven=found.exact, max_points=max_points)
    values = problem.predictor.expected(row[None])[0].tolist()
    if own is not None and values[0] > own:
        raise _unattainable(problem, minimise, own, values[0], given)
    return BestArchitecture(
        space=problem.space.name,
        minimised=minimise,
        values=dict(zip(problem.names, values, strict=True)),
        row=row,
        exact=found.exact,
        lower_bound=min(found.lower_bound, values[0]),
        artifact_sha256=problem.artifact_sha256,
        encoding=problem.encoding,
    )


def _check_limits(limits: Mapping[str, float] | None) -> dict[str, float]:
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        raise InputError(f"limits is {limits!r}; expected a mapping from objective to number")
    for name, value in limits.items():
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not np.isfinite(value):
            raise InputError(f"limit of {name} is {value!r}; expected a finite number")
    return {name: float(value) for name, value in limits.items()}


def _check_each(problem: LayerSums, limits: Mapping[str, float]) -> None:
    """Raise if one limit alone is below what any architecture attains."""
    groups = range(problem.surrogate.num_groups)
    smallest = np.min([problem.smallest(g) for g in groups], axis=0)
    attained = problem.natural(smallest[None])[0].tolist()
    for (name, limit), least in zip(limits.items(), attained[1:], strict=True):
        if least > limit:
            raise _unattainable(problem, name, limit, least, {})


def _unattainable(
    problem: LayerSums, name: str, limit: float, least: float, others: Mapping[str, float]
) -> InputError:
    units = dict(zip(problem.names, problem.units, strict=True))
    condition = " and ".join(f"{other} at most {value:g}" for other, value in others.items())
    under = f" with {condition}" if condition else ""
    unit = "" if units[name] == "1" else f" {units[name]}"
    return InputError(
        f"no architecture of space {problem.space.name}{under} has {name} at most {limit:g}{unit}; "
        f"the smallest value that one attains is {_round_up(least)}{unit}"
    )


def _within(
    problem: LayerSums, limits: Mapping[str, float], *, proven: bool, max_points: int
) -> NDArray[np.uint8]:
    """Any architecture within limits that were met singly, but by none that a search found.

    Minimises the last limited objective under the other limits: what it reaches is within the last
    limit too, or the smallest value to name in the error.

    :param proven: whether it is proven that there is no such architecture
    :raises InputError: there is none, or none was found
    """
    *names, last = limits
    others = {name: limits[name] for name in names}
    reached = best(
        problem.space.name,
        last,
        others,
        surrogate=problem.surrogate,
        cost_model=problem.cost,
        max_points=max_points,
    )
    if reached.values[last] <= limits[last]:
        return reached.row
    if proven and reached.exact:
        raise _unattainable(problem, last, limits[last], reached.values[last], others)
    raise InputError(
        f"no architecture of space {problem.space.name} was found within {dict(limits)}; it is not "
        f"proven that there is none: with the other limits, {last} is at least "
        f"{reached.lower_bound:g}, and {reached.values[last]:g} was reached; loosen a limit, or "
        f"raise max_points above {max_points}"
    )


def _round_up(value: float) -> str:
    """A number with six digits that is no smaller, so that it can be used as a limit."""
    text = f"{value:.6g}"
    if float(text) < value:
        text = f"{value + 10.0 ** (np.floor(np.log10(abs(value))) - 5):.6g}"
    return text if float(text) >= value else repr(value)
