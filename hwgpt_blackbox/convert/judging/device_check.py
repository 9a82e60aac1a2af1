"""Does a fit hold on its device? Architectures measured anew, some of the predicted front.

A surrogate is judged on random architectures, but is used to find the best ones, which lie at the
edge of what was measured. Here points of the front that it predicts are measured too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Array
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.source.table_measurements import TableMeasurements
from hwgpt_blackbox.convert.source.user_measurements import read_device
from hwgpt_blackbox.domain.architecture_strings import ArchitectureStrings
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import METRICS, Column
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.fronts import reference_front
from hwgpt_blackbox.fronts.layer_sums import surrogate_for
from hwgpt_blackbox.fronts.nondominated import nondominated
from hwgpt_blackbox.models.noise import check_repeat
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.plotting.style import BLUE, VERMILION, new_figure, scale, unit_suffix

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUALITIES = ("perplexity", "error")
"""What a front has beside latency, whichever is known first."""

LEAST = 4
"""Architectures of a check."""


@dataclass(frozen=True)
class CheckedArchitectures:
    """Architectures that are measured to check a fit.

    :param surrogate: the models that are checked
    :param device: the device
    :param quality: the other objective of the front; None: nothing of the kind is known
    :param matrix: canonical choice indices, shape (n, hyperparameters)
    :param on_front: which are of the predicted front, shape (n,)
    """

    surrogate: Surrogate
    device: str
    quality: str | None
    matrix: NDArray[np.uint8]
    on_front: NDArray[np.bool_]


def architectures_to_check(
    space: Space, device: str, number: int, seed: int
) -> CheckedArchitectures:
    """Half of them spread evenly over the front of quality and latency, the others random.

    :param space: its artifact, or that of the device, must be at hand
    :raises InputError: too few, or the device is not known
    :raises MissingArtifactError: nothing of the space was converted
    """
    if number < LEAST:
        raise InputError(f"architectures is {number}; expected {LEAST} or more to check a fit")
    surrogate = surrogate_for(space, [Column("latency", device)])
    target = f"latency@{device}"
    if target not in surrogate.models:
        raise InputError(
            f"device {device!r} of space {space.name} has no models here; make them with: "
            "hwgpt-blackbox convert SET"
        )
    encoding = Encoding(space)
    quality = next((name for name in QUALITIES if name in surrogate.models), None)
    chosen = np.empty((0, encoding.num_columns), dtype=np.uint8)
    if quality is not None:
        front = reference_front(space, (quality, target)).matrix
        places = np.linspace(0, len(front) - 1, min(number // 2, len(front))).round()
        chosen = front[np.unique(places.astype(int))]
    taken = {row.tobytes() for row in chosen}
    rows = list(chosen)
    for row in encoding.sample(10 * number, np.random.default_rng([check_repeat(seed), 2])):
        if len(rows) < number and row.tobytes() not in taken:
            rows.append(row)
            taken.add(row.tobytes())
    on_front = np.arange(len(rows)) < len(chosen)
    return CheckedArchitectures(surrogate, device, quality, np.array(rows), on_front)


@dataclass(frozen=True)
class DeviceCheck:
    """Predicted against measured, of architectures that were measured to check a fit.

    :param table: a row for each architecture that was measured: ``architecture`` (as text),
        ``front`` (whether of the predicted front), for each metric ``<metric>_predicted`` and
        ``<metric>_measured`` (natural units), ``quality`` if one is known (expected value), and
        ``faster`` (of a point of the predicted front that another measured one dominates: how much
        less time that takes, as a share; else 0)
    :param metrics: that were measured
    :param quality: name of the quality
    :param level: how many times as long the reference architecture took as in the set
    """

    table: pd.DataFrame
    metrics: tuple[str, ...]
    quality: str | None
    level: float

    def rows(self, on_front: bool | None = None) -> pd.DataFrame:
        """Rows of the table: of the predicted front, of the random ones, or all."""
        return self.table if on_front is None else self.table[self.table["front"] == on_front]

    def lines(self) -> list[str]:
        """The result as text."""
        lines = [f"{'metric':16}{'architectures':18}{'n':>5}{'MAE':>12}{'MAE/mean':>10}{'tau':>8}"]
        for metric in self.metrics:
            for name, on_front in (("all", None), ("predicted front", True), ("random", False)):
                rows = self.rows(on_front)
                if len(rows) < 2:
                    continue
                found = measures(rows, metric)
                share = f"{100 * found['mae'] / found['mean']:.1f} %"
                lines.append(
                    f"{metric:16}{name:18}{len(rows):5}{found['mae']:12.4g}{share:>10}"
                    f"{found['kendall_tau']:8.3f}"
                )
        lines.append(
            f"the reference architecture took {self.level:.3f} times as long as in the set"
        )
        if self.quality is None:
            return [*lines, "no perplexity or error is known of the space: no front was checked"]
        front = self.rows(True)
        beaten = front[front["faster"] > 0.0]
        lines.append(
            f"{len(beaten)} of {len(front)} points of the predicted front of {self.quality} and "
            "latency are dominated in truth by another measured architecture"
        )
        lines += [
            f"  {name}: one as good or better takes {100 * share:.1f} % less time"
            for name, share in zip(beaten["architecture"], beaten["faster"], strict=True)
        ]
        return lines


def measures(rows: pd.DataFrame, metric: str) -> dict[str, float]:
    """Errors and Kendall's tau of a metric on rows of the table of a check."""
    measured, predicted = (
        rows[f"{metric}_{what}"].to_numpy() for what in ("measured", "predicted")
    )
    return location_measures(measured, predicted)


