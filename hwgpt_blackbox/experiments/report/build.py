"""The report: every table, figure and the page, written into one folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import OutputError, require
from hwgpt_blackbox.experiments.figures import draw_front, front_table, save_figure
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
from hwgpt_blackbox.experiments.store import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE, DATA, FIGURES, LATEX = "index.html", "data", "figures", "table.tex"
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


class _Writer:
    """Writes tables and figures, and remembers them."""

    def __init__(self, out: Path, formats: Sequence[str]) -> None:
        self.out, self.formats = out, tuple(formats)
        self.files: list[str] = []
        try:
            for folder in (DATA, FIGURES):
                (out / folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{out} cannot be used ({error}); name a folder that can be written"
            ) from error

    def text(self, name: str, text: str) -> Path:
        path = self.out / name
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
        self.files.append(name)
        return path

    def data(self, name: str, frame: pd.DataFrame) -> None:
        if len(frame.columns):
            self.text(f"{DATA}/{name}.csv", frame.to_csv(index=False))

    def figure(self, name: str, figure: Figure, alt: str, caption: str) -> str:
        """Save a figure, and return it as HTML."""
        from matplotlib import rc_context

        if self.formats:
            for path in save_figure(figure, self.out / FIGURES / name, self.formats):
                self.files.append(f"{FIGURES}/{path.name}")
        buffer = BytesIO()
        with rc_context({"svg.hashsalt": "hwgpt-blackbox"}):
            figure.savefig(buffer, format="svg", dpi=120, metadata={"Date": None})
        width, height = figure.get_size_inches()
        return page.image(buffer.getvalue(), alt, caption, ratio=float(width / height))


def write_report(
    results: Results,
    out: Path,
    *,
    formats: Sequence[str] = FORMATS,
    progress: Progress | None = None,
) -> Report:
    """Write ``index.html``, ``data/*.csv``, ``figures/*`` and ``table.tex``.

    :param results: what :func:`read_results` returned
    :param out: folder, made if need be; files of the same names are replaced
    :param formats: of the figures' files, of ``svg``, ``pdf``, ``png``; the page holds SVG
    :param progress: called with the name of each step when it begins
    :raises MissingExtraError: matplotlib, moocore or scipy is not installed
    :raises OutputError: a file cannot be written
    """
    for module in ("matplotlib", "moocore", "scipy"):
        require(module, extra="analysis")
    step = progress or (lambda name: None)
    writer, notes = _Writer(out, formats), list(results.notes)
    step("hypervolume")
    problems = results.problems
    optima = {problem.name: optimum(problem) for problem in problems}
    notes += [found.note for found in optima.values() if found.note]
    volumes = traces(results.runs)
    runs = run_table(results.runs, volumes, {n: o.hypervolume for n, o in optima.items()})
    sections = [_scores(writer, runs), _ranking(writer, runs)]
    by_path = {r.path: v for r, v in zip(results.runs, volumes, strict=True)}
    for number, problem in enumerate(problems, 1):
        step(problem.name)
        found = optima[problem.name]
        mine = results.of(problem)
        frame = convergence_table(
            problem, mine, found.hypervolume, volumes=[by_path[r.path] for r in mine]
        )
        best = runs[runs["problem"] == problem.name].groupby("method")["hypervolume"].median()
        section = Section(f"problem-{number}", problem.name, problem=True)
        _problem(section, writer, problem, mine, found, frame, str(best.idxmax()))
        sections.append(section)
    for space in sorted({problem.space for problem in problems}):
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


def _scores(writer: _Writer, runs: pd.DataFrame) -> Section:
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


def _ranking(writer: _Writer, runs: pd.DataFrame) -> Section:
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
    writer: _Writer,
    problem: Problem,
    results: Sequence[object],
    found: Optimum,
    convergence: pd.DataFrame,
    best: str,
) -> None:
    """All of one problem."""
    name, runs = problem.name, [r for r in results]
    what = " and ".join(problem.targets)
    _, seeds = convergence["method"], int(convergence["seeds"].max())
    band = "bands span the quartiles over seeds" if seeds > 1 else "one seed only, hence no bands"
    writer.data(f"convergence-{name}", convergence)
    section.add(
        writer.figure(
            f"convergence-{name}",
            draw_convergence(convergence, found.hypervolume),
            f"Hypervolume and regret of each method over trials and simulated time, {name}",
            f"Normalised hypervolume and its regret, medians; {band}.",
        )
    )
    raise NotImplementedError(what, best, runs)


def _space(writer: _Writer, space: str, problems: Sequence[Problem]) -> Section:
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
            "perplexity = c · l^a · e^b · m^c · h^d · bias^f, least squares on logarithms, of "
            f"{size}; R² {law['r2'].iloc[0]:.4f}. m and h are means over active layers; a bias "
            "counts as 2.718 (e), none as 1."
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


def _files(writer: _Writer) -> Section:
    section = Section("files", "Data and figures")
    section.add(
        page.paragraph("Beside this page; all tables are tidy: a row per observation."),
        page.links(sorted(writer.files)),
    )
    return section
