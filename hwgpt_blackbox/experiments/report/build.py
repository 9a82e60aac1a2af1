"""The report: every table, figure and the page, written into one folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import require
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
from hwgpt_blackbox.experiments.report.convergence import (
    convergence_table,
    draw_convergence,
    traces,
)
from hwgpt_blackbox.experiments.report.inputs import Results
from hwgpt_blackbox.experiments.report.landscape import (
    correlation_table,
    distribution_table,
    draw_correlations,
    draw_distributions,
    space_sample,
)
from hwgpt_blackbox.experiments.report.optimum import Optimum, optimum
from hwgpt_blackbox.experiments.report.page import Section
from hwgpt_blackbox.experiments.report.power_law import draw_power_law, power_law_table
from hwgpt_blackbox.experiments.report.ranks import draw_ranks, rank_table
from hwgpt_blackbox.experiments.report.tables import latex_table, run_table, score_table
from hwgpt_blackbox.experiments.report.writer import Writer
from hwgpt_blackbox.experiments.store import StoredRun

PAGE, LATEX = "index.html", "table.tex"
FORMATS = ("svg",)
MAX_DISTRIBUTIONS = 8
"""Objectives of a space whose distributions are drawn; the data file has all."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """What was written.

    :param page: the page
    :param files: all files, relative to the folder of the page
    :param notes: what a reader must know first
    """

    page: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]


def write_report(
    results: Results,
    out: Path,
    *,
    formats: Sequence[str] = FORMATS,
    spaces: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Write ``index.html``, ``data/*.csv``, ``figures/*`` and ``table.tex``.

    :param results: what :func:`read_results` returned
    :param out: folder, made if need be; files of the same names are replaced
    :param formats: of the figures' files, of ``svg``, ``pdf``, ``png``; the page holds SVG
    :param spaces: describe the spaces too: power law, correlations, distributions
    :param progress: called with the name of each step when it begins
    :raises MissingExtraError: matplotlib, moocore or scipy is not installed
    :raises OutputError: a file cannot be written
    """
    for module in ("matplotlib", "moocore", "scipy"):
        require(module, extra="analysis")
    step = progress or (lambda name: None)
    writer, notes = Writer(out, formats), list(results.notes)
    step("hypervolume")
    problems = results.problems
    optima = {problem.name: optimum(problem) for problem in problems}
    notes += [found.note for found in optima.values() if found.note]
    volumes = traces(results.runs)
    runs = run_table(results.runs, volumes, {n: o.hypervolume for n, o in optima.items()})
    sections = [_scores(writer, runs), _ranking(writer, runs)]
    for number, problem in enumerate(problems, 1):
        step(problem.name)
        mine = [
            (result, volume)
            for result, volume in zip(results.runs, volumes, strict=True)
            if result.run.problem.name == problem.name
        ]
        section = Section(f"problem-{number}", problem.name, problem=True)
        _problem(
            section,
            writer,
            problem,
            [result for result, _ in mine],
            [volume for _, volume in mine],
            optima[problem.name],
        )
        sections.append(section)
    for space in sorted({problem.space for problem in problems}) if spaces else ():
        step(f"space {space}")
        sections.append(_space(writer, space, problems))
    sections.append(_files(writer))
    lead = (
        f"{len(results.runs)} runs, {len(problems)} problems, {len(results.methods)} methods. "
        "All scores are of expected values; hypervolume is normalised: ideal 0, nadir 1, "
        f"reference point 1.1 in each objective. hwgpt-blackbox {__version__}."
    )
    path = writer.text(PAGE, page.html("HW-GPT-Bench experiments", lead, notes, sections))
    return Report(path, tuple(writer.files), tuple(notes))


def _scores(writer: Writer, runs: pd.DataFrame) -> Section:
    """Tables of runs and scores."""
    scores = score_table(runs)
    latex = latex_table(scores)
    writer.data("runs", runs)
    writer.data("scores", scores)
    writer.text(LATEX, latex)
    section = Section("scores", "Scores")
    section.add(
        page.table(
            scores,
            "scores-table",
            "Median and quartiles over seeds, best first in each problem; runs of a problem are "
            "cut at the trials of the shortest",
        ),
        page.heading("For LaTeX", 3),
        page.code(latex),
        page.heading("Each run", 3),
        page.table(runs, "runs-table", "One row per run"),
    )
    return section


def _ranking(writer: Writer, runs: pd.DataFrame) -> Section:
    """Average ranks and tests."""
    ranking = rank_table(runs)
    writer.data("ranks", ranking.ranks)
    writer.data("rank_tests", ranking.pairs)
    section = Section("ranks", "Average ranks")
    section.add(page.paragraph(ranking.note))
    if len(ranking.ranks) > 1 and ranking.ranks["rank"].notna().all():
        section.add(
            writer.figure(
                "ranks",
                draw_ranks(ranking),
                f"Average rank of {len(ranking.ranks)} methods over problems",
                "Average rank over problems of the median hypervolume over seeds.",
            )
        )
    section.add(page.table(ranking.ranks, "ranks-table", "Average ranks; 1 is best"))
    if len(ranking.pairs):
        section.add(page.table(ranking.pairs, "rank-tests-table", "Tests of each pair of methods"))
    return section


