"""Numbers as they may stand in the source, and whether they can be true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.errors import DataError

_NUMBERS = {float, int}


@dataclass(frozen=True)
class PlausibleRange:
    """Plausible values.

    :param low: smallest
    :param high: largest
    :param unit: of both
    """

    low: float
    high: float
    unit: str


def numbers(value: Any, where: str) -> NDArray[np.float64]:
    """One or more measurements: a number, a list of numbers, or an array of at most one dimension.

    :param where: file, architecture and key, for messages
    :return: shape (repeats,)
    :raises DataError: anything else, or a number that is not finite
    """
    if isinstance(value, np.ndarray):
        if value.ndim > 1 or value.dtype.kind not in "fiu":
            raise DataError(
                f"{where} is an array of shape {value.shape} and dtype {value.dtype}; "
                "expected a row of numbers"
            )
        array = value.astype(np.float64).reshape(-1)
    else:
        # An array of one number may stand for the number in a list of scalars.
        items = value if type(value) in (list, tuple) else [value]
        items = [v.item() if isinstance(v, np.ndarray) and v.shape == () else v for v in items]
        strange = set(map(type, items)) - _NUMBERS
        if strange:
            shown = "missing" if value is None else f"a {strange.pop().__name__}"
            raise DataError(f"{where} is or holds {shown}; expected numbers")
        try:
            array = np.array(items, dtype=np.float64)
        except OverflowError:
            raise DataError(f"{where} holds an integer too large for a float") from None
    if not np.isfinite(array).all():
        bad = array[~np.isfinite(array)][0]
        raise DataError(f"{where} holds {bad}; expected finite numbers")
    return array


def number(value: Any, where: str) -> float:
    """One number.

    :raises DataError: it is none, or not finite
    """
    array = numbers(value, where)
    if array.shape != (1,):
        raise DataError(f"{where} holds {len(array)} numbers; expected one")
    return float(array[0])


def check_range(
    values: NDArray[np.float64],
    plausible: PlausibleRange,
    names: Sequence[str],
    what: str,
    path: str,
) -> None:
    """Raise unless every value is positive and every median over repeats plausible.

    A single wild repeat is real; a median outside of the range is a mistake in the unit.

    :param values: finite, shape (architectures, repeats)
    :param names: of the architectures
    :param what: device and key, for messages
    :raises DataError: names file, architecture, device and value
    """
    for i in np.flatnonzero((values <= 0).any(axis=1))[:1]:
        bad = values[i][values[i] <= 0][0]
        raise DataError(f"{path}: {names[i]}: {what} holds {bad:.9g}; expected positive numbers")
    median = np.median(values, axis=1)
    outside = (median < plausible.low) | (median > plausible.high)
    for i in np.flatnonzero(outside)[:1]:
        unit = f" {plausible.unit}".rstrip()
        raise DataError(
            f"{path}: {names[i]}: {what} is {median[i]:.9g}{unit} (median over repeats), outside "
            f"of the plausible {plausible.low:g} to {plausible.high:g}{unit}, as are "
            f"{int(outside.sum())} of {len(names)} architectures; is the unit wrong?"
        )
