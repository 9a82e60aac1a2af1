"""The figure of fronts, as two functions: one computes a tidy table, one draws it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import InputError, MissingArtifactError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.scores import expected_columns, labelled, nondominated
from hwgpt_blackbox.experiments.results.store import StoredRun
from hwgpt_blackbox.fronts import ReferenceFront
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.plotting.style import (
    FORMATS,
    GREY,
    axis_label,
    dress,
    method_styles,
    new_figure,
    plain,
    save_figure,
    shared_legend,
)
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.surrogates import load_surrogate, measured_on_own

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Columns of the table beside the objectives, and the kinds of its rows.
KIND, METHOD, SEEDS = "kind", "method", "seeds"
CLOUD, MEASURED, FRONT, EXACT = "random", "measured", "front", "exact"

CLOUD_SIZE, CLOUD_SEED = 5_000, 0
_LEGEND_COLUMNS = 2

__all__ = ["FORMATS", "axis_label", "draw_front", "dress", "front_table", "plain", "save_figure"]


def front_table(
    problem: Problem, results: Sequence[StoredRun], reference: ReferenceFront | None = None
) -> pd.DataFrame:
    """The front that each method found, and a cloud of architectures to compare it with.

    :param problem: what was optimised
    :param results: its runs, with their expected objectives
    :param reference: the front of all architectures, if it shall be there
    :return: columns ``kind`` (``random``: 5,000 uniform architectures, or ``measured``: as many of
        the table, where one is at hand; ``exact``: the reference; ``front``), ``method`` (as
        ``analysis.labelled`` names it) and ``seeds`` (number of runs whose trials were pooled; both
        for fronts only), and a column per objective: expected values in natural units
    :raises InputError: a result is of another problem
    """
    targets = list(problem.targets)
    kind, values = _cloud(problem)
    parts = [_part(kind, "", 0, pd.DataFrame(values, columns=targets))]
    if reference is not None:
        exact = pd.DataFrame(reference.objectives, columns=list(reference.names))[targets]
        parts.append(_part(EXACT, "", 0, exact))
    results = labelled(results)
    for method in sorted({result.run.method for result in results}):
        mine = [result for result in results if result.run.method == method]
        for result in mine:
            if result.run.problem.targets != problem.targets:
                raise InputError(f"{result.path} is a run of {result.run.problem.name}")
        pooled = np.concatenate([r.frame[expected_columns(r.run)].to_numpy() for r in mine])
        front = pd.DataFrame(pooled[nondominated(pooled)], columns=targets).sort_values(targets)
        parts.append(_part(FRONT, method, len(mine), front))
    return pd.concat(parts, ignore_index=True)


def _part(kind: str, method: str, seeds: int, values: pd.DataFrame) -> pd.DataFrame:
    labels = pd.DataFrame({KIND: kind, METHOD: method, SEEDS: seeds}, index=values.index)
    return pd.concat([labels, values], axis=1)


def _cloud(problem: Problem) -> tuple[str, Any]:
    """Kind and expected values of the architectures of the cloud, shape (n, objectives).

    None of a user's device that this machine does not know: results may come from elsewhere.
    """
    rng = np.random.default_rng(CLOUD_SEED)
    if not set(problem.own) <= set(measured_on_own(problem.space)):
        return CLOUD, np.empty((0, len(problem.objectives)))
    try:
        folder = None if problem.own else find(artifact_name(problem.space, tabular=True)).path
    except MissingArtifactError:
        folder = None
    if folder is None:
        surrogate = load_surrogate(problem.space)
        matrix = Encoding(get_space(problem.space)).sample(CLOUD_SIZE, rng)
        return CLOUD, Predictor(surrogate, problem.objectives).expected(matrix)
    from hwgpt_blackbox.blackboxes.table_blackbox import TabularBlackbox
    from hwgpt_blackbox.storage.measured_table import Table

    table = Table.read(folder)
    rows = rng.permutation(len(table.matrix))[:CLOUD_SIZE]
    blackbox = TabularBlackbox(table, problem.dataset)
    chosen = [blackbox.objectives_names.index(name) for name in problem.attributes]
    return MEASURED, blackbox.expected_values(table.matrix[rows])[:, chosen]


def draw_front(problem: Problem, table: pd.DataFrame) -> Figure:
    """Draw what :func:`front_table` computed: one panel per pair of objectives.

    :return: a figure that no global state knows
    :raises MissingExtraError: matplotlib is not installed
    """
    pairs = list(combinations(range(len(problem.objectives)), 2))
    figure, panels = new_figure(1, len(pairs), (5.4 * len(pairs), 4.4), ticks=9)
    for axes, pair in zip(panels[0], pairs, strict=True):
        # What comes first, perplexity as a rule, is upright; hardware costs run across.
        upright, across = (problem.objectives[i] for i in pair)
        _draw_pair(axes, problem.space, table, across, upright, len(pairs) == 1)
    shared_legend(
        figure,
        panels[0, 0],
        _LEGEND_COLUMNS * len(pairs),
        markerscale=1.5,
        handletextpad=0.3,
        columnspacing=1.2,
    )
    return figure


def _draw_pair(
    axes: Axes, space: str, table: pd.DataFrame, across: Column, upright: Column, steps: bool
) -> None:
    """Draw one panel; ``steps`` join the points of a front (meaningless for a projection)."""
    cloud = table[table[KIND].isin([CLOUD, MEASURED])]
    what = "measured" if (cloud[KIND] == MEASURED).any() else "random"
    if len(cloud):
        axes.scatter(
            cloud[across.target],
            cloud[upright.target],
            s=4,
            color=GREY,
            alpha=0.6,
            linewidths=0,
            rasterized=True,
            label=f"{len(cloud):,} {what} architectures of {space}",
        )
    _draw_exact(axes, table[table[KIND] == EXACT], across, upright, steps)
    fronts = table[table[KIND] == FRONT]
    styles = method_styles(fronts[METHOD])
    for method, front in fronts.groupby(METHOD, sort=True):
        colour, marker = styles[str(method)]
        seeds = int(front[SEEDS].iloc[0])
        name = plain(method)
        label = f"{name} ({seeds} seeds pooled)" if seeds > 1 else name
        if steps:
            ordered = front.sort_values(across.target)
            axes.step(
                ordered[across.target],
                ordered[upright.target],
                where="post",
                color=colour,
                linewidth=1.0,
                alpha=0.7,
            )
        axes.scatter(
            front[across.target],
            front[upright.target],
            s=14,
            color=colour,
            marker=marker,
            linewidths=0.3,
            edgecolors="white",
            label=label,
            zorder=3,
        )
    for axis, column in (("x", across), ("y", upright)):
        dress(axes, axis, column, table[column.target])


def _draw_exact(
    axes: Axes, exact: pd.DataFrame, across: Column, upright: Column, steps: bool
) -> None:
    """The front of all architectures: a line, or dots where it is projected."""
    if exact.empty:
        return
    ordered = exact.sort_values(across.target)
    x, y = ordered[across.target], ordered[upright.target]
    label = f"exact front ({len(exact):,})"
    if steps and len(exact) > 1:
        axes.step(x, y, where="post", color="black", linewidth=1.2, label=label)
    elif steps:
        axes.scatter(x, y, s=60, color="black", marker="+", linewidths=1.2, label=label, zorder=4)
    else:
        axes.scatter(x, y, s=1.5, color="black", linewidths=0, rasterized=True, label=label)
