"""Figures of a report card. Each is two functions: one computes a tidy table, one draws it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.design import Array
from hwgpt_blackbox.convert.evaluation import COVERAGES
from hwgpt_blackbox.convert.output import writing
from hwgpt_blackbox.convert.report_card import Trial, pit_levels
from hwgpt_blackbox.encoding import NUM_LAYERS
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.metrics import METRICS, Column
from hwgpt_blackbox.predictor import Predictor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png")
COLOURS = ("#0072B2", "#D55E00", "#009E73")
"""Okabe and Ito (2008), safe for colour blindness."""

TARGET, MEASURED, PREDICTED = "target", "measured", "predicted"
FACTOR, GROUP, LEVEL = "factor", "group", "level"

POINTS, POINT_SEED = 1_500, 0
"""Architectures of a cloud of points at most, and the seed that chooses them."""

QQ_LEVELS = np.r_[0.0005, 0.001, 0.002, 0.005, np.arange(1, 100) / 100, 0.995, 0.998, 0.999, 0.9995]
"""Levels at which measurements and predictive distributions are compared."""

CURVE_LEVELS = np.linspace(0.0, 1.0, 101)
"""Levels of an empirical distribution that is drawn."""

PANEL_COLUMNS = 5


# -- predicted against measured --------------------------------------------------------------


def predicted_table(trial: Trial, targets: Sequence[str]) -> pd.DataFrame:
    """Mean of the measurements and expected value of architectures.

    :return: columns ``target``, ``measured``, ``predicted``, natural units
    """
    rows = np.random.default_rng(POINT_SEED).permutation(len(trial.sample))[:POINTS]
    expected = trial.expected(targets)
    parts = []
    for j, name in enumerate(targets):
        values = trial.noisy[name].mean(axis=1) if name in trial.noisy else trial.exact[name]
        frame = pd.DataFrame({MEASURED: values[rows], PREDICTED: expected[rows, j]})
        parts.append(frame.assign(**{TARGET: name}).dropna())
    return pd.concat(parts, ignore_index=True)[[TARGET, MEASURED, PREDICTED]]


def draw_predicted(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`predicted_table` computed, one panel per target."""

    def draw(axes: Axes, part: pd.DataFrame, name: str) -> None:
        axes.scatter(
            part[MEASURED],
            part[PREDICTED],
            s=3,
            color=COLOURS[0],
            alpha=0.35,
            linewidths=0,
            rasterized=True,
        )
        ends = [float(part[[MEASURED, PREDICTED]].min().min())]
        ends.append(float(part[[MEASURED, PREDICTED]].max().max()))
        axes.plot(ends, ends, color="black", linewidth=0.7)
        unit = METRICS[name.partition("@")[0]].unit
        _name(axes, name + ("" if unit == "1" else f" ({unit})"))

    return _panels(table, draw, title, "measured", "predicted")


# -- calibration -----------------------------------------------------------------------------


def calibration_table(trial: Trial, targets: Sequence[str]) -> pd.DataFrame:
    """Quantiles of the levels of measurements in their predictive distributions.

    :param targets: noisy targets
    :return: columns ``target``, ``level`` (nominal) and ``measured`` (quantile of the levels at
        it: equal if calibrated)
    """
    parts = []
    for name in targets:
        found = np.quantile(pit_levels(trial, name), QQ_LEVELS)
        parts.append(pd.DataFrame({TARGET: name, LEVEL: QQ_LEVELS, MEASURED: found}))
    return pd.concat(parts, ignore_index=True)


