"""The models of one space: each metric as a link of a sum over layers. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS, Measured
from hwgpt_blackbox.domain.parameter_counts import count_terms
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.chains import chain_steps, least_to_come
from hwgpt_blackbox.models.noise import POSITION_LEVELS, POSITIONS, Dependence

LEVELS = "levels"
COUNTED = ("flops", "params")
"""Metrics that are computed by formula."""

ERROR = "error"
"""The metric that an artifact may lack: former versions had none, and a source may have none."""


LINKS = ("identity", "log")
"""Links of the additive models: the value is the sum, or its exponential."""


@dataclass(frozen=True)
class AdditiveModel:
    """One metric as a link of a sum over layers, and perhaps over pairs of neighbouring layers.

    value = link^-1(intercept[e, n, b] + sum over active layers i of effect[e, n, b, i, m, h] + sum
    over k and active layers i >= k of neighbours[k - 1][e, n, b, i, code of i - k, code of i]),
    where effect is the sum of ``effect`` and ``corrections``: parts that vary along other axes are
    stored apart, because their sum would be several times larger.

    :param link: ``identity`` or ``log``
    :param intercept: shape (embed_dims, num_layers, 2), each axis full or 1
    :param effect: shape (embed_dims, num_layers, 2, max_layers, mlp_ratios, num_heads), each
        axis full or 1
    :param ratio: quantiles of measurement over expected value at the artifact's levels, shape
        (embed_dims, num_layers, 2, levels), leading axes full or 1; None for an exact metric
    :param corrections: further effects, each shaped like ``effect``
    :param dependence: how measurements depend on one another
    :param positions: distribution of the levels of the repeats at each position of a session, see
        :class:`.QuantileTables`: shape (embed_dims, num_layers, 2, POSITIONS, its levels), leading
        axes full or 1; None: the position does not matter
    :param neighbours: effects of pairs of layers 1, 2, ... apart, at the place of the later: shape
        (embed_dims, num_layers, 2, max_layers, layer codes, layer codes), each axis full or 1; code
        = index of the MLP ratio * number of choices of heads + index of the heads
    """

    link: str
    intercept: NDArray[np.float64]
    effect: NDArray[np.float64]
    ratio: NDArray[np.float64] | None
    corrections: tuple[NDArray[np.float64], ...] = ()
    dependence: Dependence = Dependence()  # noqa: RUF009, it is frozen
    positions: NDArray[np.float64] | None = None
    neighbours: tuple[NDArray[np.float64], ...] = ()

    def effects(self, full: tuple[int, ...]) -> NDArray[np.float64]:
        """The sum of effect and corrections, broadcast to ``full``."""
        total = np.zeros(full)
        for part in (self.effect, *self.corrections):
            total += part
        return total

    def sum_range(self, space: Space) -> tuple[float, float]:
        """Smallest and largest sum over all architectures of a space: exact."""
        effect = self.effects(effect_shape(space))
        if self.neighbours:
            return self._chain_range(space, effect)
        active = np.arange(space.max_layers) < np.array(space.num_layers)[:, None, None]
        low, high = (
            self.intercept + np.where(active, best(axis=(-2, -1)), 0.0).sum(axis=-1)
            for best in (effect.min, effect.max)
        )
        return float(low.min()), float(high.max())

    def _chain_range(self, space: Space, effect: NDArray[np.float64]) -> tuple[float, float]:
        groups, codes = math.prod(group_shape(space)), space.layer_codes
        pairs = [full_neighbours(part, space) for part in self.neighbours]
        steps = chain_steps(effect.reshape(groups, space.max_layers, codes), pairs)
        depth = np.broadcast_to(np.array(space.num_layers)[:, None], group_shape(space)).ravel()
        for i, step in enumerate(steps):
            step[depth <= i] = 0.0
        start = np.broadcast_to(self.intercept, group_shape(space)).ravel()
        low = start + least_to_come(steps, len(pairs))[0][:, 0]
        high = start - least_to_come([-step for step in steps], len(pairs))[0][:, 0]
        return float(low.min()), float(high.max())


def group_shape(space: Space) -> tuple[int, int, int]:
    """Numbers of embed_dims, num_layers and choices of bias: groups along each axis."""
    return len(space.embed_dims), len(space.num_layers), 2


def effect_shape(space: Space) -> tuple[int, ...]:
    """Shape of the effects of every layer in every group."""
    return (*group_shape(space), space.max_layers, len(space.mlp_ratios), len(space.num_heads))


def neighbours_shape(space: Space) -> tuple[int, ...]:
    """Shape of the effects of pairs of neighbouring layers in every group."""
    return (*group_shape(space), space.max_layers, space.layer_codes, space.layer_codes)


def full_neighbours(part: NDArray[np.float64], space: Space) -> NDArray[np.float64]:
    """Effects of pairs of layers in every group, shape (groups, max_layers, codes, codes)."""
    full = neighbours_shape(space)
    return np.broadcast_to(part, full).reshape(-1, *full[3:])


def modelled_targets() -> list[str]:
    """Names of the additive models that the surrogate artifact of a published space holds."""
    names: list[str] = []
    for row in METRICS.values():
        if row.name in (*COUNTED, ELAPSED_TIME, ERROR):
            continue
        names += [f"{row.name}@{device}" for device in DEVICES] if row.per_device else [row.name]
    return names


def measured_targets(space: Space, targets: Iterable[str]) -> Measured:
    """What is known of a space with models of some targets, and with the counts.

    All devices time an evaluation on all of them, but for users' own beside the 13.
    """
    return Measured.of([*COUNTED, *targets], tuple(DEVICES) if space.measured else None)


def no_error(space: str) -> DataError:
    """The exception for models without error that are asked for it."""
    return DataError(
        f"the models of space {space} in use have no error: an earlier version fitted them, or "
        "their source has no accuracies; convert or pull the artifact again"
    )


class Surrogate:
    """The models of one space.

    :param space: its space
    :param models: by target (``perplexity``, ``latency@a100`` …)
    :param levels: levels of the ratio quantiles, ascending from 0 to 1
    :param manifest: what the artifact says of itself
    """

    def __init__(
        self,
        space: Space,
        models: Mapping[str, AdditiveModel],
        levels: NDArray[np.float64],
        manifest: Mapping[str, Any],
    ) -> None:
        self.space = space
        self.models = dict(models)
        self.levels = levels
        self.manifest = manifest
        self.group_shape = group_shape(space)
        self.num_groups = math.prod(self.group_shape)

    def model(self, target: str) -> AdditiveModel:
        """The model of one target: of the artifact, or the formula of a count.

        :raises DataError: there is none
        """
        if target in COUNTED:
            return count_model(self.space, target)
        if target == ERROR and ERROR not in self.models:
            raise no_error(self.space.name)
        if target not in self.models:
            raise DataError(
                f"no models of {target} in space {self.space.name} could be read; the log names "
                "the artifact that was left out: convert it again"
            )
        return self.models[target]

    def terms(self, target: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Start and layer terms of one target, over every group.

        :return: shapes (groups,) and (groups, max_layers, layer codes + 1); the last code, an
            inactive layer, adds nothing
        """
        model, groups, codes = self.model(target), self.num_groups, self.space.layer_codes
        layer = np.zeros((groups, self.space.max_layers, codes + 1))
        layer[:, :, :codes] = model.effects(effect_shape(self.space)).reshape(groups, -1, codes)
        return np.broadcast_to(model.intercept, self.group_shape).reshape(groups), layer

    def neighbour_terms(self, target: str) -> list[NDArray[np.float64]]:
        """Terms of pairs of layers 1, 2, ... apart of one target: shape (groups, max_layers, codes
        of the earlier layer, codes of the later), at the place of the later.
        """
        return [full_neighbours(part, self.space) for part in self.model(target).neighbours]

    @property
    def measured(self) -> Measured:
        """What it answers for; users' devices beside the 13 do not time an evaluation on all."""
        return measured_targets(self.space, self.models)

    def link(self, target: str) -> str:
        """Link of one target."""
        return self.model(target).link

    def is_noisy(self, target: str) -> bool:
        """Whether a target is measured with noise."""
        return self.model(target).ratio is not None

    def quantiles(self, target: str) -> NDArray[np.float64]:
        """Ratio quantiles of a noisy target, shape (groups, levels)."""
        ratio = self.model(target).ratio
        if ratio is None:
            raise ValueError(f"{target} has no noise")
        full = (*self.group_shape, len(self.levels))
        return np.broadcast_to(ratio, full).reshape(self.num_groups, -1)

    def positions(self, targets: Sequence[str]) -> NDArray[np.float64] | None:
        """Distributions by position of noisy targets, as ``QuantileTables`` takes them."""
        if all(self.model(target).positions is None for target in targets):
            return None
        tables = []
        for target in targets:
            found = self.model(target).positions
            full = (*self.group_shape, POSITIONS, len(POSITION_LEVELS))
            table = np.broadcast_to(POSITION_LEVELS if found is None else found, full)
            tables.append(table.reshape(self.num_groups, *full[-2:]))
        return np.stack(tables, axis=1)


