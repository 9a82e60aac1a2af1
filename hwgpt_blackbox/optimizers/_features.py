"""From codes to what a model sees: model inputs, groups of hyperparameters that share effects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._canonical import Mask
from hwgpt_blackbox.optimizers._space import Codes, Dimension, SearchSpace

Features = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ModelInput:
    """How the codes of one hyperparameter become inputs of a model.

    :param size: number of its values; 0 for a float
    :param ordered: whether it has one column on [0, 1]; else it has one 0/1 column per category
    :param places: place of each code in that order, shape (size,); None where it is the code.
    """

    size: int
    ordered: bool = True
    places: npt.NDArray[np.int64] | None = None

    def positions(self, codes: Codes) -> Features:
        """Inputs of codes (n,): (n, columns)."""
        if not self.ordered:
            one_hot: Features = (codes[:, None] == np.arange(self.size)).astype(float)
            return one_hot
        places = codes if self.places is None else self.places[codes.astype(int)]
        positions: Features = places[:, None] / max(self.size - 1, 1)
        return positions

    def effects(self, codes: Codes) -> Features:
        """Centred basis of a hyperparameter's own effect, at codes (n,): (n, columns).

        Linear and quadratic (which is all there is to three choices) if ordered, else one column
        per category.
        """
        at = self.positions(codes)
        centred: Features = at - 1 / max(at.shape[1], 2)
        if at.shape[1] > 1:
            return centred
        linear = 2 * centred
        return linear if self.size == 2 else np.hstack([linear, linear**2 - 0.5])


def _model_input(dimension: Dimension) -> ModelInput:
    """Only categories are looked at one by one: ranges may be long, and are in order."""
    if dimension.kind != "categorical":
        return ModelInput(dimension.size)
    if not all(isinstance(choice, int | float | np.number) for choice in dimension.choices):
        return ModelInput(dimension.size, ordered=dimension.size <= 2)
    numbers = np.array(dimension.choices, dtype=float)
    order = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
    return ModelInput(dimension.size, places=order)


def _same_values(a: Dimension, b: Dimension) -> bool:
    """Whether two hyperparameters take the same values; these may be lists, so unhashable."""
    kinds = (a.kind, a.lower, a.upper) == (b.kind, b.lower, b.upper)
    return kinds and bool(a.choices == b.choices)


def infer_groups(space: SearchSpace) -> dict[str, list[str]]:
    """Hyperparameters that are one thing repeated: equal prefix, a number, equal values.

    ``mlp_ratio_0, mlp_ratio_1, ...`` become the group ``mlp_ratio``, in the order of the numbers.
    """
    found: dict[str, list[tuple[int, Dimension]]] = {}
    for dimension in space.dimensions:
        match = re.fullmatch(r"(.*?)_?(\d+)", dimension.name)
        if match and match[1]:
            found.setdefault(match[1], []).append((int(match[2]), dimension))
    groups = {}
    for prefix, members in found.items():
        members.sort(key=lambda member: member[0])
        same = all(_same_values(members[0][1], d) for _, d in members)
        if len(members) > 1 and same:
            groups[prefix] = [d.name for _, d in members]
    return groups


def checked_groups(
    space: SearchSpace, groups: Mapping[str, Sequence[str]] | None
) -> dict[str, list[str]]:
    """The groups as given, or inferred.

    :raises InputError: no groups; a name that is no hyperparameter of the space, or is there twice;
        members of a group that take different values; or nothing could be inferred
    """
    if groups is None:
        inferred = infer_groups(space)
        if not inferred:
            raise InputError(
                f"kernel='additive': no hyperparameters <prefix>_<number> among {space.names}; "
                "pass groups={'name': [hyperparameters that share effects], ...}"
            )
        return inferred
    lists = isinstance(groups, Mapping) and all(
        isinstance(members, Sequence) and not isinstance(members, str)
        for members in groups.values()
    )
    if not lists or not groups:
        raise InputError(f"groups={groups!r}: expected {{'name': [hyperparameters], ...}}")
    listed = {group: list(members) for group, members in groups.items()}
    names = [name for members in listed.values() for name in members]
    unknown = [name for name in names if name not in space.names]
    if unknown or len(set(names)) != len(names) or not all(listed.values()):
        raise InputError(
            f"groups={groups!r}: expected different names among {space.names}"
            + (f"; unknown: {unknown}" if unknown else "")
        )
    for group, members in listed.items():
        first, *others = [space.dimensions[space.names.index(name)] for name in members]
        if not all(_same_values(first, other) for other in others):
            raise InputError(f"groups[{group!r}]={members}: its members take different values")
    return listed


@dataclass(frozen=True)
class Layout:
    """Where the additive kernel finds things among the columns of the features.

    :param context: columns of the hyperparameters that are in no group
    :param blocks: for each group and basis function, the columns of its members in order
    """

    context: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]


class FeatureMap:
    """Model inputs of canonical codes.

    :param space: the encoding
    :param groups: names of the members of each group: their columns then hold the basis of their
        effects, 0 where inactive. Without groups every hyperparameter has its position on [0, 1].
        Hyperparameters with one choice have no column.
    :ivar layout: the columns; None without groups.
    """

    def __init__(self, space: SearchSpace, groups: Mapping[str, Sequence[str]] | None) -> None:
        grouped = {name for members in (groups or {}).values() for name in members}
        free = [i for i, d in enumerate(space.dimensions) if d.size != 1 and d.lower < d.upper]
        self._context = [i for i in free if space.names[i] not in grouped]
        members = [[space.names.index(n) for n in names] for names in (groups or {}).values()]
        self._members = [[i for i in group if i in free] for group in members]
        self._members = [group for group in self._members if group]
        used = {*self._context, *(i for group in self._members for i in group)}
        self._columns = {i: _model_input(space.dimensions[i]) for i in used}
        self.layout = None if groups is None else self._lay_out()

    def _lay_out(self) -> Layout:
        zero = np.zeros(1)
        column = sum(self._columns[i].positions(zero).shape[1] for i in self._context)
        context = tuple(range(column))
        blocks = []
        for group in self._members:
            for _ in range(self._columns[group[0]].effects(zero).shape[1]):
                blocks.append(tuple(range(column, column + len(group))))
                column += len(group)
        return Layout(context, tuple(blocks))

    def __call__(self, codes: Codes, active: Mask) -> Features:
        """Features, shape (n, columns), of canonical codes (n, d) and their activity (n, d)."""
        columns: list[Any] = [self._columns[i].positions(codes[:, i]) for i in self._context]
        for group in self._members:
            effects = self._columns[group[0]].effects(codes[:, group].ravel())
            shaped = effects.reshape(len(codes), len(group), effects.shape[1])
            effects = shaped * active[:, group, None]
            columns.append(np.hstack(list(effects.transpose(2, 0, 1))))
        return np.hstack(columns) if columns else np.zeros((len(codes), 0))
