"""Empirical attainment surfaces, and differences between methods (moocore)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.experiments.figures import pair_panels
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import by_method, nondominated
from hwgpt_blackbox.plotting.style import (
    DARK_GREY,
    DIVERGING,
    axis_label,
    dress,
    method_styles,
    new_figure,
    plain,
    shared_legend,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILES = (25, 50, 75)
MAX_PANELS = 6
"""Pairs of methods that are drawn at most; the table holds all."""

_PERCENTILE_STYLES = {25: ":", 50: "-", 75: "--"}
_CORNERS = ["low_0", "low_1", "high_0", "high_1"]


def objective_pairs(problem: Problem) -> list[tuple[int, int]]:
    """Pairs of objectives: attainment is drawn for each, projected if there are more than two."""
    return list(combinations(range(len(problem.objectives)), 2))


def _sets(results: Sequence[StoredRun], pair: tuple[int, int]) -> list[NDArray[np.float64]]:
    """Non-dominated expected values of every run, in two objectives."""
    chosen = [result.expected[:, pair] for result in results]
    return [values[nondominated(values)] for values in chosen]


def _stacked(sets: Sequence[NDArray[np.float64]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points and the number of the set of each, from 1."""
    numbers = np.repeat(np.arange(1, len(sets) + 1), [len(s) for s in sets])
    return np.concatenate(sets), numbers


def _named(
    part: pd.DataFrame, problem: Problem, pair: tuple[int, int], **labels: str | int
) -> pd.DataFrame:
    """A table with columns before it that say of what it is."""
    objectives = {f"objective_{i}": problem.targets[j] for i, j in enumerate(pair)}
    names = {"problem": problem.name, **labels, **objectives}
    return part.assign(**names)[[*names, *part]]


def _of_pair(table: pd.DataFrame, upright: Column, across: Column) -> pd.DataFrame:
    """The rows of a pair of objectives."""
    return table[(table["objective_0"] == upright.target) & (table["objective_1"] == across.target)]


