"""The figures of a report card: which there are, and how each is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hwgpt_blackbox.convert.judging.cards.drift import draw_drift, drift_table
from hwgpt_blackbox.convert.judging.cards.file import COMPARISON
from hwgpt_blackbox.convert.judging.cards.plot_data import (
    calibration_table,
    coverage_table,
    distribution_table,
    families_table,
    predicted_table,
)
from hwgpt_blackbox.convert.judging.holdouts import Evaluation
from hwgpt_blackbox.convert.judging.measures import COVERAGES
from hwgpt_blackbox.convert.source.user_measurements import DRIFT
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.plotting.style import BLUE, GREEN, VERMILION, new_figure, scale, unit_suffix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Draw = Callable[[pd.DataFrame, str], Figure]

COLOURS = (BLUE, VERMILION, GREEN)

PANEL_COLUMNS = 5

FEW_POINTS = 300
"""Up to so many points are drawn larger."""

_TICKS = 7
"""Size of the font at the ticks, points."""


# -- which there are ----

EXACT = "exact"
"""In file names: the metrics without noise."""


def make_figures(
    card: Mapping[str, Any], evaluations: Sequence[Evaluation]
) -> dict[str, Callable[[], Figure]]:
    """Name to what makes the figure, of everything that is at hand.

    :param card: a report card
    :param evaluations: what it was computed from; may be empty
    :raises MissingExtraError: matplotlib is not installed
    """
    require("matplotlib", extra="analysis")
    space = card["space"]
    found: dict[str, Callable[[], Figure]] = {}

    def add(name: str, draw: Draw, compute: Callable[[], pd.DataFrame], title: str) -> None:
        found[name] = partial(_figure, draw, compute, f"{space}, {title}")

    for part in card["sections"]:
        if any("coverage_50" in row for row in part["targets"].values()):
            name = _file_name(part["split"], part["seed"])
            compute = partial(coverage_table, part)
            add(f"{name}-coverage", draw_coverage, compute, f"{name}: coverage of intervals")
    if card.get(DRIFT):
        add(DRIFT, draw_drift, partial(drift_table, card[DRIFT]), "drift of the reference")
    if card.get(COMPARISON):
        part = card[COMPARISON]
        compute = partial(families_table, part)
        name = _file_name(part["split"], part["seed"])
        add(f"{name}-families", draw_families, compute, f"{name}: families of surrogates")
    for evaluation in evaluations:
        for kind, targets in _kinds(evaluation).items():
            if evaluation.split is None:
                what = "metrics without noise" if kind == EXACT else kind
                title = f"distribution of {what}; dotted: drawn from the models"
                compute = partial(distribution_table, evaluation, targets)
                add(f"distribution-{kind}", draw_distributions, compute, title)
                continue
            name = _file_name(evaluation.split.kind, evaluation.split.seed)
            compute = partial(predicted_table, evaluation, targets)
            title = f"{name}: predicted against measured"
            add(f"{name}-predicted-{kind}", draw_predicted, compute, title)
            if kind != EXACT:
                compute = partial(calibration_table, evaluation, targets)
                title = f"{name}: calibration"
                add(f"{name}-calibration-{kind}", draw_calibration, compute, title)
    return found


def _figure(draw: Draw, compute: Callable[[], pd.DataFrame], title: str) -> Figure:
    return draw(compute(), title)


def _kinds(evaluation: Evaluation) -> dict[str, list[str]]:
    """Targets that share a figure: exact ones, latencies, energies."""
    known = [n for n, values in evaluation.exact.items() if np.isfinite(values).any()]
    kinds: dict[str, list[str]] = {EXACT: known} if known else {}
    for name in evaluation.noisy:
        kinds.setdefault(name.partition("@")[0], []).append(name)
    return kinds


def _file_name(split: str, seed: int | None) -> str:
    return split.replace(" ", "-") + ("" if seed is None else f"-{seed}")


# -- predicted against measured --------------------------------------------------------------


def draw_predicted(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`predicted_table` computed, one panel per target."""

    def draw(axes: Axes, part: pd.DataFrame, name: str) -> None:
        axes.scatter(
            part["measured"],
            part["predicted"],
            s=3 if len(part) > FEW_POINTS else 10,
            color=COLOURS[0],
            alpha=0.35,
            linewidths=0,
            rasterized=True,
        )
        low, high = _limits(part)
        axes.plot([low, high], [low, high], color="black", linewidth=0.7)
        for axis in ("x", "y"):
            getattr(axes, f"set_{axis}lim")(low, high)
            scale(axes, axis, part["measured"], linear=True)
        axes.set_title(_label(name), fontsize=8)
        points = part[["measured", "predicted"]]
        outside = int(((points < low) | (points > high)).any(axis=1).sum())
        if outside:
            said = f"{outside} outside"
            axes.text(0.97, 0.03, said, transform=axes.transAxes, ha="right", fontsize=7)

    return _panels(table, draw, title, "measured", "predicted")


def _limits(part: pd.DataFrame) -> tuple[float, float]:
    """Ends of both axes: where all but a few of the architectures are."""
    values = part[["measured", "predicted"]].to_numpy()
    low, high = np.quantile(values, (0.002, 0.998))
    room = 0.1 * (high - low) + 1e-3 * abs(high)
    return max(low - room, values.min() - room / 5), min(high + room, values.max() + room / 5)


# -- calibration -----------------------------------------------------------------------------