@cache
def count_model(space: Space, what: str) -> AdditiveModel:
    """The exact model of a count: parameters, or FLOPs per forward pass of one batch."""
    start, layer = count_terms(space, what)
    return AdditiveModel(
        "identity",
        start[:, None, None].astype(np.float64),
        layer[:, None, :, None].astype(np.float64),
        None,
    )


MAX_CORRECTIONS = 4
"""Corrections that one model may have."""

MAX_APART = 2
"""Layers whose pairs have effects are at most this far apart."""

MAX_TRANSITIONS = 1_000
"""States before a layer times its codes, at most: exact fronts go through all of them."""


def may_look_back(space: Space, order: int) -> bool:
    """Whether terms of a space may depend on so many layers before: fronts must stay quick."""
    return order < space.max_layers and space.layer_codes ** (order + 1) <= MAX_TRANSITIONS


def array_key(target: str, part: str) -> str:
    """Name in the npz of one array of a model; target is ``perplexity`` or ``latency@a100``."""
    return f"{target}/{part}"


def check_shape(shape: tuple[int, ...], full: tuple[int, ...], what: str) -> None:
    """Raise unless every axis of ``shape`` is full or 1.

    :raises DataError: it is not
    """
    fits = len(shape) == len(full) and all(a in (1, b) for a, b in zip(shape, full, strict=True))
    if not fits or math.prod(shape) == 0:
        raise DataError(f"{what} has shape {shape}; expected {full}, where any axis may be 1")


