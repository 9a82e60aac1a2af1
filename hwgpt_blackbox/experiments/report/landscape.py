"""Correlations of the metrics of a space, and their distributions by hyperparameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.experiments.architecture_sample import ArchitectureSample, sample_architectures
from hwgpt_blackbox.plotting.style import (
    DIVERGING,
    MAX_LEGEND,
    axis_label,
    distinct,
    new_figure,
    unit_suffix,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLE_SIZE, SAMPLE_SEED = 3_000, 1
LEVELS = np.linspace(0.0, 1.0, 41)
"""Levels of the empirical distributions."""

_BINS = ("lowest third", "middle third", "highest third")


def space_sample(
    space: str, *, size: int = SAMPLE_SIZE, measured: bool = True
) -> ArchitectureSample:
    """Architectures to describe a space with, and their values on every device.

    :param size: how many at most
    :param measured: use rows of the table artifact where one is at hand; else, or without, a
        uniform sample of the surrogate
    """
    return sample_architectures(
        space, ALL_DEVICES, None, size=size, seed=SAMPLE_SEED, measured=measured
    )


def correlation_table(sample: ArchitectureSample) -> pd.DataFrame:
    """Kendall's tau-b of every pair of metrics and devices.

    :return: columns ``space``, ``sample``, ``a``, ``b``, ``kendall_tau``; every ordered pair
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    taus = sample.values.corr(method="kendall").rename_axis("b").reset_index()
    table = taus.melt("b", var_name="a", value_name="kendall_tau")
    return table.assign(space=sample.space, sample=sample.kind)[
        ["space", "sample", "a", "b", "kendall_tau"]
    ]


def draw_correlations(table: pd.DataFrame) -> Figure:
    """Draw what :func:`correlation_table` computed: a matrix of colours.

    :raises MissingExtraError: matplotlib is not installed
    """
    names = list(dict.fromkeys(table["a"]))
    taus = table.pivot_table(index="a", columns="b", values="kendall_tau", sort=False)
    taus = taus.loc[names, names]
    figure, panels = new_figure(1, 1, (8.2, 7.4))
    axes = panels[0, 0]
    image = axes.imshow(taus.to_numpy(), cmap=DIVERGING, vmin=-1, vmax=1)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    bar = figure.colorbar(image, ax=axes, shrink=0.7)
    bar.set_label("Kendall's tau", fontsize=8)
    return figure


def distribution_table(sample: ArchitectureSample, targets: Sequence[str]) -> pd.DataFrame:
    """Empirical distributions of metrics, by the value of each hyperparameter.

    MLP ratio and heads: the mean over active layers, in thirds of the architectures.

    :param targets: objectives to describe
    :return: columns ``space``, ``sample``, ``objective``, ``hyperparameter``, ``value`` (text),
        ``architectures``, ``level`` (0 to 1) and ``quantile`` (natural units)
    """
    groups: list[tuple[str, str, NDArray[np.bool_]]] = []
    for name, series in sample.hyperparameters.items():
        values = series.to_numpy()
        if str(name) in ("mlp_ratio", "num_heads"):
            third = np.minimum(2, 3 * np.argsort(np.argsort(values, kind="stable")) // len(values))
            groups += [(str(name), text, third == i) for i, text in enumerate(_BINS)]
        else:
            groups += [(str(name), f"{v:g}", values == v) for v in np.unique(values)]
    parts = []
    for target in targets:
        column = sample.values[target].to_numpy()
        for name, text, mask in groups:
            if mask.any():
                parts.append(
                    pd.DataFrame(
                        {
                            "space": sample.space,
                            "sample": sample.kind,
                            "objective": target,
                            "hyperparameter": name,
                            "value": text,
                            "architectures": int(mask.sum()),
                            "level": LEVELS,
                            "quantile": np.quantile(column[mask], LEVELS),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_distributions(table: pd.DataFrame) -> Figure:
    """Draw what :func:`distribution_table` computed: a row per objective.

    :raises MissingExtraError: matplotlib is not installed
    """
    targets = list(dict.fromkeys(table["objective"]))
    names = list(dict.fromkeys(table["hyperparameter"]))
    figure, panels = new_figure(
        len(targets), len(names), (2.4 * len(names), 2.1 * len(targets)), ticks=7
    )
    for i, target in enumerate(targets):
        metric, _, device = target.partition("@")
        column = Column(metric, device or None)
        for j, name in enumerate(names):
            axes = panels[i, j]
            part = table[(table["objective"] == target) & (table["hyperparameter"] == name)]
            groups = part.groupby("value", sort=False)
            for colour, (value, rows) in zip(distinct(len(groups)), groups, strict=True):
                text = ("off", "on")[int(value)] if name == "bias" else str(value)
                axes.plot(rows["quantile"], rows["level"], color=colour, lw=1.3, label=text)
            axes.set_xlabel(axis_label(column), fontsize=7)
            if not unit_suffix(column.metric) and part["quantile"].max() > 1e5:
                axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
                axes.xaxis.get_offset_text().set_fontsize(7)
            if i == 0:
                axes.set_title(name, fontsize=9)
                if len(groups) <= MAX_LEGEND:
                    axes.legend(frameon=False, fontsize=6, loc="best", handlelength=1)
        panels[i, 0].set_ylabel("share of architectures", fontsize=7)
    return figure
