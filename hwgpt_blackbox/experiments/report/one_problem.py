"""What a report has of one problem: its tables, figures and what is known of its optimum."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.experiments.figures import draw_front, front_table
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report import page, page_data
from hwgpt_blackbox.experiments.report.attainment import (
    attainment_table,
    difference_table,
    draw_attainment,
    draw_differences,
)
from hwgpt_blackbox.experiments.report.choices import choices_table, draw_choices
from hwgpt_blackbox.experiments.report.convergence import HOURS, convergence_table, draw_convergence
from hwgpt_blackbox.experiments.report.inputs import Results
from hwgpt_blackbox.experiments.report.optimum import Optimum
from hwgpt_blackbox.experiments.report.page import Section
from hwgpt_blackbox.experiments.report.tables import counted
from hwgpt_blackbox.experiments.report.writer import Writer
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import by_method
from hwgpt_blackbox.storage.spaces import find_space

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ProblemResults:
    """A problem and all that was found for it.

    :param problem: what was optimised
    :param results: its runs
    :param volumes: hypervolume after each trial of each run
    :param optimum: what is known of its optimum
    """

    problem: Problem
    results: Sequence[StoredRun]
    volumes: Sequence[NDArray[np.float64]]
    optimum: Optimum

    @property
    def methods(self) -> list[str]:
        """The methods, sorted."""
        return list(by_method(self.results))

    @property
    def best(self) -> str:
        """The method with the largest median hypervolume at the end of the shortest run."""
        trials = min(map(len, self.volumes))
        last = pd.Series(
            [volume[trials - 1] for volume in self.volumes],
            index=[result.run.method for result in self.results],
        )
        return str(last.groupby(level=0).median().idxmax())


@dataclass(frozen=True)
class _Plot:
    """A table of a problem and the figure that is drawn of it.

    :param data: name of the table's file, before that of the problem
    :param figure: name of the figure's file, likewise
    :param compute: the table; nothing is drawn if it is empty
    :param draw: the figure of a table
    """

    data: str
    figure: str
    compute: Callable[[ProblemResults], pd.DataFrame]
    draw: Callable[[ProblemResults, pd.DataFrame], Figure]


_MEASURES = (("regret", "regret"), ("hypervolume", "hypervolume"))

_PLOTS = (
    _Plot(
        "convergence",
        "convergence",
        lambda f: convergence_table(f.problem, f.results, f.optimum.hypervolume, volumes=f.volumes),
        lambda f, table: draw_convergence(table, f.optimum.hypervolume),
    ),
    _Plot(
        "fronts",
        "front",
        lambda f: front_table(f.problem, f.results, f.optimum.front, architectures=True),
        lambda f, table: draw_front(f.problem, table),
    ),
    _Plot(
        "attainment",
        "attainment",
        lambda f: attainment_table(f.problem, f.results),
        lambda f, table: draw_attainment(f.problem, table),
    ),
    _Plot(
        "differences",
        "differences",
        lambda f: difference_table(f.problem, f.results),
        lambda f, table: draw_differences(f.problem, table, f.best),
    ),
    _Plot(
        "choices",
        "choices",
        lambda f: choices_table(f.problem, f.results, f.optimum.front),
        lambda f, table: draw_choices(table),
    ),
)
"""Figures of every problem, in order."""


def write_problem(writer: Writer, found: ProblemResults, methods: Sequence[str]) -> dict[str, Any]:
    """Write tables and figures of one problem.

    :param methods: all that the page shows, best first; its data name them by their places here
    :return: what the page draws of the problem
    """
    problem = found.problem
    tables = {}
    for plot in _PLOTS:
        if plot.data == "differences" and not writer.formats:
            continue  # large, and the page computes those of the pair that one chooses
        table = tables[plot.data] = plot.compute(found)
        name = f"{plot.data}-{problem.name}"
        writer.data(name, table)
        if writer.formats and len(table):
            if "method" in table:  # legends are in the order of the score
                table = table.assign(method=pd.Categorical(table["method"], list(methods)))
            writer.figure(f"{plot.figure}-{problem.name}", plot.draw(found, table))
    encoding = Encoding(find_space(problem.space))
    curve = page_data.curves(tables["convergence"])
    fronts = tables["fronts"]
    (optimum,) = page_data.rounded([found.optimum.hypervolume])
    return {
        "name": problem.name,
        "space": problem.space,
        "device": problem.dataset,
        "targets": problem.targets,
        "statement": _statement(problem, found.optimum),
        "optimum": optimum,
        "exact": page_data.exact_front(found.optimum.front, problem.targets),
        "cloud": f"{problem.space} {fronts['kind'].iloc[0]}",
        "methods": [
            {
                "method": methods.index(method),
                "curves": curve[method],
                **page_data.method_fronts(encoding, mine),
            }
            for method, mine in by_method(found.results).items()
        ],
        "choices": page_data.choices_data(tables["choices"], methods),
    }


def _statement(problem: Problem, found: Optimum) -> str:
    """What is known of the optimum, in a sentence or two."""
    text = f"Minimises {' and '.join(problem.targets)} on space {problem.space}. "
    if found.front is None:
        return text + "The exact front is not known."
    kind = "exact" if found.front.exact else f"known to {found.gap:.2g} in hypervolume"
    return text + (
        f"Its front is {kind}: {counted(len(found.front), 'point')}, normalised hypervolume "
        f"{found.hypervolume:.6f}."
    )


def problems_section(problems: Sequence[Mapping[str, Any]], results: Results) -> Section:
    """Places for the figures of one problem and for an overview, with choices above.

    :param problems: what :func:`write_problem` returned of each
    """
    seeds = Counter((r.run.problem.name, r.run.method) for r in results.runs)
    single = max(seeds.values()) == 1
    section = Section("problems", "Fronts and curves")
    section.add(
        page.controls(
            [page.Control("space", "Space"), page.Control("problem", "Problem")], "methods"
        ),
        page.plot(
            "plot-overview",
            "Fronts of all methods on every problem of the space",
            "Every problem of the space: fronts of the methods and the exact front (black). Choose "
            "a panel to see more of its problem below.",
        ),
        page.heading("One problem"),
        page.live("statement"),
        page.plot(
            "plot-convergence",
            "Hypervolume or regret of each method",
            "Normalised hypervolume, or what it lacks to the exact optimum: medians"
            + (
                "; one seed only, hence no bands."
                if single
                else "; bands span the quartiles over seeds."
            ),
            [
                page.Control("measure", "Show", _MEASURES),
                page.Control("axis", "over", [("trials", "trials"), (HOURS, "simulated time")]),
            ],
        ),
        page.plot(
            "plot-fronts",
            "Fronts of the methods over a cloud of architectures",
            "Fronts of all trials over architectures of the space, and the exact front. Choose a "
            "point to see its architecture; by keyboard: Enter, then the arrows.",
            [page.Control("pair", "Objectives")],
        ),
        page.plot(
            "plot-attainment",
            "Empirical attainment surfaces of each method",
            "What the one run of each method attains; surfaces need several seeds."
            if single
            else "Empirical attainment surfaces: what 25 (dotted), 50 (solid) and 75 % (dashed) of "
            "the runs attain.",
        ),
        page.plot(
            "plot-differences",
            "Difference between the attainment functions of two methods",
            "Where one method attains more often than the other: difference in the share of runs. "
            "Of methods with different numbers of seeds, the first as many are compared.",
            [page.Control("first", "Blue:"), page.Control("second", "orange:")],
        ),
        page.plot(
            "plot-choices",
            "Shares of hyperparameter values on each front",
            "Which hyperparameters the fronts choose; MLP ratio and heads over active layers.",
        ),
        page.table(
            pd.DataFrame(
                [(problem["name"], problem["statement"]) for problem in problems],
                columns=["problem", "what is known"],
            ),
            "problems-table",
            "Problems, and what is known of their optima",
        ),
    )
    return section
