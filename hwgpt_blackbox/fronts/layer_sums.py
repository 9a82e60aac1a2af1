"""Objectives as monotone functions of sums over layers: what makes exact optima possible."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, FIRST_LAYER, NUM_LAYERS, Encoding
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import (
    ELAPSED_TIME,
    METRICS,
    PUBLISHED,
    Column,
    Measured,
    parse_objective,
)
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.models.chains import after_each, chain_steps, least_to_come
from hwgpt_blackbox.models.ideal_and_nadir import (
    SAMPLE_SEED,
    SAMPLE_SIZE,
    check_bounds,
    stated_bounds,
)
from hwgpt_blackbox.models.portable_arithmetic import exp
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import COUNTED, Surrogate
from hwgpt_blackbox.storage.spaces import find_space, own_spaces
from hwgpt_blackbox.storage.surrogates import ARRAYS, counts_of, load_surrogate, measured_in

_EXACT_BITS = 53
_LOG_STEP = -49
"""Sums that differ by 2^-49 or more have exponentials in the same order: the exponential of
``portable_arithmetic`` is right to 2 units in the last place, 2^-51 of the value, so two values err
by 2^-50 together."""


def parse_columns(
    objectives: Sequence[str], *, least: int = 1, known: Measured = PUBLISHED
) -> list[Column]:
    """The columns that objectives name, each a function of one sum over layers.

    :param objectives: ``("perplexity", "energy@rtx2080")``
    :param least: fewest that are accepted
    :param known: what was measured in the space
    :raises InputError: unknown, repeated, too few, or not a function of a sum
    """
    if isinstance(objectives, str) or not isinstance(objectives, Sequence):
        raise InputError(
            f"objectives is {objectives!r}; expected names, for instance "
            "('perplexity', 'energy@rtx2080')"
        )
    for text in objectives:
        if text == f"{ELAPSED_TIME}@{ALL_DEVICES}":
            raise InputError(
                f"objective {text!r} is the slowest device's: no function of one sum over layers, "
                f"so its optimum is not known; name a device, for instance {ELAPSED_TIME}@rtx2080"
            )
    columns = [parse_objective(text, known) for text in objectives]
    if len(columns) < least or len(set(columns)) < len(columns):
        raise InputError(
            f"objectives are {tuple(objectives)!r}; expected {least} or more, distinct"
        )
    return columns


def surrogate_for(space: str | Path | Space, columns: Sequence[Column]) -> Surrogate:
    """The installed models of a space; of a space without measurements the counts alone.

    :raises InputError: unknown space, or the space has no measurements of an objective
    """
    row = find_space(space)
    if row.measured or row.name in own_spaces():
        return load_surrogate(space)
    for column in columns:
        if column.metric not in COUNTED:
            raise InputError(
                f"space {row.name} has no measurements, so no {column.target}; it has "
                f"{' and '.join(COUNTED)}"
            )
    return counts_of(row)


def layer_sums(
    space: str | Path | Space,
    objectives: Sequence[str],
    *,
    least: int,
    surrogate: Surrogate | None,
    cost_model: CostModel | None,
    max_points: int,
) -> LayerSums:
    """Check what the caller of an exact search gave, and read the models that it needs.

    :param least: fewest objectives that are accepted
    :param surrogate: models of the space; None: the installed ones
    :param max_points: partial sums to keep at most; only checked here
    :raises InputError: as :func:`parse_columns`; unknown space, or models of another
    """
    if surrogate is not None and surrogate.space.name != space:
        raise InputError(
            f"space is {space!r}, but the surrogate is of space {surrogate.space.name!r}"
        )
    known = measured_in(space) if surrogate is None else surrogate.measured
    if set(known.metrics) == set(COUNTED) and not known.devices:  # refused below, with the reason
        known = PUBLISHED
    columns = parse_columns(objectives, least=least, known=known)
    if not isinstance(max_points, int) or max_points < 1:
        raise InputError(f"max_points is {max_points!r}; expected an integer, 1 or more")
    return LayerSums(surrogate or surrogate_for(space, columns), columns, cost_model)


class LayerSums:
    """Some objectives of one space as sums: of a group's start and of one term per layer.

    The term of a layer depends on its choice, and may depend on those of the layers just before it:
    see :mod:`hwgpt_blackbox.models.chains`.

    A group is an (embed_dim, num_layers, bias). Every objective is a non-decreasing function, the
    same for all groups, of its sum; so architectures may be compared by their sums. Sums are exact:
    the coefficients lie on a binary grid, which is checked.

    :param surrogate: the models
    :param columns: the objectives
    :param cost: cost model of elapsed time; default: :class:`CostModel`
    :raises DataError: the coefficients are too fine for exact sums
    """

    def __init__(
        self, surrogate: Surrogate, columns: Sequence[Column], cost: CostModel | None = None
    ) -> None:
        self.surrogate = surrogate
        self.space = surrogate.space
        self.columns = tuple(columns)
        self.cost = cost or CostModel()
        self.encoding = Encoding(surrogate.space)
        targets = [_summed(column) for column in columns]
        terms = [surrogate.terms(target) for target in targets]
        self.start = np.stack([start for start, _ in terms], axis=-1)
        """Shape (groups, objectives)"""
        self.layers = np.stack([layer[:, :, :-1] for _, layer in terms], axis=-1)
        """Shape (groups, max_layers, codes, objectives); see ``Space.layer_codes``"""
        pairs = [surrogate.neighbour_terms(target) for target in targets]
        self.order = max(map(len, pairs))
        """How many layers back terms look"""
        for j, target in enumerate(targets):
            self._check_exact(j, target, pairs[j])
        none = np.zeros((*self.layers.shape[:3], self.layers.shape[2]))
        chains = [
            chain_steps(self.layers[..., j], [*own, *[none] * (self.order - len(own))])
            for j, own in enumerate(pairs)
        ]
        self.steps = [np.stack(step, axis=-1) for step in zip(*chains, strict=True)]
        """What each layer adds: shape (groups, states, codes, objectives)"""

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives as users write them."""
        return tuple(column.target for column in self.columns)

    @property
    def units(self) -> tuple[str, ...]:
        """Unit of each objective."""
        return tuple(METRICS[column.metric].unit for column in self.columns)

    @property
    def artifact_sha256(self) -> str | None:
        """SHA-256 of the arrays of the artifact that the surrogate was read from, if it was."""
        files = self.surrogate.manifest.get("files", {})
        return files.get(ARRAYS, {}).get("sha256") if isinstance(files, dict) else None

    @cached_property
    def predictor(self) -> Predictor:
        """What ``expected_values`` of a blackbox asks."""
        return Predictor(self.surrogate, self.columns, self.cost)

    def depth(self, group: int) -> int:
        """Number of layers of a group."""
        return self.space.num_layers[self._parts(group)[1]]

    def chain(self, group: int) -> list[NDArray[np.float64]]:
        """What each layer of a group adds, shape (states, codes, objectives)."""
        return [step[group] for step in self.steps[: self.depth(group)]]

    def to_come(self, group: int, weights: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Smallest weighted sums of the layers to come from every state of a group.

        :param weights: shape (w, objectives)
        :return: before each layer and after the last, shape (w, states)
        """
        chain = [np.moveaxis(step @ weights.T, -1, 0) for step in self.chain(group)]
        return least_to_come(chain, self.order)

    def smallest(self, group: int) -> NDArray[np.float64]:
        """Smallest sum of each objective alone in a group, shape (objectives,)."""
        each = np.eye(len(self.columns))
        return np.asarray(self.start[group] + self.to_come(group, each)[0][:, 0])

    def spread(self, groups: NDArray[np.intp]) -> NDArray[np.float64]:
        """How far the sums of groups are apart at most, shape (groups, objectives)."""
        total = np.zeros((len(groups), len(self.columns)))
        for step, exists in zip(self.steps, self._active(groups), strict=True):
            own = step[groups]
            total += (own.max(axis=(1, 2)) - own.min(axis=(1, 2))) * exists[:, None]
        return total

    def cheapest(
        self, groups: NDArray[np.intp], weights: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Sums of the architecture of each group with the smallest weighted sum.

        :param groups: shape (g,)
        :param weights: of each group, shape (g, objectives)
        :return: shape (g, objectives)
        """
        active, rows = self._active(groups), np.arange(len(groups))
        codes, choices = self.space.layer_codes, []
        final = codes ** min(len(self.steps), self.order)
        to_come = np.zeros((len(groups), final))
        for step, exists in zip(reversed(self.steps), active[::-1], strict=True):
            terms = (step[groups] @ weights[:, None, :, None])[..., 0] * exists[:, None, None]
            terms += after_each(to_come, terms.shape[1], codes)
            choices.append(terms.argmin(axis=-1))
            to_come = terms.min(axis=-1)
        sums, states = self.start[groups], np.zeros(len(groups), dtype=np.intp)
        for step, exists, choice in zip(self.steps, active, reversed(choices), strict=True):
            code = choice[rows, states]
            sums = sums + step[groups, states, code] * exists[:, None]
            states = (states * codes + code) % codes**self.order
        return sums

    def _active(self, groups: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether each layer exists in each group, shape (max_layers, groups)."""
        depth = np.array([self.depth(int(g)) for g in groups])
        return np.arange(self.space.max_layers)[:, None] < depth

    def _parts(self, group: int) -> tuple[int, int, int]:
        e, n, b = np.unravel_index(group, self.surrogate.group_shape)
        return int(e), int(n), int(b)

    def matrix(self, group: int, codes: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Canonical choice indices of architectures of one group.

        :param codes: code of each layer, shape (n, depth of the group)
        :return: shape (n, hyperparameters)
        """
        out = np.zeros((len(codes), self.encoding.num_columns), dtype=np.uint8)
        out[:, EMBED_DIM], out[:, NUM_LAYERS], out[:, BIAS] = self._parts(group)
        heads, depth = FIRST_LAYER + self.space.max_layers, codes.shape[1]
        mlp, head = np.divmod(codes, len(self.space.num_heads))
        out[:, FIRST_LAYER : FIRST_LAYER + depth] = mlp
        out[:, heads : heads + depth] = head
        return out

    def natural(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Objectives in natural units, the predictor's bits, from sums of shape (n, objectives)."""
        return np.stack([self.natural_one(j, column) for j, column in enumerate(sums.T)], axis=-1)

    def natural_one(self, objective: int, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """One objective in natural units from its sums, shape (n,)."""
        column = self.columns[objective]
        values = exp(sums) if self.surrogate.link(_summed(column)) == "log" else sums
        return self.cost.seconds(values) if column.metric == ELAPSED_TIME else values

    def ideal_and_nadir(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of the objectives, natural units: the artifact's own, else computed the same way."""
        recorded = stated_bounds(self.surrogate.manifest)
        targets = [_summed(column) for column in self.columns]
        if all(target in recorded for target in targets):
            ends = np.array([check_bounds(recorded[t], t, "the manifest") for t in targets]).T
            for j, column in enumerate(self.columns):
                if column.metric == ELAPSED_TIME:  # monotone: the range's ends stay its ends
                    ends[:, j] = self.cost.seconds(ends[:, j])
            return ends[0], ends[1]
        sample = self.encoding.sample(SAMPLE_SIZE, np.random.default_rng(SAMPLE_SEED))
        values = self.predictor.expected(sample)
        return values.min(axis=0), values.max(axis=0)

    def _check_exact(self, objective: int, target: str, pairs: list[NDArray[np.float64]]) -> None:
        """Raise unless every sum of one objective is exact, and exponentials keep the order."""
        start, layers = self.start[:, objective], self.layers[..., objective]
        parts = np.concatenate([start.ravel(), layers.ravel(), *[pair.ravel() for pair in pairs]])
        parts = parts[parts != 0]
        if not len(parts):
            return
        mantissa, exponent = np.frexp(parts)
        whole = np.abs(np.ldexp(mantissa, _EXACT_BITS)).astype(np.int64)
        step = int((np.frexp((whole & -whole).astype(np.float64))[1] + exponent).min())
        step -= _EXACT_BITS + 1
        largest = (
            np.abs(start)
            + np.abs(layers).max(axis=2).sum(axis=1)
            + sum(np.abs(pair).max(axis=(2, 3)).sum(axis=1) for pair in pairs)
        ).max()
        log = self.surrogate.link(target) == "log"
        if largest > 2.0 ** (step + _EXACT_BITS) or (log and step < _LOG_STEP):
            raise DataError(
                f"the coefficients of {target} have a step of 2^{step}, too fine for exact sums up "
                f"to {largest:g}; fit and convert the artifact again"
            )


def _summed(column: Column) -> str:
    """The target whose sum over layers determines a column."""
    return f"latency@{column.device}" if column.metric == ELAPSED_TIME else column.target
