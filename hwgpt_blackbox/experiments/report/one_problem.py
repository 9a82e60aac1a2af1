"""The part of the page about one problem: its tables, figures and what is known of its optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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
from hwgpt_blackbox.experiments.results.store import StoredRun


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
        return sorted({result.run.method for result in self.results})

    @property
    def best(self) -> str:
        """The method with the largest median hypervolume at the end of the shortest run."""
        trials = min(map(len, self.volumes))
        last = {
            method: np.median(
                [
                    v[trials - 1]
                    for v, r in zip(self.volumes, self.results, strict=True)
                    if r.run.method == method
                ]
            )
            for method in self.methods
        }
        return max(last, key=lambda method: last[method])


def problem_section(writer: Writer, anchor: str, found: ProblemResults) -> Section:
    """Tables and figures of one problem.

    :param anchor: id of the section
    """
    section = Section(anchor, found.problem.name, problem=True)
    section.add(page.paragraph(_statement(found.problem, found.optimum)))
    for part in (_convergence, _fronts, _attainment, _differences, _choices):
        section.add(part(writer, found))
    return section


def _convergence(writer: Writer, found: ProblemResults) -> str:
    name, optimum = found.problem.name, found.optimum.hypervolume
    table = convergence_table(found.problem, found.results, optimum, volumes=found.volumes)
    writer.data(f"convergence-{name}", table)
    several = int(table["seeds"].max()) > 1
    band = "bands span the quartiles over seeds" if several else "one seed only, hence no bands"
    return writer.figure(
        f"convergence-{name}",
        draw_convergence(table, optimum),
        f"Hypervolume and regret of each method over trials and simulated time, {name}",
        f"Normalised hypervolume and its regret, medians; {band}.",
    )


def _fronts(writer: Writer, found: ProblemResults) -> str:
    name = found.problem.name
    table = front_table(found.problem, found.results, found.optimum.front)
    writer.data(f"fronts-{name}", table)
    return writer.figure(
        f"front-{name}",
        draw_front(found.problem, table),
        f"Fronts of {len(found.methods)} methods over a cloud of architectures, {name}",
        "Fronts of all trials over architectures of the space, and the exact front.",
    )


def _attainment(writer: Writer, found: ProblemResults) -> str:
    name = found.problem.name
    table = attainment_table(found.problem, found.results)
    writer.data(f"attainment-{name}", table)
    return writer.figure(
        f"attainment-{name}",
        draw_attainment(found.problem, table),
        f"Empirical attainment surfaces of each method, {name}",
        "Empirical attainment surfaces: what 25, 50 and 75 % of the runs attain."
        if int(table["seeds"].max()) > 1
        else "What the one run of each method attains; surfaces need several seeds.",
    )


def _differences(writer: Writer, found: ProblemResults) -> str:
    name = found.problem.name
    table = difference_table(found.problem, found.results)
    writer.data(f"differences-{name}", table)
    if table.empty:
        return ""
    return writer.figure(
        f"differences-{name}",
        draw_differences(found.problem, table, found.best),
        f"Differences between the attainment functions of pairs of methods, {name}",
        "Where one method of a pair attains more often than the other, in the first two "
        "objectives.",
    )


def _choices(writer: Writer, found: ProblemResults) -> str:
    name = found.problem.name
    table = choices_table(found.problem, found.results, found.optimum.front)
    writer.data(f"choices-{name}", table)
    return writer.figure(
        f"choices-{name}",
        draw_choices(table),
        f"Shares of hyperparameter values on each front, {name}",
        "Which hyperparameters the fronts choose (in brackets: architectures on the front); MLP "
        "ratio and heads over active layers.",
    )


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
