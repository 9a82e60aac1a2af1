"""Hypervolume and its regret over trials and over simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import SECONDS_PER_HOUR, cumulative_hypervolume
from hwgpt_blackbox.experiments.runs import SIMULATED_TIME
from hwgpt_blackbox.plotting.style import method_styles, new_figure, plain, shared_legend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRIALS, HOURS = "trials", "simulated_hours"
"""Axes of the table."""

GRID = 200
"""Points of a curve at most."""

_QUANTILES = {"q25": 0.25, "median": 0.5, "q75": 0.75}
_LOG_FLOOR = 1e-5


def traces(results: Sequence[StoredRun]) -> list[NDArray[np.float64]]:
    """Normalised hypervolume of the expected values of the first 1, 2, … trials of each run.

    :return: one array of shape (trials,) per run
    """
    return [cumulative_hypervolume(result.run.problem, result.expected) for result in results]


def convergence_table(
    problem: Problem,
    results: Sequence[StoredRun],
    optimum: float = float("nan"),
    *,
    volumes: Sequence[NDArray[np.float64]] | None = None,
) -> pd.DataFrame:
    """Median and quartiles over seeds of hypervolume and regret.

    A curve ends where the shortest of its runs does. Before a run's first trial ends, its
    hypervolume is 0.

    :param problem: what was optimised
    :param results: its runs
    :param optimum: hypervolume of the exact front
    :param volumes: what :func:`traces` returned for ``results``, if at hand
    :return: columns ``problem``, ``method``, ``seeds``, ``axis`` (``trials`` or
        ``simulated_hours``), ``at``, ``hypervolume_{q25,median,q75}`` and
        ``regret_{q25,median,q75}``, normalised; at most 200 rows per method and axis
    """
    found = traces(results) if volumes is None else volumes
    longest = max((float(r.frame[SIMULATED_TIME].max()) for r in results), default=0.0)
    times = np.linspace(0.0, longest, GRID + 1)[1:]
    parts = []
    for method in sorted({r.run.method for r in results}):
        mine = [(r, v) for r, v in zip(results, found, strict=True) if r.run.method == method]
        shortest = min(len(v) for _, v in mine)
        at = np.unique(np.geomspace(1, shortest, GRID).round().astype(int))
        by_trial = np.stack([v[at - 1] for _, v in mine])
        ends = [r.frame[SIMULATED_TIME].to_numpy(dtype=float) for r, _ in mine]
        end = min(float(e[-1]) for e in ends)
        until = np.append(times[times < end], end)
        by_time = np.stack([_at(e, v, until) for e, (_, v) in zip(ends, mine, strict=True)])
        for axis, grid, values in (
            (TRIALS, at.astype(float), by_trial),
            (HOURS, until / SECONDS_PER_HOUR, by_time),
        ):
            parts.append(_summary(problem.name, method, axis, grid, values, optimum))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _at(
    ends: NDArray[np.float64], volumes: NDArray[np.float64], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Hypervolume at times, shape of times; ``ends`` ascending."""
    done = np.searchsorted(ends, times, side="right")
    return np.concatenate([[0.0], volumes])[done]


def _summary(
    problem: str,
    method: str,
    axis: str,
    at: NDArray[np.float64],
    values: NDArray[np.float64],
    optimum: float,
) -> pd.DataFrame:
    columns: dict[str, Any] = {
        "problem": problem,
        "method": method,
        "seeds": len(values),
        "axis": axis,
        "at": at,
    }
    for what, array in (("hypervolume", values), ("regret", optimum - values)):
        for name, level in _QUANTILES.items():
            columns[f"{what}_{name}"] = np.quantile(array, level, axis=0)
    return pd.DataFrame(columns)


def draw_convergence(table: pd.DataFrame, optimum: float = float("nan")) -> Figure:
    """Draw what :func:`convergence_table` computed: hypervolume above, regret below.

    :param table: of one problem
    :param optimum: hypervolume of the exact front, drawn as a line; NaN: no regrets
    :raises MissingExtraError: matplotlib is not installed
    """
    known = bool(np.isfinite(optimum))
    height = 2 if known else 1
    figure, panels = new_figure(height, 2, (4.6 * 2, 3.1 * height))
    styles = method_styles(table["method"])
    for j, (axis, label) in enumerate(((TRIALS, "trials"), (HOURS, "simulated time (h)"))):
        part = table[table["axis"] == axis]
        for i, what in enumerate(("hypervolume", "regret")[: 1 + known]):
            axes = panels[i, j]
            for method, rows in part.groupby("method", sort=True, observed=True):
                _curve(axes, rows, what, styles[str(method)], plain(method))
            axes.set_xlabel(label)
            axes.set_ylabel(f"normalised {what}" if what == "hypervolume" else "regret")
        if known:
            panels[0, j].axhline(optimum, color="black", linewidth=0.9, linestyle=":")
            panels[0, j].annotate(
                f"exact optimum {optimum:.4f}",
                (1.0, optimum),
                xycoords=("axes fraction", "data"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="right",
                va="bottom",
                fontsize=8,
            )
            panels[1, j].set_yscale("log")
        low = part["hypervolume_q25"][part["at"] > part["at"].max() * 0.02].min()
        high = max(optimum if known else 0.0, part["hypervolume_q75"].max())
        if np.isfinite(low) and low < high:
            panels[0, j].set_ylim(low, high + 0.12 * (high - low))
    shared_legend(figure, panels[0, 0])
    return figure


def _curve(axes: Any, rows: pd.DataFrame, what: str, style: tuple[str, str], label: str) -> None:
    """One method: median, and the band between the quartiles if there are two seeds or more."""
    floor = _LOG_FLOOR if what == "regret" else -np.inf
    at, (colour, marker) = rows["at"].to_numpy(), style
    low, middle, high = (
        np.maximum(rows[f"{what}_{name}"].to_numpy(), floor) for name in _QUANTILES
    )
    every = max(1, len(at) // 8)
    axes.plot(
        at, middle, color=colour, marker=marker, markevery=every, markersize=4, lw=1.4, label=label
    )
    if int(rows["seeds"].iloc[0]) > 1:
        axes.fill_between(at, low, high, color=colour, alpha=0.18, linewidth=0)
