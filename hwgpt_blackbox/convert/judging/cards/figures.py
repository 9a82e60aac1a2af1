"""Which figures a report card has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hwgpt_blackbox.convert.judging.cards.file import COMPARISON
from hwgpt_blackbox.convert.judging.cards.plot_data import (
    calibration_table,
    coverage_table,
    distribution_table,
    families_table,
    predicted_table,
)
from hwgpt_blackbox.convert.judging.cards.plots import (
    draw_calibration,
    draw_coverage,
    draw_distributions,
    draw_families,
    draw_predicted,
)
from hwgpt_blackbox.convert.judging.holdouts import Evaluation
from hwgpt_blackbox.errors import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    Draw = Callable[[pd.DataFrame, str], Figure]

EXACT = "exact"
"""In file names: the metrics without noise."""


def make_figures(
    card: Mapping[str, Any], evaluations: Sequence[Evaluation]
) -> dict[str, Callable[[], Figure]]:
    """Name to what makes the figure, of everything that is at hand.

    :param card: a report card
    :param trials: what it was computed from; may be empty
    :raises MissingExtraError: matplotlib is not installed
    """
    require("matplotlib", extra="analysis")
    space = card["space"]
    found: dict[str, Callable[[], Figure]] = {}

    def add(name: str, draw: Draw, compute: Callable[[], pd.DataFrame], title: str) -> None:
        found[name] = partial(_figure, draw, compute, f"{space}, {title}")

    for part in card["sections"]:
        if any("coverage_50" in row for row in part["targets"].values()):
            name = _file_name(part["split"], part["seed"])
            compute = partial(coverage_table, part)
            add(f"{name}-coverage", draw_coverage, compute, f"{name}: coverage of intervals")
    if card.get(COMPARISON):
        part = card[COMPARISON]
        compute = partial(families_table, part)
        name = _file_name(part["split"], part["seed"])
        add(f"{name}-families", draw_families, compute, f"{name}: families of surrogates")
    for evaluation in evaluations:
        for kind, targets in _kinds(evaluation).items():
            if evaluation.split is None:
                what = "metrics without noise" if kind == EXACT else kind
                title = f"distribution of {what}; dotted: drawn from the models"
                compute = partial(distribution_table, evaluation, targets)
                add(f"distribution-{kind}", draw_distributions, compute, title)
                continue
            name = _file_name(evaluation.split.kind, evaluation.split.seed)
            compute = partial(predicted_table, evaluation, targets)
            title = f"{name}: predicted against measured"
            add(f"{name}-predicted-{kind}", draw_predicted, compute, title)
            if kind != EXACT:
                compute = partial(calibration_table, evaluation, targets)
                title = f"{name}: calibration"
                add(f"{name}-calibration-{kind}", draw_calibration, compute, title)
    return found


def _figure(draw: Draw, compute: Callable[[], pd.DataFrame], title: str) -> Figure:
    return draw(compute(), title)


def _kinds(evaluation: Evaluation) -> dict[str, list[str]]:
    """Targets that share a figure: exact ones, latencies, energies."""
    known = [n for n, values in evaluation.exact.items() if np.isfinite(values).any()]
    kinds: dict[str, list[str]] = {EXACT: known} if known else {}
    for name in evaluation.noisy:
        kinds.setdefault(name.partition("@")[0], []).append(name)
    return kinds


def _file_name(split: str, seed: int | None) -> str:
    return split.replace(" ", "-") + ("" if seed is None else f"-{seed}")