def _problem(
    section: Section,
    writer: Writer,
    problem: Problem,
    results: Sequence[StoredRun],
    volumes: Sequence[NDArray[np.float64]],
    found: Optimum,
) -> None:
    """All of one problem."""
    name = problem.name
    methods = sorted({result.run.method for result in results})
    convergence = convergence_table(problem, results, found.hypervolume, volumes=volumes)
    seeds = int(convergence["seeds"].max())
    band = "bands span the quartiles over seeds" if seeds > 1 else "one seed only, hence no bands"
    writer.data(f"convergence-{name}", convergence)
    fronts = front_table(problem, results, found.front)
    writer.data(f"fronts-{name}", fronts)
    section.add(
        page.paragraph(_statement(problem, found)),
        writer.figure(
            f"convergence-{name}",
            draw_convergence(convergence, found.hypervolume),
            f"Hypervolume and regret of each method over trials and simulated time, {name}",
            f"Normalised hypervolume and its regret, medians; {band}.",
        ),
        writer.figure(
            f"front-{name}",
            draw_front(problem, fronts),
            f"Fronts of {len(methods)} methods over a cloud of architectures, {name}",
            "Fronts of all trials over architectures of the space, and the exact front.",
        ),
    )
    attainment = attainment_table(problem, results)
    writer.data(f"attainment-{name}", attainment)
    section.add(
        writer.figure(
            f"attainment-{name}",
            draw_attainment(problem, attainment),
            f"Empirical attainment surfaces of each method, {name}",
            "Empirical attainment surfaces: what 25, 50 and 75 % of the runs attain."
            if seeds > 1
            else "What the one run of each method attains; surfaces need several seeds.",
        )
    )
    if len(methods) > 1:
        differences = difference_table(problem, results)
        writer.data(f"differences-{name}", differences)
        if len(differences):
            last = {
                method: float(np.median([v[-1] for r, v in pairs]))
                for method, pairs in _by_method(results, volumes).items()
            }
            best = max(last, key=lambda method: last[method])
            section.add(
                writer.figure(
                    f"differences-{name}",
                    draw_differences(problem, differences, best),
                    f"Differences between the attainment functions of pairs of methods, {name}",
                    "Where one method of a pair attains more often than the other, in the first "
                    "two objectives.",
                )
            )
    choices = choices_table(problem, results, found.front)
    writer.data(f"choices-{name}", choices)
    section.add(
        writer.figure(
            f"choices-{name}",
            draw_choices(choices),
            f"Shares of hyperparameter values on each front, {name}",
            "Which hyperparameters the fronts choose (in brackets: architectures on the front); "
            "MLP ratio and heads over active layers.",
        )
    )


def _by_method(
    results: Sequence[StoredRun], volumes: Sequence[NDArray[np.float64]]
) -> dict[str, list[tuple[StoredRun, NDArray[np.float64]]]]:
    found: dict[str, list[tuple[StoredRun, NDArray[np.float64]]]] = {}
    for result, volume in zip(results, volumes, strict=True):
        found.setdefault(result.run.method, []).append((result, volume))
    return found


def _statement(problem: Problem, found: Optimum) -> str:
    """What is known of the optimum, in a sentence or two."""
    text = f"Minimises {' and '.join(problem.targets)} on space {problem.space}. "
    if found.front is None:
        return text + "The exact front is not known."
    kind = "exact" if found.front.exact else f"known to {found.gap:.2g} in hypervolume"
    return text + (
        f"Its front is {kind}: {len(found.front):,} point(s), normalised hypervolume "
        f"{found.hypervolume:.6f}."
    )


def _space(writer: Writer, space: str, problems: Sequence[Problem]) -> Section:
    """A space without any search."""
    sample = space_sample(space)
    correlations, law = correlation_table(sample), power_law_table(sample)
    targets = sorted({t for p in problems if p.space == space for t in p.targets})
    targets = [target for target in targets if target in sample.values]
    distributions = distribution_table(sample, targets)
    writer.data(f"correlations-{space}", correlations)
    writer.data(f"distributions-{space}", distributions)
    writer.data(f"power_law-{space}", law)
    size = f"{len(sample.matrix):,} {sample.kind} architectures"
    section = Section(f"space-{space}", f"Space {space}")
    section.add(
        page.heading("Power law of perplexity", 3),
        page.paragraph(
            "perplexity = c · l^x1 · e^x2 · m^x3 · h^x4 · b^x5, least squares on logarithms, of "
            f"{size}; R² {law['r2'].iloc[0]:.4f}. l: layers, e: embedding width; m and h: "
            "means of MLP ratio and heads over active layers; b: 2.718 with a bias, 1 without."
        ),
        page.table(law, f"power-law-table-{space}", f"Coefficients on space {space}"),
        writer.figure(
            f"power_law-{space}",
            draw_power_law(sample, law),
            f"Perplexity by the power law over that of architectures of {space}",
            "Perplexity by the law over perplexity; the dotted line is equality.",
        ),
        page.heading("Correlations between metrics and devices", 3),
        writer.figure(
            f"correlations-{space}",
            draw_correlations(correlations),
            f"Matrix of Kendall's tau between all metrics and devices on space {space}",
            f"Kendall's tau of expected values, {size}.",
        ),
        page.heading("Distributions by hyperparameter", 3),
    )
    if len(distributions):
        shown = distributions[distributions["objective"].isin(targets[:MAX_DISTRIBUTIONS])]
        left = f" The data file has {len(targets)} objectives." if len(targets) > 8 else ""
        section.add(
            writer.figure(
                f"distributions-{space}",
                draw_distributions(shown),
                f"Empirical distributions of objectives by hyperparameter on space {space}",
                f"Empirical distribution functions of expected values, {size}; MLP ratio and "
                f"heads: means over active layers, in thirds.{left}",
            )
        )
    return section


def _files(writer: Writer) -> Section:
    section = Section("files", "Data and figures")
    section.add(
        page.paragraph("Beside this page; all tables are tidy: a row per observation."),
        page.links(sorted(writer.files)),
    )
    return section
