"""The figure of fronts, as two functions: one computes a tidy table, one draws it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import suppress
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hwgpt_blackbox.domain.architecture_strings import ArchitectureStrings
from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.experiments.architecture_sample import (
    MEASURED,
    RANDOM,
    ArchitectureSample,
    sample_architectures,
)
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import by_method, labelled, nondominated
from hwgpt_blackbox.experiments.runs import CONFIG, TRIAL_ID
from hwgpt_blackbox.fronts import ReferenceFront
from hwgpt_blackbox.plotting.style import (
    GREY,
    dress,
    method_styles,
    new_figure,
    plain,
    shared_legend,
)
from hwgpt_blackbox.storage.spaces import find_space
from hwgpt_blackbox.storage.surrogates import measured_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Columns of the table beside the objectives, and the kinds of its rows.
KIND, METHOD, SEEDS = "kind", "method", "seeds"
ARCHITECTURE, SEED = "architecture", "seed"
FRONT, EXACT = "front", "exact"

CLOUD_SIZE, CLOUD_SEED = 5_000, 0
_LEGEND_COLUMNS = 2


def cloud(problem: Problem) -> ArchitectureSample | None:
    """5,000 architectures to compare fronts with: random, or measured where a table is at hand.

    :return: the same architectures for all problems of a space; None where this machine cannot
        tell their values
    """
    # Results may come from another machine, with a user's device that this one does not know.
    known = measured_in(problem.space)
    if set(problem.devices) <= set(known.devices):
        with suppress(DataError):  # its artifact is damaged: the log says so
            return sample_architectures(
                problem.space,
                problem.dataset,
                problem.objectives,
                size=CLOUD_SIZE,
                seed=CLOUD_SEED,
                measured=set(problem.devices) <= set(known.timed),
            )
    return None


def front_table(
    problem: Problem,
    results: Sequence[StoredRun],
    reference: ReferenceFront | None = None,
    *,
    architectures: bool = False,
) -> pd.DataFrame:
    """The front that each method found, and a cloud of architectures to compare it with.

    :param problem: what was optimised
    :param results: its runs, with their expected objectives
    :param reference: the front of all architectures, if it shall be there
    :param architectures: name the architecture of each row, seed and trial; the frames of the runs
        must have the configurations
    :return: columns ``kind`` (``random``: 5,000 uniform architectures, or ``measured``: as many of
        the table, where one is at hand; ``exact``: the reference; ``front``), ``method`` (as
        ``scores.labelled`` names it) and ``seeds`` (number of runs whose trials were pooled; both
        for fronts only), a column per objective: expected values in natural units; if asked for,
        ``architecture`` (``gpt-s-12-768-…``), and ``seed`` and ``trial_id`` of fronts
    :raises InputError: a result is of another problem
    """
    targets = list(problem.targets)
    space = find_space(problem.space)
    named, encoding = space if architectures else None, Encoding(space)
    empty = pd.DataFrame(np.empty((0, len(targets))), columns=targets)
    found, parts = cloud(problem), [_part(RANDOM, "", 0, empty)]
    if found is not None:
        parts = [_part(found.kind, "", 0, found.values, found.matrix, named)]
    if reference is not None:
        exact = pd.DataFrame(reference.objectives, columns=list(reference.names))[targets]
        parts.append(_part(EXACT, "", 0, exact, reference.matrix, named))
    for method, mine in by_method(labelled(results)).items():
        for result in mine:
            if result.run.problem.targets != problem.targets:
                raise InputError(f"{result.path} is a run of {result.run.problem.name}")
        rows = front_rows(mine)
        front = rows[mine[0].run.expected_columns].set_axis(targets, axis=1)
        matrix = configuration_matrix(encoding, rows) if named else None
        part = _part(FRONT, method, len(mine), front, matrix, named)
        if named:
            labels = [rows[SEED].astype("Int64"), rows[TRIAL_ID].astype("Int64")]
            part = pd.concat([part, *labels], axis=1)
        parts.append(part.sort_values(targets))
    return pd.concat(parts, ignore_index=True)


def _part(
    kind: str,
    method: str,
    seeds: int,
    values: pd.DataFrame,
    matrix: IntMatrix | None = None,
    named: Space | None = None,
) -> pd.DataFrame:
    """Rows of the table of fronts.

    :param matrix: choice indices of the rows
    :param named: the space whose names they get; None: no names
    """
    labels = pd.DataFrame({KIND: kind, METHOD: method, SEEDS: seeds}, index=values.index)
    if named is not None and matrix is not None:
        labels[ARCHITECTURE] = _names(named, matrix.shape[1], matrix.astype(np.uint8).tobytes())
    return pd.concat([labels, values], axis=1)


@functools.lru_cache(maxsize=32)
def _names(space: Space, columns: int, rows: bytes) -> tuple[str, ...]:
    """Names of architectures; kept, as the problems of a space have one cloud.

    :param rows: choice indices, one byte each
    """
    matrix = np.frombuffer(rows, dtype=np.uint8).reshape(-1, columns)
    return tuple(map(ArchitectureStrings(space).to_string, matrix.tolist()))


def front_rows(results: Sequence[StoredRun]) -> pd.DataFrame:
    """The trials on the front of all trials of some runs: rows of their frames, and ``seed``."""
    parts = []
    for result in results:
        keep = nondominated(result.expected)
        parts.append(result.frame[keep].assign(**{SEED: result.run.seed}))
    rows = pd.concat(parts, ignore_index=True)
    return rows[nondominated(rows[results[0].run.expected_columns])]


def configuration_matrix(encoding: Encoding, rows: pd.DataFrame) -> IntMatrix:
    """Canonical choice indices of rows of the frames of runs, shape (n, columns)."""
    matrix = np.empty((len(rows), encoding.num_columns), dtype=np.uint8)
    for j, (name, choices) in enumerate(encoding.space.choices.items()):
        matrix[:, j] = np.searchsorted(np.array(choices), rows[CONFIG + name].to_numpy())
    return encoding.canonical(matrix)


def draw_front(problem: Problem, table: pd.DataFrame) -> Figure:
    """Draw what :func:`front_table` computed: one panel per pair of objectives.

    :return: a figure that no global state knows
    :raises MissingExtraError: matplotlib is not installed
    """
    figure, panels = pair_panels(problem, height=4.4, ticks=9)
    for axes, upright, across in panels:
        _draw_pair(axes, problem.space, table, across, upright, len(panels) == 1)
    shared_legend(
        figure,
        panels[0][0],
        _LEGEND_COLUMNS * len(panels),
        markerscale=1.5,
        handletextpad=0.3,
        columnspacing=1.2,
    )
    return figure


def pair_panels(
    problem: Problem, *, height: float, ticks: float = 8
) -> tuple[Figure, list[tuple[Axes, Column, Column]]]:
    """A figure with a panel for each pair of objectives.

    :param height: inches
    :param ticks: size of the font at the ticks, points
    :return: the figure; and of each panel the axes, the objective that is upright (the first,
        perplexity as a rule) and the one that runs across
    :raises MissingExtraError: matplotlib is not installed
    """
    pairs = list(combinations(problem.objectives, 2))
    figure, panels = new_figure(1, len(pairs), (5.4 * len(pairs), height), ticks=ticks)
    return figure, [(axes, *pair) for axes, pair in zip(panels[0], pairs, strict=True)]


def _draw_pair(
    axes: Axes, space: str, table: pd.DataFrame, across: Column, upright: Column, steps: bool
) -> None:
    """Draw one panel; ``steps`` join the points of a front (meaningless for a projection)."""
    cloud = table[table[KIND].isin([RANDOM, MEASURED])]
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
    for method, front in fronts.groupby(METHOD, sort=True, observed=True):
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
