"""Parts of the page about all problems together: scores, ranks, and what lies beside the page."""

from __future__ import annotations

import pandas as pd

from hwgpt_blackbox.experiments.report import page
from hwgpt_blackbox.experiments.report.page import Section
from hwgpt_blackbox.experiments.report.ranks import draw_ranks, rank_table
from hwgpt_blackbox.experiments.report.tables import latex_table, score_table
from hwgpt_blackbox.experiments.report.writer import LATEX, Writer


def scores_section(writer: Writer, runs: pd.DataFrame) -> Section:
    """Tables of runs and scores.

    :param runs: what ``run_table`` returned
    """
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
        page.heading("For LaTeX"),
        page.code(latex),
        page.heading("Each run"),
        page.table(runs, "runs-table", "One row per run"),
    )
    return section


def ranks_section(writer: Writer, runs: pd.DataFrame) -> Section:
    """Average ranks and tests.

    :param runs: what ``run_table`` returned
    """
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


def files_section(writer: Writer) -> Section:
    """Links to all files that were written so far."""
    section = Section("files", "Data and figures")
    section.add(
        page.paragraph("Beside this page; all tables are tidy: a row per observation."),
        page.links(sorted(writer.files)),
    )
    return section
