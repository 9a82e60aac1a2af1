"""The part of the page about one problem: its tables, figures and what is known of its optimum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.experiments.figures import draw_front, front_table
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report import page
from hwgpt_blackbox.experiments.report.attainment import (
    attainment_table,
    difference_table,
    draw_attainment,
    draw_differences,
)
from hwgpt_blackbox.experiments.report.choices import choices_table, draw_choices
from hwgpt_blackbox.experiments.report.convergence import convergence_table, draw_convergence
from hwgpt_blackbox.experiments.report.optimum import Optimum
from hwgpt_blackbox.experiments.report.page import Section
from hwgpt_blackbox.experiments.report.tables import counted
from hwgpt_blackbox.experiments.report.writer import Writer
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import by_method

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
    :param alt: what the figure shows, for those who cannot see it
    :param caption: below the figure
    :param single: below it if no method has more than one seed, if that differs
    """

    data: str
    figure: str
    compute: Callable[[ProblemResults], pd.DataFrame]
    draw: Callable[[ProblemResults, pd.DataFrame], Figure]
    alt: str
    caption: str
    single: str = ""


_PLOTS = (
    _Plot(
        "convergence",
        "convergence",
        lambda f: convergence_table(f.problem, f.results, f.optimum.hypervolume, volumes=f.volumes),
        lambda f, table: draw_convergence(table, f.optimum.hypervolume),
        "Hypervolume and regret of each method over trials and simulated time",
        "Normalised hypervolume and its regret, medians; bands span the quartiles over seeds.",
        "Normalised hypervolume and its regret, medians; one seed only, hence no bands.",
    ),
    _Plot(
        "fronts",
        "front",
        lambda f: front_table(f.problem, f.results, f.optimum.front),
        lambda f, table: draw_front(f.problem, table),
        "Fronts of {methods} methods over a cloud of architectures",
        "Fronts of all trials over architectures of the space, and the exact front.",
    ),
    _Plot(
        "attainment",
        "attainment",
        lambda f: attainment_table(f.problem, f.results),
        lambda f, table: draw_attainment(f.problem, table),
        "Empirical attainment surfaces of each method",
        "Empirical attainment surfaces: what 25, 50 and 75 % of the runs attain.",
        "What the one run of each method attains; surfaces need several seeds.",
    ),
    _Plot(
        "differences",
        "differences",
        lambda f: difference_table(f.problem, f.results),
        lambda f, table: draw_differences(f.problem, table, f.best),
        "Differences between the attainment functions of pairs of methods",
        "Where one method of a pair attains more often than the other, in the first two "
        "objectives.",
    ),
    _Plot(
        "choices",
        "choices",
        lambda f: choices_table(f.problem, f.results, f.optimum.front),
        lambda f, table: draw_choices(table),
        "Shares of hyperparameter values on each front",
        "Which hyperparameters the fronts choose (in brackets: architectures on the front); MLP "
        "ratio and heads over active layers.",
    ),
)
"""Figures of every problem, in order."""


def problem_section(writer: Writer, anchor: str, found: ProblemResults) -> Section:
    """Tables and figures of one problem.

    :param anchor: id of the section
    """
    name, methods = found.problem.name, len(found.methods)
    section = Section(anchor, name, problem=True)
    section.add(page.paragraph(_statement(found.problem, found.optimum)))
    for plot in _PLOTS:
        table = plot.compute(found)
        writer.data(f"{plot.data}-{name}", table)
        if table.empty:
            continue
        several = not plot.single or int(table["seeds"].max()) > 1
        figure, alt = plot.draw(found, table), f"{plot.alt.format(methods=methods)}, {name}"
        caption = plot.caption if several else plot.single
        section.add(writer.figure(f"{plot.figure}-{name}", figure, alt, caption))
    return section


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
