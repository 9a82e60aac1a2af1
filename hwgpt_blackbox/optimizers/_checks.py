"""Options of the methods, checked before a run has cost anything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hwgpt_blackbox.errors import InputError

_LARGEST = float(np.finfo(float).max)


def checked_whole(name: str, value: Any, low: int) -> int:
    """A whole number of at least ``low``.

    :raises InputError: it is something else
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low:
        raise InputError(f"{name}={value!r}: expected a whole number of at least {low}")
    return int(value)


def checked_number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """A finite number from ``low`` to ``high``.

    :raises InputError: it is something else
    """
    real = isinstance(value, int | float | np.integer | np.floating)
    if not real or isinstance(value, bool) or not low <= value <= min(high, _LARGEST):
        limits = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
        raise InputError(f"{name}={value!r}: expected a number, {limits}")
    return float(value)


def checked_bool(name: str, value: Any) -> bool:
    """True or False.

    :raises InputError: it is something else, for instance a text, which would count as True
    """
    if not isinstance(value, bool | np.bool_):
        raise InputError(f"{name}={value!r}: expected True or False")
    return bool(value)
