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


def _numbers(dimension: Dimension) -> Features | None:
    """Levels as numbers where they are numbers, else None."""
    if all(isinstance(level, int | float | np.number) for level in dimension.levels):
        return np.array(dimension.levels, dtype=float)
    return None


def _ranks(dimension: Dimension) -> Features | None:
    """Position on [0, 1] of each code; None for categories without an order."""
    size = dimension.size
    numbers = _numbers(dimension)
    if dimension.kind == "categorical" and size > 2 and numbers is None:
        return None
    order = np.arange(size)
    if dimension.kind == "categorical" and numbers is not None:
        order = np.argsort(np.argsort(numbers, kind="stable"), kind="stable")
    ranks: Features = order / max(size - 1, 1)
    return ranks


def _positions(dimension: Dimension, codes: Codes) -> Features:
    """One column on [0, 1] for what is ordered, else one 0/1 column per category: (n, columns)."""
    if not dimension.size:
        return codes[:, None]
    ranks, levels = _ranks(dimension), codes.astype(int)
    at: Features = np.eye(dimension.size)[levels] if ranks is None else ranks[levels][:, None]
    return at


def _effects(dimension: Dimension, codes: Codes) -> Features:
    """Centred basis of a hyperparameter's own effect: (n, columns).

    Linear and quadratic (which is all there is to three levels) if ordered, else one column per
    category.
    """
    at = _positions(dimension, codes)
    centred: Features = at - 1 / max(at.shape[1], 2)
    if at.shape[1] > 1:
        return centred
    linear = 2 * centred
    return linear if dimension.size == 2 else np.hstack([linear, linear**2 - 0.5])


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
        kinds = {(d.kind, tuple(d.levels), d.lower, d.upper) for _, d in members}
        if len(members) > 1 and len(kinds) == 1:
            groups[prefix] = [d.name for _, d in members]
    return groups


def checked_groups(
    space: SearchSpace, groups: Mapping[str, Sequence[str]] | None
) -> dict[str, list[str]]:
    """The groups as given, or inferred.

    Raises:
        InputError: A name is not a hyperparameter of the space, or is there twice, or the members
            of a group take different values, or nothing could be inferred.
    """
    if groups is None:
        inferred = infer_groups(space)
        if not inferred:
            raise InputError(
                f"kernel='additive': no hyperparameters <prefix>_<number> among {space.names}; "
                "pass groups={'name': [hyperparameters that share effects], ...}"
            )
        return inferred
    names = [name for members in groups.values() for name in members]
    unknown = sorted(set(names) - set(space.names))
    if unknown or len(set(names)) != len(names) or not all(groups.values()):
        raise InputError(
            f"groups={dict(groups)!r}: expected different names among {space.names}"
            + (f"; unknown: {unknown}" if unknown else "")
        )
    for group, members in groups.items():
        levels = {tuple(space.dimensions[space.names.index(name)].levels) for name in members}
        if len(levels) > 1:
            raise InputError(f"groups[{group!r}]: its members take different values, {levels}")
    return {group: list(members) for group, members in groups.items()}


@dataclass(frozen=True)
class Layout:
    """Where the additive kernel finds things among the columns of the features.

    Attributes:
        context: Columns of the hyperparameters that are in no group.
        blocks: For each group and basis function, the columns of its members in order.
    """

    context: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]


class FeatureMap:
    """Model inputs of canonical codes.

    Args:
        space: The encoding.
        groups: Names of the members of each group: their columns then hold the basis of their
            effects, 0 where inactive. Without groups every hyperparameter has its position on
            [0, 1]. Hyperparameters with one level have no column.

    Attributes:
        layout: The columns; None without groups.
    """

    def __init__(self, space: SearchSpace, groups: Mapping[str, Sequence[str]] | None) -> None:
        self._space = space
        grouped = {name for members in (groups or {}).values() for name in members}
        free = [i for i, d in enumerate(space.dimensions) if d.size != 1 and d.lower < d.upper]
        self._context = [i for i in free if space.names[i] not in grouped]
        members = [[space.names.index(n) for n in names] for names in (groups or {}).values()]
        self._members = [[i for i in group if i in free] for group in members]
        self._members = [group for group in self._members if group]
        self.layout: Layout | None = None
        if groups is not None:
            self.layout = self._lay_out()

    def _lay_out(self) -> Layout:
        zeros = np.zeros((1, len(self._space)))
        column = sum(_positions(self._space.dimensions[i], zeros[:, i]).shape[1]
                     for i in self._context)  # fmt: skip
        context = tuple(range(column))
        blocks = []
        for group in self._members:
            basis = _effects(self._space.dimensions[group[0]], zeros[:, group[0]]).shape[1]
            for _ in range(basis):
                blocks.append(tuple(range(column, column + len(group))))
                column += len(group)
        return Layout(context, tuple(blocks))

    def __call__(self, codes: Codes, active: Mask) -> Features:
        """Features, shape (n, columns), of canonical codes (n, d) and their activity (n, d)."""
        columns: list[Any] = [
            _positions(self._space.dimensions[i], codes[:, i]) for i in self._context
        ]
        for group in self._members:
            effects = [
                _effects(self._space.dimensions[i], codes[:, i]) * active[:, i : i + 1]
                for i in group
            ]
            columns.append(
                np.stack(effects, axis=2).reshape(len(codes), effects[0].shape[1] * len(group))
            )
        return np.hstack(columns) if columns else np.zeros((len(codes), 0))