def read_models(
    space: Space, links: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], targets: list[str]
) -> tuple[NDArray[np.float64], dict[str, AdditiveModel]]:
    """Levels and checked models of an artifact.

    :param links: link by target
    :param arrays: of the artifact's npz
    :raises DataError: an array has a wrong shape or value
    :raises KeyError: one is missing
    """
    levels = _as_levels(arrays[LEVELS])
    return levels, {t: _as_model(t, links[t], arrays, space, len(levels)) for t in targets}


def _as_levels(levels: NDArray[Any]) -> NDArray[np.float64]:
    levels = levels.astype(np.float64)
    ascending = levels.ndim == 1 and len(levels) >= 3 and bool((np.diff(levels) > 0).all())
    if not ascending or levels[0] != 0.0 or levels[-1] != 1.0:
        raise DataError("the quantile levels do not ascend from 0 to 1")
    return levels


def _as_model(
    target: str, link: str, arrays: Mapping[str, NDArray[Any]], space: Space, levels: int
) -> AdditiveModel:
    group = group_shape(space)
    intercept, effect = arrays[array_key(target, "intercept")], arrays[array_key(target, "effect")]
    check_shape(intercept.shape, group, f"intercept of {target}")
    check_shape(effect.shape, effect_shape(space), f"effect of {target}")
    if link not in LINKS:
        raise DataError(f"link of {target} is {link!r:.100}; expected one of {', '.join(LINKS)}")
    ratio = None
    if METRICS[target.partition("@")[0]].noisy:
        ratio = arrays[array_key(target, "ratio")].astype(np.float64)
        check_shape(ratio.shape, (*group, levels), f"ratio of {target}")
        if ratio.shape[-1] != levels:
            raise DataError(f"ratio of {target} has {ratio.shape[-1]} levels; expected {levels}")
        if (ratio <= 0).any() or (np.diff(ratio, axis=-1) < 0).any():
            raise DataError(f"the ratios of {target} are not positive and ascending")
    corrections = []
    for number in range(1, MAX_CORRECTIONS + 1):
        key = array_key(target, f"correction{number}")
        if key in arrays:
            check_shape(arrays[key].shape, effect_shape(space), key)
            corrections.append(arrays[key].astype(np.float64))
    neighbours = []
    for apart in range(1, MAX_APART + 1):
        key = array_key(target, f"neighbours{apart}")
        if key not in arrays:
            break
        check_shape(arrays[key].shape, neighbours_shape(space), key)
        if not may_look_back(space, apart):
            raise DataError(f"{key}: space {space.name} has too many choices of a layer for it")
        neighbours.append(arrays[key].astype(np.float64))
    model = AdditiveModel(
        link,
        intercept.astype(np.float64),
        effect.astype(np.float64),
        ratio,
        tuple(corrections),
        _as_dependence(target, arrays.get(array_key(target, "dependence"))),
        _as_positions(target, arrays.get(array_key(target, "positions")), group),
        tuple(neighbours),
    )
    _check_range(target, model, space)
    return model


def _as_dependence(target: str, stored: NDArray[Any] | None) -> Dependence:
    """Spread, coupling and sign as stored; without them, measurements are independent."""
    if stored is None:
        return Dependence()
    if stored.shape != (3,) or not ((stored[:2] >= 0) & (stored[:2] <= 1)).all():
        raise DataError(f"dependence of {target} is {stored!s:.100}; expected three, 0 to 1")
    if stored[2] not in (-1, 1):
        raise DataError(f"sign of the dependence of {target} is {stored[2]}; expected 1 or -1")
    return Dependence(*(float(x) for x in stored))


def _as_positions(
    target: str, stored: NDArray[Any] | None, group: tuple[int, ...]
) -> NDArray[np.float64] | None:
    """Distributions by position as stored; None without them.

    :raises DataError: they are no distributions, or not uniform over all positions together
    """
    if stored is None:
        return None
    found, full = stored.astype(np.float64), (POSITIONS, len(POSITION_LEVELS))
    check_shape(found.shape, (*group, *full), f"positions of {target}")
    if found.shape[-2:] != full:
        raise DataError(f"positions of {target} have shape {found.shape}; expected {full} at last")
    ascending = (found[..., 0] == 0).all() and (np.diff(found) > 0).all()
    if not ascending or (found[..., -1] != 1).any():
        raise DataError(f"the positions of {target} are no distributions, ascending from 0 to 1")
    if not (np.abs(found.mean(axis=-2) - POSITION_LEVELS) < _UNIFORM).all():
        raise DataError(f"the positions of {target} are not uniform together")
    return found


_UNIFORM = 1e-5
"""Largest difference from uniform of the mean over positions: they are stored in single precision.
"""

_RANGES = {"identity": (0.0, 1e300), "log": (-600.0, 600.0)}
"""Sums of each link between which values are positive and finite."""


def _check_range(target: str, model: AdditiveModel, space: Space) -> None:
    """Raise unless every architecture has a positive, finite value: exact, by dynamic programming.

    :raises DataError: one has not
    """
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = model.sum_range(space)
    floor, ceiling = _RANGES[model.link]
    if not (floor < low and high < ceiling):
        raise DataError(f"{target} of some architectures is not positive and finite")
