"""The part of the page about a space: power law, correlations, distributions. No runs needed."""

from __future__ import annotations

from collections.abc import Sequence

from hwgpt_blackbox.experiments.architecture_sample import ArchitectureSample
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report import page
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
"""Objectives whose distributions are drawn; the data file has all."""


def space_section(writer: Writer, space: str, problems: Sequence[Problem]) -> Section:
    """Power law of perplexity, correlations, and distributions by hyperparameter.

    :param problems: those on the space say whose distributions are shown
    """
    sample = space_sample(space)
    correlations = correlation_table(sample)
    targets = sorted({t for p in problems if p.space == space for t in p.targets})
    targets = [target for target in targets if target in sample.values]
    distributions = distribution_table(sample, targets)
    writer.data(f"correlations-{space}", correlations)
    writer.data(f"distributions-{space}", distributions)
    size = f"{len(sample.matrix):,} {sample.kind} architectures"
    section = Section(f"space-{space}", f"Space {space}")
    if "perplexity" in sample.values:
        section.add(*_power_law(writer, sample, size))
    section.add(
        page.heading("Correlations between metrics and devices"),
        writer.figure(
            f"correlations-{space}",
            draw_correlations(correlations),
            f"Matrix of Kendall's tau between all metrics and devices on space {space}",
            f"Kendall's tau of expected values, {size}.",
        ),
        page.heading("Distributions by hyperparameter"),
    )
    if len(distributions):
        shown = distributions[distributions["objective"].isin(targets[:MAX_DISTRIBUTIONS])]
        left = (
            f" The data file has {len(targets)} objectives."
            if len(targets) > MAX_DISTRIBUTIONS
            else ""
        )
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


def _power_law(writer: Writer, sample: ArchitectureSample, size: str) -> list[str]:
    """What the page says of the power law of perplexity.

    :param size: how many architectures of what kind, in words
    """
    law = power_law_table(sample)
    writer.data(f"power_law-{sample.space}", law)
    return [
        page.heading("Power law of perplexity"),
        page.paragraph(
            "perplexity = c · l^x1 · e^x2 · m^x3 · h^x4 · b^x5, least squares on logarithms, of "
            f"{size}; R² {law['r2'].iloc[0]:.4f}. l: layers, e: embedding width; m and h: "
            "means of MLP ratio and heads over active layers; b: 2.718 with a bias, 1 without."
        ),
        page.table(
            law[SHOWN], f"power-law-table-{sample.space}", f"Coefficients on space {sample.space}"
        ),
        writer.figure(
            f"power_law-{sample.space}",
            draw_power_law(sample, law),
            f"Perplexity by the power law over that of architectures of {sample.space}",
            "Perplexity by the law over perplexity; the dotted line is equality.",
        ),
    ]
