"""Average ranks of methods over problems, with tests of significance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hwgpt_blackbox.errors import require
from hwgpt_blackbox.experiments.report.tables import counted
from hwgpt_blackbox.plotting.style import method_styles, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIN_PROBLEMS = 6
"""Fewer cannot reach p < 0.05 in a two-sided Wilcoxon test of two methods: 2 / 2^5 > 0.05."""

MIN_FRIEDMAN_METHODS = 3
LEVEL = 0.05


@dataclass(frozen=True)
class Ranking:
    """Average ranks and what can be said of their differences.

    :param ranks: columns ``method``, ``rank`` (1 is best; ties share), ``problems``; best first
    :param pairs: Wilcoxon signed-rank tests: ``method_a``, ``method_b``, ``median_difference``
        (of hypervolumes, a less b), ``p``, ``p_holm`` and ``significant``; empty if not tested
    :param friedman_p: p-value of no difference at all; NaN if not tested
    :param critical_difference: of two average ranks (Nemenyi, level 0.05); NaN if not tested
    :param note: what was tested, or why it was not
    """

    ranks: pd.DataFrame
    pairs: pd.DataFrame
    friedman_p: float
    critical_difference: float
    note: str


def rank_table(summary: pd.DataFrame) -> Ranking:
    """Rank methods by median hypervolume over seeds, on the problems that all of them have.

    Friedman's test over problems; then Wilcoxon's signed-rank test of each pair, two-sided, with
    Holm's correction (Demšar 2006, Benavoli et al. 2016).

    :param summary: columns ``problem``, ``method`` and ``hypervolume``, a row per run
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    from scipy.stats import friedmanchisquare, rankdata, studentized_range

    medians = summary.pivot_table(
        index="problem", columns="method", values="hypervolume", aggfunc="median"
    )
    total = len(medians)
    medians = medians.dropna()
    methods, n, k = [str(m) for m in medians.columns], len(medians), len(medians.columns)
    values = medians.to_numpy(dtype=np.float64)
    # Differences below the twelfth digit are rounding, not rank.
    places = np.apply_along_axis(rankdata, 1, -values.round(12)) if n else np.empty((0, k))
    ranks = pd.DataFrame(
        {"method": methods, "rank": places.mean(axis=0) if n else np.nan, "problems": n}
    ).sort_values(["rank", "method"], ignore_index=True)
    empty = pd.DataFrame(
        columns=["method_a", "method_b", "median_difference", "p", "p_holm", "significant"]
    )
    left = f" ({total - n} of {total} problems lack a method and are left out)" if n < total else ""
    if k < 2 or n < MIN_PROBLEMS:
        common = f"{counted(n, 'problem')} and {counted(k, 'method')} in common{left}"
        note = (
            f"No test of significance: {common}; one at the level {LEVEL} takes {MIN_PROBLEMS} "
            "problems and 2 methods."
        )
        return Ranking(ranks, empty, math.nan, math.nan, note)
    friedman, distance = math.nan, math.nan
    if k >= MIN_FRIEDMAN_METHODS:
        tied = bool((places == places[:, :1]).all())  # no statistic then, and no difference
        friedman = 1.0 if tied else float(friedmanchisquare(*values.T).pvalue)
        quantile = float(studentized_range.ppf(1 - LEVEL, k, np.inf)) / math.sqrt(2)
        distance = quantile * math.sqrt(k * (k + 1) / (6 * n))
    pairs = _pairs(methods, values)
    note = (
        f"{n} problems, {k} methods{left}; medians over seeds are ranked. "
        + (f"Friedman: p = {friedman:.3g}. " if k >= MIN_FRIEDMAN_METHODS else "")
        + "Pairs: Wilcoxon signed-rank, two-sided, Holm's correction. Problems of one space share "
        "models, so that they are not fully independent: read p-values with care."
    )
    return Ranking(ranks, pairs, friedman, distance, note)


def _pairs(methods: list[str], values: np.ndarray) -> pd.DataFrame:
    """Wilcoxon-Holm of every pair of columns of ``values``, shape (problems, methods)."""
    from scipy.stats import wilcoxon

    rows = []
    for a, b in combinations(range(len(methods)), 2):
        difference = (values[:, a] - values[:, b]).round(12)
        p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
        rows.append((methods[a], methods[b], float(np.median(difference)), p))
    table = pd.DataFrame(rows, columns=["method_a", "method_b", "median_difference", "p"])
    order = np.argsort(table["p"].to_numpy(), kind="stable")
    scaled = table["p"].to_numpy()[order] * np.arange(len(order), 0, -1)
    holm = np.empty(len(order))
    holm[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    table["p_holm"] = holm
    table["significant"] = holm < LEVEL
    return table


def draw_ranks(ranking: Ranking) -> Figure:
    """Draw what :func:`rank_table` computed: average ranks, and the critical difference.

    :raises MissingExtraError: matplotlib is not installed
    """
    table = ranking.ranks
    figure, panels = new_figure(1, 1, (6.0, 1.2 + 0.32 * len(table)))
    axes, styles = panels[0, 0], method_styles(table["method"])
    for y, (method, rank) in enumerate(zip(table["method"], table["rank"], strict=True)):
        colour, marker = styles[method]
        axes.plot(rank, y, marker=marker, color=colour, markersize=8, linestyle="none")
        axes.annotate(f"{rank:.2f}", (rank, y), (8, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(table)), [plain(method) for method in table["method"]])
    axes.set_ylim(len(table) - 0.5, -0.5 - (0.7 if np.isfinite(ranking.critical_difference) else 0))
    axes.set_xlim(0.8, len(table) + 0.4)
    axes.set_xlabel("average rank (1 is best)")
    axes.grid(axis="x", alpha=0.3)
    if np.isfinite(ranking.critical_difference):
        right = 1 + ranking.critical_difference
        axes.plot([1, right], [-0.7, -0.7], color="black", linewidth=1.5, marker="|")
        axes.annotate(
            f"critical difference {ranking.critical_difference:.2f}",
            (right, -0.7),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    return figure
