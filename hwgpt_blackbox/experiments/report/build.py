"""The report: every table, figure and the page, written into one folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.experiments.report import page, page_data
from hwgpt_blackbox.experiments.report.convergence import traces
from hwgpt_blackbox.experiments.report.inputs import Results
from hwgpt_blackbox.experiments.report.one_problem import (
    ProblemResults,
    problems_section,
    write_problem,
)
from hwgpt_blackbox.experiments.report.one_space import space_section
from hwgpt_blackbox.experiments.report.optimum import optimum
from hwgpt_blackbox.experiments.report.overview import (
    answer_section,
    files_section,
    ranks_section,
    scores_section,
)
from hwgpt_blackbox.experiments.report.ranks import rank_table
from hwgpt_blackbox.experiments.report.tables import counted, run_table, score_table
from hwgpt_blackbox.experiments.report.writer import PAGE, TITLE, Writer
from hwgpt_blackbox.experiments.results.scores import labelled
from hwgpt_blackbox.models.ideal_and_nadir import REFERENCE_POINT

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
    formats: Sequence[str] = (),
    spaces: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Write ``index.html``, ``data/*.csv`` and ``table.tex``; ``figures/*`` if asked for.

    :param results: what :func:`read_results` returned
    :param out: folder, made if need be; files of the same names are replaced
    :param formats: of the figures' files, of ``svg``, ``pdf``, ``png``; none: no such files
    :param spaces: describe the spaces too: power law, correlations, distributions
    :param progress: called with the name of each step when it begins
    :raises MissingExtraError: jinja2, plotly, moocore or scipy is not installed; or matplotlib,
        for figures
    :raises OutputError: a file cannot be written
    """
    for module in ("jinja2", "plotly", "moocore", "scipy", *(["matplotlib"] if formats else [])):
        require(module, extra="analysis")
    step = progress or (lambda name: None)
    results = replace(results, runs=tuple(labelled(results.runs)))
    writer, notes = Writer(out, formats), list(results.notes)
    step("hypervolume")
    problems = results.problems
    optima = {problem.name: optimum(problem) for problem in problems}
    notes += [found.note for found in optima.values() if found.note]
    volumes = traces(results.runs)
    runs = run_table(results.runs, volumes, {n: o.hypervolume for n, o in optima.items()})
    scores, ranking = score_table(runs), rank_table(runs)
    methods = [str(method) for method in ranking.ranks["method"]]
    data = page_data.report_data(problems, methods, ranking)
    for problem in problems:
        step(problem.name)
        pairs = zip(results.runs, volumes, strict=True)
        mine = [pair for pair in pairs if pair[0].run.problem.name == problem.name]
        found = ProblemResults(
            problem, [run for run, _ in mine], [trace for _, trace in mine], optima[problem.name]
        )
        data["problems"].append(write_problem(writer, found, methods))
    sections = [
        answer_section(ranking, scores),
        problems_section(data["problems"], results),
        ranks_section(writer, ranking),
        scores_section(writer, runs, scores),
    ]
    for space in data["spaces"] if spaces else ():
        step(f"space {space}")
        section, drawn = space_section(writer, space, problems)
        sections.append(section)
        data["spaces"][space] |= drawn
    sections.append(files_section(writer, scores))
    lead = (
        f"{counted(len(results.runs), 'run')}, {counted(len(problems), 'problem')}, "
        f"{counted(len(results.methods), 'method')}. "
        "All scores are of expected values; hypervolume is normalised: ideal 0, nadir 1, "
        f"reference point {REFERENCE_POINT} in each objective. hwgpt-blackbox {__version__}."
    )
    path = writer.text(PAGE, page.html(TITLE, lead, notes, sections, data, "report.js"))
    return Report(path, tuple(writer.files), tuple(notes))