def attainment_table(problem: Problem, results: Sequence[StoredRun]) -> pd.DataFrame:
    """Points that 25, 50 and 75 % of the runs of a method attain, in each pair of objectives.

    :param problem: what was optimised
    :param results: its runs
    :return: columns ``problem``, ``method``, ``seeds``, ``objective_0``, ``objective_1``,
        ``percentile``, ``value_0``, ``value_1`` (natural units); sorted along each surface
    :raises MissingExtraError: moocore is not installed
    """
    require("moocore", extra="analysis")
    import moocore

    parts = []
    for method, mine in by_method(results).items():
        for pair in objective_pairs(problem):
            sets = _sets(mine, pair)
            found = moocore.eaf(*_stacked(sets), percentiles=list(PERCENTILES))
            part = pd.DataFrame(found, columns=["value_0", "value_1", "percentile"])
            part = part.sort_values(["percentile", "value_0"])
            parts.append(_named(part, problem, pair, method=method, seeds=len(sets)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_attainment(problem: Problem, table: pd.DataFrame) -> Figure:
    """Draw what :func:`attainment_table` computed: a panel per pair of objectives.

    The median surface is a solid line, 25 % dotted, 75 % dashed.

    :raises MissingExtraError: matplotlib is not installed
    """
    from matplotlib.lines import Line2D

    figure, panels = pair_panels(problem, height=4.2)
    styles = method_styles(table["method"])
    for axes, upright, across in panels:
        part = _of_pair(table, upright, across)
        for _, rows in part.groupby(["method", "percentile"], sort=True, observed=True):
            method = str(rows["method"].iloc[0])
            percentile = int(rows["percentile"].iloc[0])
            if percentile != PERCENTILES[1] and int(rows["seeds"].iloc[0]) < 2:
                continue
            ordered = rows.sort_values("value_1")
            axes.step(
                ordered["value_1"],
                ordered["value_0"],
                where="post",
                color=styles[method][0],
                linestyle=_PERCENTILE_STYLES[percentile],
                linewidth=1.6 if percentile == PERCENTILES[1] else 0.9,
                label=plain(method) if percentile == PERCENTILES[1] else "",
            )
        dress(axes, "x", across, part["value_1"])
        dress(axes, "y", upright, part["value_0"])
    shared_legend(figure, panels[0][0])
    if int(table["seeds"].max()) > 1:
        lines = [Line2D([], [], color=DARK_GREY, linestyle=s) for s in _PERCENTILE_STYLES.values()]
        names = [f"{p} % of the runs" for p in _PERCENTILE_STYLES]
        panels[0][0].legend(lines, names, frameon=False, fontsize=8)
    return figure


def difference_table(problem: Problem, results: Sequence[StoredRun]) -> pd.DataFrame:
    """Where one method attains more often than another, for each pair of methods and objectives.

    Of methods with different numbers of seeds, the first as many of each are compared.

    :param problem: what was optimised
    :param results: its runs
    :return: rectangles: columns ``problem``, ``method_a``, ``method_b``, ``objective_0``,
        ``objective_1``, ``low_0``, ``low_1``, ``high_0``, ``high_1`` (natural units, may be
        infinite) and ``difference``: share of runs of a that attain it less that of b, not 0
    :raises MissingExtraError: moocore is not installed
    """
    require("moocore", extra="analysis")
    parts = []
    for pair in objective_pairs(problem):
        sets = {method: _sets(mine, pair) for method, mine in by_method(results).items()}
        for a, b in combinations(sets, 2):
            seeds = min(len(sets[a]), len(sets[b]))
            both = [np.column_stack(_stacked(sets[name][:seeds])) for name in (a, b)]
            part = pd.DataFrame(_rectangles(*both), columns=[*_CORNERS, "difference"])
            part["difference"] /= seeds
            part = part[part["difference"] != 0]
            parts.append(_named(part, problem, pair, method_a=a, method_b=b))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _rectangles(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where two attainment functions differ: corners and difference, shape (rectangles, 5)."""
    import moocore

    try:
        return np.asarray(moocore.eafdiff(a, b, rectangles=True)).reshape(-1, 5)
    except ValueError:  # moocore cannot shape the empty answer for equal functions
        if not np.array_equal(*(moocore.eaf(x[:, :-1], x[:, -1]) for x in (a, b))):
            raise
        return np.empty((0, 5))


def draw_differences(problem: Problem, table: pd.DataFrame, first: str | None = None) -> Figure:
    """Draw what :func:`difference_table` computed: a panel per pair of methods.

    :param table: of a problem with two methods or more
    :param first: pairs with this method come first; six are drawn at most, of the first pair of
        objectives
    :raises MissingExtraError: matplotlib is not installed
    """
    from matplotlib.collections import PolyCollection

    upright, across = problem.objectives[:2]
    part = _of_pair(table, upright, across)
    pairs = sorted(
        part.groupby(["method_a", "method_b"], sort=True), key=lambda item: first not in item[0]
    )[:MAX_PANELS]
    columns = min(3, max(1, len(pairs)))
    rows = -(-max(1, len(pairs)) // columns)
    figure, panels = new_figure(rows, columns, (3.8 * columns, 3.2 * rows))
    ends = {i: _limits(part[[f"low_{i}", f"high_{i}"]].to_numpy(dtype=np.float64)) for i in (0, 1)}
    drawn = None
    for axes, ((a, b), rectangles) in zip(panels.flat, pairs, strict=False):
        corners = rectangles[_CORNERS].to_numpy(dtype=np.float64)
        low = np.clip(corners[:, :2], [ends[0][0], ends[1][0]], [ends[0][1], ends[1][1]])
        high = np.clip(corners[:, 2:], [ends[0][0], ends[1][0]], [ends[0][1], ends[1][1]])
        (bottom, left), (top, right) = low.T, high.T
        corner = [(left, bottom), (right, bottom), (right, top), (left, top)]
        outlines = np.stack([np.column_stack(point) for point in corner], axis=1)
        drawn = PolyCollection(list(outlines), cmap=DIVERGING, linewidths=0.2, rasterized=True)
        drawn.set_edgecolor("face")
        drawn.set_array(rectangles["difference"].to_numpy())
        drawn.set_clim(-1, 1)
        axes.add_collection(drawn)
        axes.set_xlim(*ends[1])
        axes.set_ylim(*ends[0])
        axes.set_title(f"above 0: {plain(a)}\nbelow 0: {plain(b)}", fontsize=9)
        axes.set_xlabel(axis_label(across), fontsize=8)
        axes.set_ylabel(axis_label(upright), fontsize=8)
    for axes in panels.flat[len(pairs) :]:
        axes.set_axis_off()
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=panels, shrink=0.8, pad=0.02)
        bar.set_label("difference in the share of runs", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return figure


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Limits of an axis that hold every finite value."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    return low - margin, high + margin
