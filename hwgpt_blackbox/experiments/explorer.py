"""The explorer: one page with the exact fronts and the models of a space, to ask in the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.errors import InputError, require
from hwgpt_blackbox.experiments.report import page, page_data
from hwgpt_blackbox.fronts import ReferenceFront, best, reference_front
from hwgpt_blackbox.models.surrogate import COUNTED, AdditiveModel, Surrogate
from hwgpt_blackbox.plotting.style import axis_label
from hwgpt_blackbox.storage.spaces import find_measured
from hwgpt_blackbox.storage.surrogates import load_surrogate

TITLE = "HW-GPT-Bench explorer"

LIMITS = (0.25, 0.5, 0.75)
"""Places on the fronts of latency and of energy at which both are limited beforehand: the same
place on both, as else one of the limits decides alone, and its front has the answer."""

_DIGITS = 9
"""Of the coefficients: values agree with ours to six digits at least."""


def explorer_page(space: str, progress: Callable[[str], None] | None = None) -> str:
    """The page of a space, as HTML.

    :param space: ``s``, ``m``, ``l``, or the name or the file of a space of one's own
    :param progress: called with the name of each step when it begins
    :raises InputError: unknown space, or one without models of two objectives
    :raises MissingExtraError: jinja2, plotly or moocore is not installed
    """
    for module in ("jinja2", "plotly", "moocore"):
        require(module, extra="analysis")
    surrogate = load_surrogate(find_measured(space).name)
    begin = progress or (lambda name: None)
    targets = [*surrogate.models, *COUNTED]
    fronts: dict[str, ReferenceFront] = {}
    for pair in objective_pairs(targets):
        begin(" ".join(pair))
        fronts[" ".join(pair)] = reference_front(surrogate.space.name, pair, surrogate=surrogate)
    if not fronts:
        raise InputError(f"space {space} has no two objectives to set against each other")
    found = []
    for minimise, limits in limit_grid(fronts):
        begin(" ".join(limits))
        try:
            found.append(best(surrogate.space.name, minimise, limits, surrogate=surrogate).row)
        except InputError:
            continue  # no architecture meets both
    data = explorer_data(surrogate, targets, fronts, found)
    return page.html(TITLE, _lead(surrogate, fronts), [], _sections(fronts), data, "explorer.js")


def objective_pairs(targets: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pairs whose exact fronts the page holds: quality with all else, and latency with energy."""
    quality = next((name for name in ("perplexity", "error") if name in targets), None)
    others = [t for t in targets if t not in ("perplexity", "error")]
    if quality:
        yield from ((quality, target) for target in others)
    else:
        yield from ((t, "params") for t in others if t not in COUNTED)
    for target in others:
        metric, _, device = target.partition("@")
        if metric == "latency" and f"energy@{device}" in others:
            yield target, f"energy@{device}"


def limit_grid(
    fronts: dict[str, ReferenceFront],
) -> Iterator[tuple[str, dict[str, float]]]:
    """Limits of latency and energy on each device, at which the best is looked for beforehand.

    :return: what is minimised, and the limits
    """
    for front in fronts.values():
        minimise, other = front.names
        metric, _, device = other.partition("@")
        partner = fronts.get(f"{minimise} energy@{device}")
        if metric == "latency" and minimise != other and partner is not None:
            ends = [np.quantile(f.objectives[:, 1], LIMITS).tolist() for f in (front, partner)]
            for latency, energy in zip(*ends, strict=True):
                yield minimise, {other: latency, f"energy@{device}": energy}


def explorer_data(
    surrogate: Surrogate,
    targets: Sequence[str],
    fronts: dict[str, ReferenceFront],
    found: Sequence[NDArray[np.uint8]],
) -> dict[str, Any]:
    """What the page draws and computes with, ready for JSON.

    :param targets: objectives with a model
    :param fronts: by the names of their objectives
    :param found: choice indices of more architectures
    """
    encoding = next(iter(fronts.values())).encoding
    columns = {target: _column(target) for target in targets}
    more = np.array(found, dtype=np.uint8).reshape(-1, encoding.num_columns)
    return {
        "space": surrogate.space.name,
        "choices": page_data.space_data(surrogate.space),
        "objectives": {target: axis_label(column) for target, column in columns.items()},
        "metrics": {target: column.metric for target, column in columns.items()},
        "devices": list(dict.fromkeys(c.device for c in columns.values() if c.device)),
        "models": {target: _model_data(surrogate.model(target)) for target in targets},
        "fronts": {
            name: page_data.architecture_texts(encoding, front.matrix)
            for name, front in fronts.items()
        },
        "found": page_data.architecture_texts(encoding, more),
    }


def _column(target: str) -> Column:
    metric, _, device = target.partition("@")
    return Column(metric, device or None)


def _model_data(model: AdditiveModel) -> dict[str, Any]:
    """A model: axes of its arrays are full or 1, as in the artifact."""

    def array(values: NDArray[np.float64]) -> dict[str, Any]:
        return {"shape": values.shape, "values": page_data.rounded(values.ravel(), _DIGITS)}

    return {
        "link": model.link,
        "intercept": array(model.intercept),
        "effects": [array(part) for part in (model.effect, *model.corrections)],
        "neighbours": [array(part) for part in model.neighbours],
    }


def _lead(surrogate: Surrogate, fronts: dict[str, ReferenceFront]) -> str:
    points = sum(map(len, fronts.values()))
    return (
        f"Space {surrogate.space.name}: {surrogate.space.num_architectures:.3g} architectures, "
        f"{len(fronts)} exact fronts of {points:,} points in all, in expected values. "
        f"hwgpt-blackbox {__version__}."
    )


def _sections(fronts: dict[str, ReferenceFront]) -> list[page.Section]:
    section = page.Section("explore", "The best architectures")
    section.add(
        page.controls(
            [page.Control("pair", "Objectives"), page.Control("device", "Device")], "limits"
        ),
        page.live("statement"),
        page.plot(
            "plot-front",
            "The exact front of two objectives, the limits, and the best architecture within them",
            "The exact front: no architecture of the space is better in both. Choose a point to "
            "see its architecture (by keyboard: Enter, then the arrows); the ring is what is "
            "chosen, or the best within the limits.",
        ),
    )
    devices = page.Section("devices", "The same architecture on each device")
    devices.add(
        page.plot(
            "plot-devices",
            "The exact front on each device, and the place of the chosen architecture",
            "The ring is the chosen architecture: on the line it is optimal for that device too.",
        )
    )
    rows = [
        (*front.names, len(front), "yes" if front.exact else "no", *front.objectives[[0, -1]].T[0])
        for front in fronts.values()
    ]
    columns = ["minimised", "and", "points", "exact", "smallest of the first", "largest"]
    tables = page.Section("fronts", "All fronts")
    table = pd.DataFrame(rows, columns=columns)
    tables.add(page.table(table, "fronts-table", "Fronts on this page; units as in the figures"))
    return [section, devices, tables]
