"""The part of the page about a space: power law, correlations, distributions. No runs needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from hwgpt_blackbox.experiments.architecture_sample import ArchitectureSample
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report import page, page_data
from hwgpt_blackbox.experiments.report.landscape import (
    correlation_table,
    distribution_table,
    draw_correlations,
    draw_distributions,
    space_sample,
)
from hwgpt_blackbox.experiments.report.page import Section
from hwgpt_blackbox.experiments.report.power_law import SHOWN, draw_power_law, power_law_table
from hwgpt_blackbox.experiments.report.writer import Writer

MAX_DISTRIBUTIONS = 8
"""Objectives whose distributions a file shows; the page and the data file have all."""


def space_section(
    writer: Writer, space: str, problems: Sequence[Problem]
) -> tuple[Section, dict[str, Any]]:
    """Power law of perplexity, correlations, and distributions by hyperparameter.

    :param problems: those on the space say whose distributions are shown
    :return: the section, and what the page draws in it
    """
    sample = space_sample(space)
    correlations = correlation_table(sample)
    targets = sorted({t for p in problems if p.space == space for t in p.targets})
    targets = [target for target in targets if target in sample.values]
    distributions = distribution_table(sample, targets)
    writer.data(f"correlations-{space}", correlations)
    writer.data(f"distributions-{space}", distributions)
    if writer.formats:
        writer.figure(f"correlations-{space}", draw_correlations(correlations))
        if len(distributions):
            shown = distributions[distributions["objective"].isin(targets[:MAX_DISTRIBUTIONS])]
            writer.figure(f"distributions-{space}", draw_distributions(shown))
    size = f"{len(sample.matrix):,} {sample.kind} architectures"
    section = Section(f"space-{space}", f"Space {space}")
    drawn = {
        "correlations": page_data.correlation_data(correlations),
        "distributions": page_data.distribution_data(distributions),
    }
    if "perplexity" in sample.values:
        law = power_law_table(sample)
        drawn["law"] = page_data.law_data(sample, law)
        _add_power_law(writer, section, sample, law)
    section.add(
        page.heading("Correlations between metrics and devices"),
        page.plot(
            f"correlations-{space}",
            f"Matrix of Kendall's tau between all metrics and devices on space {space}",
            f"Kendall's tau of expected values, {size}.",
        ),
        page.heading("Distributions by hyperparameter"),
    )
    if targets:
        section.add(
            page.plot(
                f"distributions-{space}",
                f"Empirical distributions of an objective by hyperparameter on space {space}",
                f"Empirical distribution functions of expected values, {size}; MLP ratio and "
                "heads: means over active layers, in thirds.",
                [page.Control(f"objective-{space}", "Objective", [(t, t) for t in targets])],
            )
        )
    return section, drawn


def _add_power_law(
    writer: Writer, section: Section, sample: ArchitectureSample, law: pd.DataFrame
) -> None:
    """What the page says of the power law of perplexity.

    :param law: what ``power_law_table`` returned
    """
    space = sample.space
    writer.data(f"power_law-{space}", law)
    if writer.formats:
        writer.figure(f"power_law-{space}", draw_power_law(sample, law))
    section.add(
        page.heading("Power law of perplexity"),
        page.paragraph(
            "perplexity = c · l^x1 · e^x2 · m^x3 · h^x4 · b^x5, least squares on logarithms, of "
            f"{len(sample.matrix):,} {sample.kind} architectures; R² {law['r2'].iloc[0]:.4f}. "
            "l: layers, e: embedding width; m and h: means of MLP ratio and heads over active "
            "layers; b: 2.718 with a bias, 1 without."
        ),
        page.table(law[SHOWN], f"power-law-table-{space}", f"Coefficients on space {space}"),
        page.plot(
            f"power-law-{space}",
            f"Perplexity by the power law over that of architectures of {space}",
            "Perplexity by the law over perplexity; the dotted line is equality.",
        ),
    )
