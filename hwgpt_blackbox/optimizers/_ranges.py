"""The values of a range, without a list of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from syne_tune.config_space import Domain, Float

from hwgpt_blackbox.errors import InputError

_MAX_SIZE = 2**53  # whole numbers up to which a code, a float, is exact


@dataclass(frozen=True)
class Multiples(Sequence[Any]):
    """``size`` multiples of ``step`` from ``first * step`` on.

    :param first: factor of the first
    :param size: how many there are
    :param step: distance of one from the next
    :param value_type: what each is made: int or float
    """

    first: int
    size: int
    step: float
    value_type: Callable[[float], Any]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: Any) -> Any:
        places = range(self.size)[index]
        if isinstance(places, range):
            return [self[place] for place in places]
        return self.value_type((self.first + places) * self.step)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Position of a value, without looking at the others.

        :raises ValueError: it is not among them
        :raises TypeError: it is no number
        """
        place: int = round(value / self.step) - self.first
        if place not in range(self.size)[start:stop] or self[place] != value:
            raise ValueError(f"{value!r} is not among the multiples of {self.step}")
        return place


def range_choices(name: str, domain: Domain, step: float) -> Sequence[Any]:
    """The values of a range of numbers; none for floats without a step.

    :param name: of the hyperparameter
    :param domain: a ``Float`` or ``Integer`` of Syne Tune
    :param step: what the values are multiples of; 0 where there is no such thing
    :raises InputError: there are too many values, or a step that none of the range is a multiple of
    """
    if not step and isinstance(domain, Float):
        return ()
    if domain.upper - domain.lower >= _MAX_SIZE * (step or 1):
        raise InputError(f"{name}: {domain!r} has more values than a code can tell apart")
    if not step:
        return range(domain.lower, domain.upper + 1)
    first, last = math.ceil(domain.lower / step - 1e-9), math.floor(domain.upper / step + 1e-9)
    if first > last:
        raise InputError(f"{name}: {domain!r} holds no multiple of {step}")
    return Multiples(first, last - first + 1, step, domain.value_type)
