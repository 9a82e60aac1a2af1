"""A space without any search: correlations of its metrics, and distributions by hyperparameter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, Column, dataset_columns, parse_objective
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import MissingArtifactError, require
from hwgpt_blackbox.experiments.figures import CLOUD, MEASURED
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.plotting.style import (
    BLUE,
    DIVERGING,
    GREEN,
    ORANGE,
    axis_label,
    new_figure,
    unit_suffix,
)
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.surrogates import read_surrogate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLE_SIZE, SAMPLE_SEED = 3_000, 1
LEVELS = np.linspace(0.0, 1.0, 41)
"""Levels of the empirical distributions."""

_BINS = ("lowest third", "middle third", "highest third")
_COLOURS = (BLUE, ORANGE, GREEN)


@dataclass(frozen=True)
class Sample:
    """Architectures of a space and their expected values.

    :param space: name of the space
    :param kind: ``random`` (uniform, of the surrogate) or ``measured`` (rows of the table)
    :param matrix: choice indices, shape (n, hyperparameters)
    :param values: natural units, a column per objective (``latency@a100``), n rows
    """

    space: str
    kind: str
    matrix: IntMatrix
    values: pd.DataFrame

    @property
    def hyperparameters(self) -> pd.DataFrame:
        """``embed_dim``, ``num_layers``, ``bias``, and means over active layers of the others."""
        encoding = Encoding(get_space(self.space))
        space, active = encoding.space, encoding.active(self.matrix)
        mlp, heads = encoding.layer_choices(self.matrix)
        count = active.sum(axis=1)

        def mean(choices: tuple[int, ...], indices: IntMatrix) -> NDArray[np.float64]:
            total = (np.array(choices)[indices] * active).sum(axis=1)
            return np.asarray(total / count, dtype=np.float64)

        return pd.DataFrame(
            {
                "embed_dim": np.array(space.embed_dims)[self.matrix[:, EMBED_DIM]],
                "num_layers": np.array(space.num_layers)[self.matrix[:, NUM_LAYERS]],
                "bias": self.matrix[:, BIAS].astype(np.int64),
                "mlp_ratio": mean(space.mlp_ratios, mlp),
                "num_heads": mean(space.num_heads, heads),
            }
        )


def space_sample(space: str, *, size: int = SAMPLE_SIZE, measured: bool = True) -> Sample:
    """Architectures to describe a space with.

    :param size: how many at most
    :param measured: use rows of the table artifact where one is at hand; else, or without, a
        uniform sample of the surrogate
    """
    rng = np.random.default_rng(SAMPLE_SEED)
    columns = [c for c in dataset_columns("all").values() if c.metric != ELAPSED_TIME]
    if measured:
        try:
            return _measured(space, columns, size, rng)
        except MissingArtifactError:
            pass
    matrix = Encoding(get_space(space)).sample(size, rng)
    surrogate = read_surrogate(find(artifact_name(space)).path)
    values = Predictor(surrogate, columns).expected(matrix)
    return Sample(space, CLOUD, matrix, pd.DataFrame(values, columns=[c.target for c in columns]))


def _measured(space: str, columns: Sequence[Column], size: int, rng: np.random.Generator) -> Sample:
    folder = find(artifact_name(space, tabular=True)).path
    from hwgpt_blackbox.blackboxes.table_blackbox import TabularBlackbox
    from hwgpt_blackbox.storage.measured_table import Table

    table = Table.read(folder)
    rows = rng.permutation(len(table.matrix))[:size]
    values = {}
    for device in DEVICES:
        blackbox = TabularBlackbox(table, device)
        found = blackbox.expected_values(table.matrix[rows])
        own = dataset_columns(device)
        for j, name in enumerate(blackbox.objectives_names):
            if name in own:
                values[own[name].target] = found[:, j]
    frame = pd.DataFrame({c.target: values[c.target] for c in columns if c.target in values})
    return Sample(space, MEASURED, table.matrix[rows], frame)


def correlation_table(sample: Sample) -> pd.DataFrame:
    """Kendall's tau-b of every pair of metrics and devices.

    :return: columns ``space``, ``sample``, ``a``, ``b``, ``kendall_tau``; every ordered pair
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    from scipy.stats import kendalltau

    names = [str(name) for name in sample.values]
    taus = np.eye(len(names))
    columns = [np.ascontiguousarray(sample.values[name]) for name in names]
    for i in range(len(names)):
        for j in range(i):
            taus[i, j] = taus[j, i] = float(kendalltau(columns[i], columns[j]).statistic)
    n = len(names)
    return pd.DataFrame(
        {
            "space": sample.space,
            "sample": sample.kind,
            "a": np.repeat(names, n),
            "b": np.tile(names, n),
            "kendall_tau": taus.ravel(),
        }
    )


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


def distribution_table(sample: Sample, targets: Sequence[str]) -> pd.DataFrame:
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
        column = parse_objective(target)
        for j, name in enumerate(names):
            axes = panels[i, j]
            part = table[(table["objective"] == target) & (table["hyperparameter"] == name)]
            groups = part.groupby("value", sort=False)
            for colour, (value, rows) in zip(_COLOURS, groups, strict=False):
                text = ("off", "on")[int(value)] if name == "bias" else str(value)
                axes.plot(rows["quantile"], rows["level"], color=colour, lw=1.3, label=text)
            axes.set_xlabel(axis_label(column), fontsize=7)
            if not unit_suffix(column.metric) and part["quantile"].max() > 1e5:
                axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0))
                axes.xaxis.get_offset_text().set_fontsize(7)
            if i == 0:
                axes.set_title(name, fontsize=9)
                axes.legend(frameon=False, fontsize=6, loc="best", handlelength=1)
        panels[i, 0].set_ylabel("share of architectures", fontsize=7)
    return figure