def draw_calibration(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`calibration_table` computed: Q-Q in standard deviations of a normal."""
    normal = NormalDist()

    def probit(levels: Any) -> list[float]:
        return [normal.inv_cdf(min(max(float(level), 1e-5), 1 - 1e-5)) for level in levels]

    def draw(axes: Axes, part: pd.DataFrame, name: str) -> None:
        axes.plot([-3.5, 3.5], [-3.5, 3.5], color="black", linewidth=0.7)
        axes.plot(
            probit(part["level"]), probit(part["measured"]), ".-", color=COLOURS[0], ms=3, lw=1.0
        )
        axes.set_xlim(-3.5, 3.5)
        axes.set_ylim(-4.3, 4.3)
        axes.set_title(name, fontsize=8)

    return _panels(table, draw, title, "nominal quantile (normal score)", "measured (normal score)")


def draw_coverage(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`coverage_table` computed: a row per target, a panel per level."""
    names = list(dict.fromkeys(table["target"]))[::-1]
    size = (9.0, 1.4 + 0.2 * len(names))
    figure, panels = new_figure(1, len(COVERAGES), size, ticks=_TICKS, sharey=True)
    for axes, level, colour in zip(panels[0], COVERAGES, COLOURS, strict=True):
        part = table[table["level"] == level].set_index("target")["measured"].reindex(names)
        axes.axvline(level, color="black", linewidth=0.8)
        axes.plot(part.to_numpy(), range(len(names)), "o", color=colour, ms=4)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        room = 1.15 * float(np.nanmax(np.abs(part - level), initial=(1.0 - level) / 10.0))
        axes.set_xlim(level - room, min(level + room, 1.0 + room / 20))
        axes.set_xlabel(f"share within the central {100 * level:g} %", fontsize=8)
        axes.grid(axis="y", linewidth=0.3)
    figure.suptitle(title, fontsize=10)
    return figure


# -- empirical distributions -----------------------------------------------------------------


def draw_distributions(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`distribution_table` computed: a row per target, a panel per factor."""
    names, factors = (list(dict.fromkeys(table[key])) for key in ("target", "factor"))
    size = (9.0, 0.8 + 1.7 * len(names))
    figure, panels = new_figure(len(names), len(factors), size, ticks=_TICKS, sharey=True)
    for i, name in enumerate(names):
        mine = table[table["target"] == name]
        # A few repeats are a thousand times the median: the axis ends where 99 % do.
        inner = mine[(mine["level"] > 0.005) & (mine["level"] < 0.995)]["measured"]
        for axes, factor in zip(panels[i], factors, strict=True):
            part = mine[mine["factor"] == factor]
            for colour, (label, curve) in zip(
                COLOURS, part.groupby("group", sort=False), strict=False
            ):
                axes.plot(curve["measured"], curve["level"], color=colour, lw=1.3, label=str(label))
                axes.plot(curve["predicted"], curve["level"], color="black", lw=0.8, ls=":")
            axes.set_xlim(inner.min() * 0.97, inner.max() * 1.03)
            scale(axes, "x", inner)
            axes.set_xlabel(_label(name), fontsize=7, labelpad=1)
            if i == 0:  # the groups are the same in every row
                axes.legend(
                    loc="lower center",
                    bbox_to_anchor=(0.5, 1.0),
                    ncols=len(COLOURS),
                    title=factor,
                    frameon=False,
                    fontsize=7,
                    title_fontsize=8,
                    handlelength=1.2,
                    columnspacing=0.8,
                )
    figure.suptitle(title, fontsize=10)
    figure.supylabel("share of measurements below", fontsize=8)
    return figure


# -- families side by side -------------------------------------------------------------------


def draw_families(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`families_table` computed: a row per target, a panel per measure."""
    targets, measures, families = (
        list(dict.fromkeys(table[key])) for key in ("target", "measure", "family")
    )
    size = (9.0, 1.0 + len(targets) * (0.5 + 0.2 * len(families)))
    figure, panels = new_figure(len(targets), len(measures), size, ticks=_TICKS, sharey=True)
    places = {name: len(families) - k for k, name in enumerate(families)}
    for i, target in enumerate(targets):
        for axes, measure in zip(panels[i], measures, strict=True):
            part = table[(table["target"] == target) & (table["measure"] == measure)]
            axes.plot(part["value"], part["family"].map(places), "o", color=COLOURS[0], ms=4)
            axes.set_xlim(0.0, 1.15 * float(np.nanmax(part["value"], initial=1e-12)))
            axes.set_yticks(list(places.values()), list(places), fontsize=7)
            axes.set_ylim(0.5, len(families) + 0.5)
            axes.grid(axis="y", linewidth=0.3)
            if i == 0:
                axes.set_title(measure, fontsize=8)
            if measure == measures[0]:
                axes.set_ylabel(target, fontsize=7)
    figure.suptitle(title, fontsize=10)
    return figure


# -- what they share -------------------------------------------------------------------------


def _panels(
    table: pd.DataFrame,
    draw: Callable[[Axes, pd.DataFrame, str], None],
    title: str,
    across: str,
    upright: str,
) -> Figure:
    """A grid with a panel per target."""
    names = list(dict.fromkeys(table["target"]))
    columns = min(PANEL_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    size = (max(2.2 * columns, 4.0) + 0.4, 2.1 * rows + 0.7)
    figure, panels = new_figure(rows, columns, size, ticks=_TICKS)
    for axes, name in zip(panels.flat, names, strict=False):
        draw(axes, table[table["target"] == name], name)
    for axes in panels.flat[len(names) :]:
        axes.set_visible(False)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(across, fontsize=9)
    figure.supylabel(upright, fontsize=9)
    return figure


def _label(target: str) -> str:
    """A target with its unit."""
    return target + unit_suffix(target.partition("@")[0])