def draw_calibration(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`calibration_table` computed: Q-Q in standard deviations of a normal."""
    normal = NormalDist()

    def probit(levels: Any) -> list[float]:
        return [normal.inv_cdf(min(max(float(level), 1e-5), 1 - 1e-5)) for level in levels]

    def draw(axes: Axes, part: pd.DataFrame, name: str) -> None:
        axes.plot([-3.5, 3.5], [-3.5, 3.5], color="black", linewidth=0.7)
        axes.plot(
            probit(part[LEVEL]), probit(part[MEASURED]), ".-", color=COLOURS[0], ms=3, lw=1.0
        )
        axes.set_xlim(-3.5, 3.5)
        axes.set_ylim(-4.3, 4.3)
        _name(axes, name)

    return _panels(table, draw, title, "nominal quantile (normal score)", "measured (normal score)")


def coverage_table(section: Mapping[str, Any]) -> pd.DataFrame:
    """Coverage of central intervals by noisy target of a section of a card.

    :return: columns ``target``, ``level`` (nominal) and ``measured`` (share within)
    """
    rows = [
        {TARGET: name, LEVEL: level, MEASURED: row[f"coverage_{100 * level:g}"]}
        for name, row in section["targets"].items()
        for level in COVERAGES
        if row.get(f"coverage_{100 * level:g}") is not None
    ]
    return pd.DataFrame(rows, columns=[TARGET, LEVEL, MEASURED])


def draw_coverage(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`coverage_table` computed: a row per target, a panel per level."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(table[TARGET]))[::-1]
    figure = Figure(figsize=(9.0, 1.4 + 0.2 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(COVERAGES), sharey=True, squeeze=False)[0]
    for axes, level, colour in zip(panels, COVERAGES, COLOURS, strict=True):
        part = table[table[LEVEL] == level].set_index(TARGET)[MEASURED].reindex(names)
        axes.axvline(level, color="black", linewidth=0.8)
        axes.plot(part.to_numpy(), range(len(names)), "o", color=colour, ms=4)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        room = 1.15 * float(np.nanmax(np.abs(part - level), initial=(1.0 - level) / 10.0))
        axes.set_xlim(level - room, min(level + room, 1.0 + room / 20))
        axes.set_xlabel(f"share within the central {100 * level:g} %", fontsize=8)
        axes.grid(axis="y", linewidth=0.3)
        _dress(axes)
    figure.suptitle(title, fontsize=10)
    return figure


# -- empirical distributions -----------------------------------------------------------------


def groups(trial: Trial) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Rows of the architectures by factor and group.

    The MLP ratio varies over layers: architectures are grouped in thirds of its mean over them.

    :return: factor to label to mask of shape (n,)
    """
    sample, space = trial.sample, trial.sample.space
    mlp, _, active = sample.layers
    ratio = np.where(active, np.array(space.mlp_ratios)[mlp], 0).sum(axis=1) / active.sum(axis=1)
    low, high = np.quantile(ratio, (1 / 3, 2 / 3))
    depth = sample.matrix[:, NUM_LAYERS]
    return {
        "embed_dim": {str(e): sample.embed == k for k, e in enumerate(space.embed_dims)},
        "num_layers": {str(n): depth == k for k, n in enumerate(space.num_layers)},
        "mean mlp_ratio": {
            f"below {low:.2f}": ratio < low,
            "between": (ratio >= low) & (ratio <= high),
            f"above {high:.2f}": ratio > high,
        },
    }


def distribution_table(trial: Trial, targets: Sequence[str]) -> pd.DataFrame:
    """Empirical distributions of targets by embed_dim, num_layers and MLP ratio.

    :return: columns ``target``, ``factor``, ``group``, ``level``, and the quantiles at it of what
        was ``measured`` and of as many measurements drawn from the models (``predicted``)
    """
    predictor = Predictor(trial.surrogate, [Column(*name.split("@")) for name in targets])
    drawn = predictor.measurements(trial.sample.matrix, np.zeros(1, dtype=np.uint64))
    parts = []
    for j, name in enumerate(targets):
        values: Array = trial.noisy[name] if name in trial.noisy else trial.exact[name][:, None]
        known = np.isfinite(values).all(axis=1)
        for factor, labels in groups(trial).items():
            for label, mask in labels.items():
                rows = mask & known
                if not rows.any():
                    continue
                parts.append(
                    pd.DataFrame(
                        {
                            TARGET: name,
                            FACTOR: factor,
                            GROUP: label,
                            LEVEL: CURVE_LEVELS,
                            MEASURED: np.quantile(values[rows], CURVE_LEVELS),
                            PREDICTED: np.quantile(drawn[rows, j], CURVE_LEVELS),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def draw_distributions(table: pd.DataFrame, title: str) -> Figure:
    """Draw what :func:`distribution_table` computed: a row per target, a panel per factor."""
    from matplotlib.figure import Figure

    names, factors = (list(dict.fromkeys(table[key])) for key in (TARGET, FACTOR))
    figure = Figure(figsize=(9.0, 0.8 + 1.7 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), len(factors), squeeze=False, sharey=True)
    for i, name in enumerate(names):
        mine = table[table[TARGET] == name]
        # A few repeats are a thousand times the median: the axis ends where 99 % do.
        inner = mine[(mine[LEVEL] > 0.005) & (mine[LEVEL] < 0.995)][MEASURED]
        for axes, factor in zip(panels[i], factors, strict=True):
            part = mine[mine[FACTOR] == factor]
            for colour, (label, curve) in zip(
                COLOURS, part.groupby(GROUP, sort=False), strict=False
            ):
                axes.plot(curve[MEASURED], curve[LEVEL], color=colour, lw=1.3, label=str(label))
                axes.plot(curve[PREDICTED], curve[LEVEL], color="black", lw=0.8, ls=":")
            axes.set_xlim(inner.min() * 0.97, inner.max() * 1.03)
            if inner.max() > 6 * inner.min():
                axes.set_xscale("log")
            unit = METRICS[name.partition("@")[0]].unit
            axes.set_xlabel(name + ("" if unit == "1" else f" ({unit})"), fontsize=7, labelpad=1)
            axes.legend(fontsize=6, frameon=False, title=factor, title_fontsize=6)
            _dress(axes)
    figure.suptitle(title, fontsize=10)
    figure.supylabel("share of measurements below", fontsize=8)
    return figure


# -- all of them -----------------------------------------------------------------------------


def make_figures(
    card: Mapping[str, Any], trials: Sequence[Trial]
) -> dict[str, Callable[[], Figure]]:
    """Name to what makes the figure, of everything that is at hand.

    :param card: a report card
    :param trials: what it was computed from; may be empty
    :raises MissingExtraError: matplotlib is not installed
    """
    require("matplotlib", extra="analysis")
    found: dict[str, Callable[[], Figure]] = {}
    for part in card["sections"]:
        if any("coverage_50" in row for row in part["targets"].values()):
            name = _file_name(part["split"], part["seed"])
            title = f"{card['space']}, {name}: coverage of central intervals"
            found[f"{name}-coverage"] = lambda part=part, title=title: draw_coverage(
                coverage_table(part), title
            )
    for trial in trials:
        space = trial.sample.space.name
        kinds = _kinds(trial)
        split = trial.split
        name = _file_name(split.kind, split.seed) if split else _file_name("in sample", None)
        for kind, targets in kinds.items():
            if split is None:
                found[f"distribution-{kind}"] = lambda t=trial, n=targets, s=space, k=kind: (
                    draw_distributions(
                        distribution_table(t, n),
                        f"{s}: distribution of {k}; dotted: drawn from the models",
                    )
                )
                continue
            found[f"{name}-predicted-{kind}"] = lambda t=trial, n=targets, s=space, p=name: (
                draw_predicted(predicted_table(t, n), f"{s}, {p}: predicted against measured")
            )
            if set(targets) <= set(trial.noisy):
                found[f"{name}-calibration-{kind}"] = lambda t=trial, n=targets, s=space, p=name: (
                    draw_calibration(calibration_table(t, n), f"{s}, {p}: calibration")
                )
    return found


def _kinds(trial: Trial) -> dict[str, list[str]]:
    """Targets that share a figure: exact ones, latencies, energies."""
    known = [n for n, values in trial.exact.items() if np.isfinite(values).any()]
    kinds: dict[str, list[str]] = {"exact": known} if known else {}
    for name in trial.noisy:
        kinds.setdefault(name.partition("@")[0], []).append(name)
    return kinds


def _file_name(split: str, seed: int | None) -> str:
    return split.replace(" ", "-") + ("" if seed is None else f"-{seed}")


def save(figure: Figure, path: Path) -> None:
    """Save a figure, the same bytes for the same data; the suffix is its format.

    :raises OutputError: it cannot be written
    """
    from matplotlib import rc_context

    temporary = path.with_name(f".tmp-{path.name}")
    date = {"Date": None} if path.suffix == ".svg" else None
    with writing(path):
        try:
            with rc_context({"svg.hashsalt": "hwgpt-blackbox"}):
                figure.savefig(temporary, format=path.suffix[1:], dpi=150, metadata=date)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _panels(
    table: pd.DataFrame,
    draw: Callable[[Axes, pd.DataFrame, str], None],
    title: str,
    across: str,
    upright: str,
) -> Figure:
    """A grid with a panel per target."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(table[TARGET]))
    columns = min(PANEL_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    size = (max(2.2 * columns, 4.0) + 0.4, 2.1 * rows + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name in zip(panels, names, strict=False):
        draw(axes, table[table[TARGET] == name], name)
        _dress(axes)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(across, fontsize=9)
    figure.supylabel(upright, fontsize=9)
    return figure


def _name(axes: Axes, name: str) -> None:
    axes.set_title(name, fontsize=8)


def _dress(axes: Axes) -> None:
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
