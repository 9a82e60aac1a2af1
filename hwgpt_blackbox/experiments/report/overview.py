"""Parts of the page about all problems together: the answer, scores, ranks, and files beside it."""

from __future__ import annotations

import pandas as pd

from hwgpt_blackbox.experiments.report import page
from hwgpt_blackbox.experiments.report.page import Section
from hwgpt_blackbox.experiments.report.ranks import LEVEL, Ranking, draw_ranks
from hwgpt_blackbox.experiments.report.tables import counted, latex_table
from hwgpt_blackbox.experiments.report.writer import LATEX, Writer


def answer_section(ranking: Ranking, scores: pd.DataFrame) -> Section:
    """Who won, by how much, and is it significant."""
    section = Section("answer", "Which method won")
    section.add(page.bullets(verdict(ranking, scores), "answer"))
    return section


def verdict(ranking: Ranking, scores: pd.DataFrame) -> list[str]:
    """Who won, by how much, and is it significant, in a sentence or two each.

    :param scores: what ``score_table`` returned
    """
    ranks, problems = ranking.ranks, scores["problem"].nunique()
    if len(ranks) < 2:
        return [f"Only {ranks['method'].iloc[0]} was run: there is nothing to compare it with."]
    if ranks["rank"].isna().any():
        return ["No problem has runs of all methods, so that nothing can be ranked.", ranking.note]
    first = ranks["method"][ranks["rank"] == ranks["rank"].iloc[0]]
    winner = str(first.iloc[0])
    common = counted(int(ranks["problems"].iloc[0]), "problem")
    at = f"average rank {ranks['rank'].iloc[0]:.2f} of {len(ranks)} methods on {common}"
    if len(first) > 1:
        who = f"No single winner: {', '.join(first)} share the best {at}."
    else:
        after = ranks.iloc[1]
        who = f"{winner}: {at}; next {after['method']} with {after['rank']:.2f}."
    medians = scores.pivot_table(index="problem", columns="method", values="hypervolume_median")
    lead = medians[winner] - medians.drop(columns=winner).max(axis=1)
    best = int((lead >= 0).sum())
    much = (
        f"Its median hypervolume is the largest on {best} of {counted(problems, 'problem')}; it "
        f"{'leads' if lead.median() >= 0 else 'lags behind'} the best other method by "
        f"{abs(lead.median()):.4f} in the median"
    )
    regret = scores[scores["method"] == winner]["regret_median"].median()
    if pd.notna(regret):
        much += f", and lacks {regret:.4f} to the exact optimum"
    sure = _significance(ranking, winner)
    if problems == 1:
        sure = _over_seeds(scores, winner) + sure
    return [who, much.replace("Its", f"{winner}'s", 1) + ".", sure]


def _over_seeds(scores: pd.DataFrame, winner: str) -> str:
    """Of one problem: whose quartiles over seeds overlap with the winner's."""
    rows = scores.set_index("method")
    if rows["seeds"].min() < 2:
        return ""
    others = rows.drop(index=winner)
    near = others.index[others["hypervolume_q75"] >= rows["hypervolume_q25"][winner]]
    whose = f"overlap with those of {', '.join(near)}" if len(near) else "lie above all others'"
    return f"{winner}'s quartiles over seeds {whose}. "


def _significance(ranking: Ranking, winner: str) -> str:
    """From which methods the winner differs significantly."""
    if ranking.pairs.empty:
        return ranking.note
    pairs = ranking.pairs
    mine = pairs[(pairs["method_a"] == winner) | (pairs["method_b"] == winner)]
    other = mine["method_a"].where(mine["method_a"] != winner, mine["method_b"])
    sure = [f"{m} (p = {p:.2g})" for m, p in zip(other, mine["p_holm"], strict=True) if p < LEVEL]
    open_ = [f"{m} (p = {p:.2g})" for m, p in zip(other, mine["p_holm"], strict=True) if p >= LEVEL]
    parts = [
        f"{winner} {text} {', '.join(names)}"
        for text, names in (("differs significantly from", sure), ("does not from", open_))
        if names
    ]
    return "; ".join(parts) + ". Wilcoxon's signed-rank test over problems, Holm's correction."


def ranks_section(writer: Writer, ranking: Ranking) -> Section:
    """Average ranks and tests."""
    writer.data("ranks", ranking.ranks)
    writer.data("rank_tests", ranking.pairs)
    section = Section("ranks", "Average ranks")
    section.add(page.paragraph(ranking.note))
    if len(ranking.ranks) > 1 and ranking.ranks["rank"].notna().all():
        if writer.formats:
            writer.figure("ranks", draw_ranks(ranking))
        section.add(
            page.plot(
                "plot-ranks",
                f"Average rank of {len(ranking.ranks)} methods over problems",
                "Average rank over problems of the median hypervolume over seeds.",
            )
        )
    section.add(page.table(ranking.ranks, "ranks-table", "Average ranks; 1 is best"))
    if len(ranking.pairs):
        section.add(page.table(ranking.pairs, "rank-tests-table", "Tests of each pair of methods"))
    return section


def scores_section(writer: Writer, runs: pd.DataFrame, scores: pd.DataFrame) -> Section:
    """Tables of scores and runs.

    :param runs: what ``run_table`` returned
    :param scores: what ``score_table`` returned
    """
    writer.data("runs", runs)
    writer.data("scores", scores)
    section = Section("scores", "Scores")
    section.add(
        page.table(
            scores,
            "scores-table",
            "Median and quartiles over seeds, best first in each problem; runs of a problem are "
            "cut at the trials of the shortest",
        ),
        page.heading("Each run"),
        page.table(runs, "runs-table", "One row per run"),
    )
    return section


def files_section(writer: Writer, scores: pd.DataFrame) -> Section:
    """Links to all files that were written, and the table for LaTeX."""
    latex = latex_table(scores)
    writer.text(LATEX, latex)
    section = Section("files", "Data and figures")
    section.add(
        page.paragraph("Beside this page; all tables are tidy: a row per observation."),
        page.links(sorted(writer.files)),
        page.heading("For LaTeX"),
        page.code(latex),
    )
    return section
