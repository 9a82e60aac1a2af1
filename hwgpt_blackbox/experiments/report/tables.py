"""The table of results, tidy and ready for LaTeX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import SECONDS_PER_HOUR
from hwgpt_blackbox.experiments.runs import SIMULATED_TIME

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


_SCORES = (
    "problem",
    "method",
    "hypervolume_median",
    "regret_median",
    "hypervolume_q25",
    "hypervolume_q75",
    "optimum",
    "seeds",
    "trials",
    "simulated_hours",
)


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 run``, ``2 runs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def run_table(
    results: Sequence[StoredRun],
    volumes: Sequence[NDArray[np.float64]],
    optima: Mapping[str, float],
) -> pd.DataFrame:
    """One row per run, all runs of a problem cut at the trials of its shortest one.

    :param results: runs of any problems
    :param volumes: hypervolume after each trial of each run
    :param optima: hypervolume of the exact front by problem; NaN or absent if unknown
    :return: columns ``problem``, ``method``, ``seed``, ``trials``, ``simulated_hours``,
        ``hypervolume``, ``optimum``, ``regret`` (normalised)
    """
    shortest: dict[str, int] = {}
    for result, volume in zip(results, volumes, strict=True):
        name = result.run.problem.name
        shortest[name] = min(shortest.get(name, len(volume)), len(volume))
    rows = []
    for result, volume in zip(results, volumes, strict=True):
        name = result.run.problem.name
        trials = shortest[name]
        optimum = optima.get(name, float("nan"))
        rows.append(
            {
                "problem": name,
                "method": result.run.method,
                "seed": result.run.seed,
                "trials": trials,
                "simulated_hours": float(result.frame[SIMULATED_TIME].iloc[trials - 1])
                / SECONDS_PER_HOUR,
                "hypervolume": float(volume[trials - 1]),
                "optimum": optimum,
                "regret": optimum - float(volume[trials - 1]),
            }
        )
    return pd.DataFrame(rows)


def score_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over seeds of what :func:`run_table` returned.

    :return: columns ``problem``, ``method``, ``hypervolume_median``, ``regret_median``,
        ``hypervolume_{q25,q75}``, ``optimum``, ``seeds``, ``trials``, ``simulated_hours`` (median);
        best first in each problem
    """
    grouped = runs.groupby(["problem", "method"], sort=True)
    table = grouped.agg(
        seeds=("seed", "size"),
        trials=("trials", "first"),
        simulated_hours=("simulated_hours", "median"),
        hypervolume_median=("hypervolume", "median"),
        hypervolume_q25=("hypervolume", lambda v: v.quantile(0.25)),
        hypervolume_q75=("hypervolume", lambda v: v.quantile(0.75)),
        optimum=("optimum", "first"),
        regret_median=("regret", "median"),
    ).reset_index()
    table = table.sort_values(
        ["problem", "hypervolume_median", "method"],
        ascending=[True, False, True],
        ignore_index=True,
    )
    return table[list(_SCORES)]


def escape_latex(text: object) -> str:
    """Text for LaTeX, whatever it holds; control characters become spaces."""
    return "".join(_LATEX.get(c, c if c.isprintable() else " ") for c in str(text))


def latex_table(scores: pd.DataFrame) -> str:
    """The table for a paper: a row per problem, a column per method, needs ``booktabs``.

    Median hypervolume, the inter-quartile range as subscript (with two seeds or more), the best
    median in bold, and the exact optimum.

    :param scores: what :func:`score_table` returned
    """
    methods = sorted(scores["method"].unique())
    known = bool(scores["optimum"].notna().any())
    head = ["Problem", *(escape_latex(m) for m in methods), *(["Optimum"] if known else [])]
    lines = [
        "% Normalised hypervolume (higher is better), median over seeds; the subscript is the",
        "% inter-quartile range. \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        "\\toprule",
        " & ".join(head) + " \\\\",
        "\\midrule",
    ]
    for problem, rows in scores.groupby("problem", sort=True):
        best = rows["hypervolume_median"].max()
        cells = [escape_latex(problem)]
        for method in methods:
            mine = rows[rows["method"] == method]
            cells.append(_cell(mine.iloc[0], best) if len(mine) else "--")
        if known:
            optimum = float(rows["optimum"].iloc[0])
            cells.append(f"{optimum:.4f}" if np.isfinite(optimum) else "--")
        lines.append(" & ".join(cells) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _cell(row: pd.Series[float], best: float) -> str:
    text = f"{row['hypervolume_median']:.4f}"
    if row["hypervolume_median"] >= best:
        text = f"\\mathbf{{{text}}}"
    if row["seeds"] > 1:
        text += f"_{{{row['hypervolume_q75'] - row['hypervolume_q25']:.4f}}}"
    return f"${text}$"