def compare(
    chosen: CheckedArchitectures, space: Space, checked: Path, original: Path
) -> DeviceCheck:
    """Predicted against measured.

    :param checked: the table that was measured to check
    :param original: the table that the models were fitted to
    :raises InputError: none of the architectures was measured yet
    :raises DataError: a table is broken
    """
    table = read_device(checked, space, confirm_units=True)
    places = {row.tobytes(): i for i, row in enumerate(table.matrix)}
    rows = [i for i, row in enumerate(chosen.matrix) if row.tobytes() in places]
    if not rows:
        raise InputError(f"{checked} holds none of the architectures yet; give more time")
    found = np.array([places[chosen.matrix[i].tobytes()] for i in rows], dtype=np.intp)
    matrix, on_front = chosen.matrix[rows], chosen.on_front[rows]
    metrics = tuple(
        metric
        for metric in METRICS
        if metric in table.values and _target(metric, chosen.device) in chosen.surrogate.models
    )
    names = ArchitectureStrings(space)
    columns: dict[str, object] = {
        "architecture": [names.to_string(row.tolist()) for row in matrix],
        "front": on_front,
    }
    targets = [_target(metric, chosen.device) for metric in metrics]
    expected = predictor_of(chosen.surrogate, targets).expected(matrix)
    for j, metric in enumerate(metrics):
        columns[f"{metric}_predicted"] = expected[:, j]
        columns[f"{metric}_measured"] = table.values[metric][found].mean(axis=1)
    frame = pd.DataFrame(columns)
    if chosen.quality is not None:
        quality = predictor_of(chosen.surrogate, [chosen.quality]).expected(matrix)[:, 0]
        faster = _faster(quality, frame["latency_measured"].to_numpy())
        frame = frame.assign(quality=quality, faster=np.where(on_front, faster, 0.0))
    return DeviceCheck(frame, metrics, chosen.quality, _level(table, original, space))


def _target(metric: str, device: str) -> str:
    return f"{metric}@{device}" if METRICS[metric].per_device else metric


def _faster(quality: Array, latency: Array) -> Array:
    """By how much the fastest point that dominates each is faster, relative; 0: none does."""
    out = np.zeros(len(quality))
    kept = nondominated(np.column_stack([quality, latency]))
    for i in np.setdiff1d(np.arange(len(quality)), kept):
        no_worse = (quality <= quality[i]) & (latency <= latency[i])
        out[i] = 1.0 - latency[no_worse].min() / latency[i]
    return out


def _level(table: TableMeasurements, original: Path, space: Space) -> float:
    """Latency of the architectures that both tables have, over that of the original table."""
    before = read_device(original, space, confirm_units=True)
    places = {row.tobytes(): i for i, row in enumerate(before.matrix)}
    ratios = [
        table.values["latency"][i].mean() / before.values["latency"][places[row.tobytes()]].mean()
        for i, row in enumerate(table.matrix)
        if row.tobytes() in places
    ]
    return float(np.median(ratios)) if ratios else float("nan")


def draw_check(check: DeviceCheck, title: str) -> Figure:
    """Predicted against measured of each metric; and the predicted front in truth.

    :raises MissingExtraError: matplotlib is not installed
    """
    groups = (
        ("random", check.rows(False), BLUE, "o"),
        ("predicted front", check.rows(True), VERMILION, "s"),
    )
    columns = len(check.metrics) + (check.quality is not None)
    figure, panels = new_figure(1, columns, (3.6 * columns, 3.6))
    for axes, metric in zip(panels[0], check.metrics, strict=False):
        names = [f"{metric}_measured", f"{metric}_predicted"]
        both = check.table[names]
        ends = [both.to_numpy().min(), both.to_numpy().max()]
        axes.plot(ends, ends, color="black", linewidth=0.7)
        for label, rows, colour, marker in groups:
            axes.plot(*rows[names].to_numpy().T, marker, color=colour, ms=4, label=label)
        for axis in ("x", "y"):
            scale(axes, axis, both.iloc[:, 0])
        axes.set_xlabel(f"{metric}{unit_suffix(metric)}, measured", fontsize=8)
        axes.set_ylabel("predicted", fontsize=8)
    panels[0, 0].legend(frameon=False, fontsize=7)
    if check.quality is not None:
        axes, front = panels[0, -1], check.rows(True).sort_values("quality")
        predicted = (front["latency_predicted"], front["quality"])
        axes.plot(*predicted, color="black", linewidth=0.8, label="predicted front")
        for _, rows, colour, marker in groups:
            axes.plot(rows["latency_measured"], rows["quality"], marker, color=colour, ms=4)
        beaten = front[front["faster"] > 0.0]
        if len(beaten):
            points = (beaten["latency_measured"], beaten["quality"])
            axes.plot(*points, "x", color="black", label="dominated in truth")
        scale(axes, "x", check.table["latency_measured"])
        axes.set_xlabel("latency (ms), measured", fontsize=8)
        axes.set_ylabel(f"{check.quality}, expected", fontsize=8)
        axes.legend(frameon=False, fontsize=7)
    figure.suptitle(title, fontsize=10)
    return figure
