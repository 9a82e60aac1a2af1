"""Codes: a Syne Tune configuration space as plain arrays, and back.

A configuration is encoded as a ``float64`` array of shape (d,), one *code* per hyperparameter that
is not a constant, in the order of the configuration space:

- discrete hyperparameters (``choice``, ``ordinal``, ``finrange``, ``randint``, quantised ranges):
  the integer index of the value among ``Dimension.choices``, from 0 to ``size - 1``;
- continuous hyperparameters (``uniform``, ``loguniform``, ``reverseloguniform``): the position
  between the bounds, from 0 to 1, on the domain's own scale.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from syne_tune.config_space import (
    Categorical,
    Domain,
    FiniteRange,
    Float,
    Integer,
    Ordinal,
    OrdinalNearestNeighbor,
    Quantized,
    is_log_space,
    is_reverse_log_space,
    is_uniform_space,
)

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._ranges import range_choices

Codes = npt.NDArray[np.float64]
"""Encoded configurations, shape (d,) or (n, d)."""


_SCALES: dict[str, tuple[Callable[[Codes], Codes], Callable[[Codes], Codes]]] = {
    "linear": (lambda x: x, lambda x: x),
    "log": (np.log, np.exp),
    "reverse_log": (lambda x: -np.log1p(-x), lambda x: -np.expm1(-x)),
}
"""How a range is stretched before it is mapped to [0, 1]: forward and back."""


def _whole(value: Any) -> int:
    number = int(value)
    if number != value:
        raise ValueError(f"{value!r} is not a whole number")
    return number


@dataclass(frozen=True)
class Dimension:
    """One hyperparameter that is searched.

    :param name: its key in the configuration space
    :param kind: ``"categorical"`` (no order), ``"ordinal"`` (ordered values), ``"integer"`` or
        ``"float"``. Syne Tune's ``choice`` is categorical even when its values are numbers.
    :param choices: the values of a discrete hyperparameter, in the order of their codes. A float
        has none.
    :param lower: the lower bound of a range before scaling; 0 where there is none
    :param upper: the upper bound; 1 where there is none
    :param scale: ``"linear"``, ``"log"`` or ``"reverse_log"``; how the range is stretched
    :param edges: for ``ordinal(kind="nn")``: where, on [0, 1], one choice ends and the next begins,
        shape (size - 1,). None for all else.
    :param step: distance between the values of a quantised range; 0 where it is not quantised
    """

    name: str
    kind: str
    choices: Sequence[Any] = ()
    lower: float = 0.0
    upper: float = 1.0
    scale: str = "linear"
    edges: Codes | None = None
    step: float = 0.0

    @property
    def size(self) -> int:
        """Number of values; 0 for a float."""
        return len(self.choices)

    @property
    def even(self) -> bool:
        """Whether Syne Tune draws every choice with the same probability."""
        return (
            bool(self.choices) and self.edges is None and not self.step and self.scale == "linear"
        )

    def _stretched(self, unit: Codes) -> Codes:
        forward, back = _SCALES[self.scale]
        low, high = forward(np.array([self.lower, self.upper]))
        return back(low + unit * (high - low))

    def from_unit(self, unit: Codes) -> Codes:
        """Quantile function of the distribution from which Syne Tune draws this hyperparameter.

        :param unit: numbers in [0, 1), any shape
        :return: codes of the same shape
        """
        if not self.choices:
            return unit
        if self.edges is not None:
            codes = np.searchsorted(self.edges, unit).astype(float)
        elif self.even:
            codes = np.floor(unit * self.size)
        else:  # a range of integers or multiples, drawn on its own scale and rounded
            step = self.step or 1.0
            codes = np.rint(self._stretched(unit) / step) - round(self.choices[0] / step)
        return codes.clip(0, self.size - 1)

    def decode(self, code: float) -> Any:
        """Value of one code."""
        if self.choices:
            return self.choices[int(code)]
        return float(np.clip(self._stretched(np.array(code)), self.lower, self.upper))

    def encode(self, value: Any) -> float:
        """Code of one value.

        :raises InputError: the hyperparameter cannot take the value
        """
        try:
            if isinstance(self.choices, range):  # whose index() counts through it for other types
                return float(self.choices.index(_whole(value)))
            if self.choices:
                return float(self.choices.index(value))
            number = float(value)
        except (ValueError, TypeError, OverflowError):
            number = math.nan
        if not self.lower <= number <= self.upper or self.choices:
            expected = list(self.choices[:10]) if self.choices else [self.lower, self.upper]
            raise InputError(
                f"{self.name}={value!r} is not in the configuration space; expected "
                f"{'one of' if self.choices else 'a number within'} {expected}"
            )
        if self.upper == self.lower:
            return 0.0
        low, high, x = _SCALES[self.scale][0](np.array([self.lower, self.upper, number]))
        return float((x - low) / (high - low))


def _scale(domain: Domain) -> str:
    if is_log_space(domain):
        return "log"
    if is_reverse_log_space(domain):
        return "reverse_log"
    if is_uniform_space(domain):
        return "linear"
    raise InputError(f"{domain!r}: only uniform, log and reverse-log ranges can be searched")


def _range_dimension(name: str, domain: Domain) -> Dimension:
    """A range of floats or integers, possibly quantised."""
    sampler, step = domain.get_sampler(), 0.0
    if isinstance(sampler, Quantized):
        step, inner = sampler.q, type(domain)(domain.lower, domain.upper)
        inner.set_sampler(sampler.get_sampler())
        domain = inner
    return Dimension(
        name,
        "integer" if isinstance(domain, Integer) else "float",
        range_choices(name, domain, step),
        float(domain.lower),
        float(domain.upper),
        _scale(domain),
        step=step,
    )


def _dimension(name: str, domain: Domain) -> Dimension:
    if isinstance(domain, OrdinalNearestNeighbor) and len(domain) > 1:
        centres = domain.categories_int
        middles = (centres[1:] + centres[:-1]) / 2
        edges = (middles - domain.lower_int) / (domain.upper_int - domain.lower_int)
        return Dimension(name, "ordinal", domain.categories, edges=edges)
    if isinstance(domain, Categorical):
        kind = "ordinal" if isinstance(domain, Ordinal) else "categorical"
        return Dimension(name, kind, domain.categories)
    if isinstance(domain, FiniteRange):
        return Dimension(name, "ordinal", domain.values)
    if isinstance(domain, Float | Integer):
        return _range_dimension(name, domain)
    raise InputError(f"{name}: {domain!r} is not a domain of syne_tune.config_space")


class SearchSpace:
    """The hyperparameters of a configuration space as arrays of codes (see the module).

    :param config_space: Syne Tune configuration space: domains and constants
    :ivar dimensions: the d hyperparameters that are searched, in order
    :ivar names: their names
    :ivar constants: the entries of the space that are not domains
    :ivar sizes: shape (d,): number of choices of each; 0 for a float
    :ivar size: number of configurations; ``math.inf`` with a float of positive length
    :raises InputError: no mapping, or one with a domain that cannot be encoded
    """

    def __init__(self, config_space: Mapping[str, Any]) -> None:
        if not isinstance(config_space, Mapping):
            raise InputError(f"config_space={config_space!r}: expected a dict of domains by name")
        self.dimensions = [
            _dimension(name, domain)
            for name, domain in config_space.items()
            if isinstance(domain, Domain)
        ]
        self.names = [dimension.name for dimension in self.dimensions]
        self.constants = {k: v for k, v in config_space.items() if not isinstance(v, Domain)}
        self.sizes = np.array([dimension.size for dimension in self.dimensions], dtype=int)
        self.size: float = math.prod(
            dimension.size or (math.inf if dimension.lower < dimension.upper else 1)
            for dimension in self.dimensions
        )
        self._uneven = [i for i, dimension in enumerate(self.dimensions) if not dimension.even]

    def __len__(self) -> int:
        return len(self.dimensions)

    def sample(self, rng: np.random.Generator, n: int) -> Codes:
        """Independent draws, distributed as Syne Tune's own ``Domain.sample``: shape (n, d)."""
        unit = rng.random((n, len(self)))
        codes: Codes = np.floor(unit * self.sizes)
        for i in self._uneven:
            codes[:, i] = self.dimensions[i].from_unit(unit[:, i])
        return codes

    def encode(self, config: Mapping[str, Any]) -> Codes:
        """Codes of a configuration, shape (d,). Keys that are not searched are ignored.

        :raises InputError: a hyperparameter is missing or has a value outside its domain
        """
        missing = [name for name in self.names if name not in config]
        if missing:
            raise InputError(f"configuration {dict(config)!r} lacks {missing}")
        return np.array([d.encode(config[d.name]) for d in self.dimensions], dtype=float)

    def decode(self, codes: Codes) -> dict[str, Any]:
        """Configuration of one array of codes of shape (d,), constants included."""
        searched = {
            dimension.name: dimension.decode(code)
            for dimension, code in zip(self.dimensions, codes.tolist(), strict=True)
        }
        return self.constants | searched

    def unit(self, codes: Codes) -> Codes:
        """Codes mapped to [0, 1] per column, shape as given: index / (size - 1) where discrete."""
        return codes / np.where(self.sizes > 0, np.maximum(self.sizes - 1, 1), 1)

    def change_one(self, rng: np.random.Generator, codes: Codes) -> Codes:
        """A copy of ``codes`` (shape (d,)) with one hyperparameter, drawn evenly, changed.

        The new value is drawn from the hyperparameter's own distribution, the old one excluded.
        """
        free = [i for i, dimension in enumerate(self.dimensions) if dimension.size != 1]
        changed = codes.copy()
        if free:
            i = free[int(rng.integers(len(free)))]
            while changed[i] == codes[i]:
                changed[i] = self.dimensions[i].from_unit(rng.random(1))[0]
        return changed

    def all_codes(self) -> Codes:
        """Every configuration of a finite space, shape (size, d), first hyperparameter slowest."""
        ranges = [range(max(size, 1)) for size in self.sizes.tolist()]
        return np.array(list(itertools.product(*ranges)), dtype=float)
