"""The drift of a device in its report card: how its reference architecture's visits changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from hwgpt_blackbox.convert.source.set_reader import UserMeasurements
from hwgpt_blackbox.convert.source.user_measurements import DRIFT
from hwgpt_blackbox.plotting.style import BLUE, VERMILION, new_figure
from hwgpt_blackbox.storage.measurement_set import DRIFT_BOUND

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = ("seconds", "measured", "factor")
"""What a drift has for each visit; ``change`` is one number."""

_BARS = "▁▂▃▄▅▆▇█"


def drift_of(data: UserMeasurements) -> dict[str, Any]:
    """Drift by target, of the targets that were measured beside a reference architecture."""
    return {
        f"{metric}@{device}": curve
        for device, table in data.source["tables"].items()
        for metric, curve in table.get(DRIFT, {}).items()
        if f"{metric}@{device}" in data.values
    }


def is_drift(part: Any) -> bool:
    """Whether a part of a card is a drift by target, or missing."""
    return part is None or (
        isinstance(part, dict)
        and all(
            isinstance(row, dict)
            and _is_number(row.get("change"))
            and all(isinstance(row.get(key), list) and row[key] for key in CURVES)
            and len({len(row[key]) for key in CURVES}) == 1
            and all(_is_number(value) for key in CURVES for value in row[key])
            and all(row["factor"])
            for row in part.values()
        )
    )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and 0.0 <= value < 1e12


def drift_lines(part: Mapping[str, Any]) -> list[str]:
    """A line for each target: the curve in small, how much it changed, and what it leaves out."""
    lines = []
    for target, row in part.items():
        low, high = min(row["factor"]), max(row["factor"])
        heights = [
            round((value - low) / max(high - low, DRIFT_BOUND * low) * (len(_BARS) - 1))
            for value in row["factor"]
        ]
        minutes = (row["seconds"][-1] - row["seconds"][0]) / 60.0
        burst = max(abs(a / b - 1.0) for a, b in zip(row["measured"], row["factor"], strict=True))
        warning = f"; more than {100 * DRIFT_BOUND:.0f} %: the machine was not steady"
        lines.append(
            f"drift of {target} over {len(heights)} visits of the reference architecture in "
            f"{minutes:.1f} min: {100 * row['change']:.1f} % "
            f"{''.join(_BARS[height] for height in heights)}, visits up to {100 * burst:.1f} % off "
            f"this curve{warning if max(row['change'], burst) > DRIFT_BOUND else ''}"
        )
    return lines


def drift_table(part: Mapping[str, Any]) -> pd.DataFrame:
    """Visits of the reference architecture.

    :return: columns ``target``, ``minutes``, ``measured`` and ``factor``, relative to the mean
    """
    parts = [
        pd.DataFrame({key: row[key] for key in CURVES}).assign(target=target)
        for target, row in part.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.assign(minutes=table["seconds"] / 60.0)


def draw_drift(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`drift_table` computed, one panel per target."""
    targets = list(dict.fromkeys(table["target"]))
    figure, panels = new_figure(len(targets), 1, (6.5, 0.8 + 2.2 * len(targets)))
    for axes, target in zip(panels[:, 0], targets, strict=True):
        rows = table[table["target"] == target]
        axes.plot(rows["minutes"], rows["measured"], "o", color=BLUE, ms=4, label="visits")
        axes.plot(rows["minutes"], rows["factor"], color=VERMILION, label="drift, removed")
        axes.axhline(1.0, color="black", linewidth=0.5)
        axes.set_ylabel(f"{target} over its mean", fontsize=8)
        axes.legend(frameon=False, fontsize=7)
    panels[-1, 0].set_xlabel("minutes", fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure
