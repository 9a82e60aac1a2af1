"""Which hyperparameters the fronts choose: each method's, and the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.experiments.figures import configuration_matrix, front_rows
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.scores import by_method
from hwgpt_blackbox.fronts import ReferenceFront
from hwgpt_blackbox.plotting.style import MAX_LEGEND, new_figure, plain, shades
from hwgpt_blackbox.storage.spaces import find_space

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXACT = "exact front"
HYPERPARAMETERS = ("embed_dim", "num_layers", "bias", "mlp_ratio", "num_heads")


def shares(encoding: Encoding, matrix: IntMatrix) -> pd.DataFrame:
    """How often each value is chosen; MLP ratio and heads over active layers.

    :param matrix: choice indices, shape (n, columns)
    :return: columns ``hyperparameter``, ``value``, ``share`` (0 to 1)
    """
    active = encoding.active(matrix)
    mlp, heads = encoding.layer_choices(matrix)
    space = encoding.space
    chosen: dict[str, tuple[tuple[int, ...], Any]] = {
        "embed_dim": (space.embed_dims, matrix[:, EMBED_DIM]),
        "num_layers": (space.num_layers, matrix[:, NUM_LAYERS]),
        "bias": ((0, 1), matrix[:, BIAS]),
        "mlp_ratio": (space.mlp_ratios, mlp[active]),
        "num_heads": (space.num_heads, heads[active]),
    }
    rows = []
    for name in HYPERPARAMETERS:
        values, indices = chosen[name]
        counts = np.bincount(np.asarray(indices, dtype=np.int64), minlength=len(values))
        total = max(1, int(counts.sum()))
        rows += [(name, value, n / total) for value, n in zip(values, counts.tolist(), strict=True)]
    return pd.DataFrame(rows, columns=["hyperparameter", "value", "share"])


def choices_table(
    problem: Problem, results: Sequence[StoredRun], reference: ReferenceFront | None = None
) -> pd.DataFrame:
    """What the architectures of each method's front choose, and those of the exact front.

    :param problem: what was optimised
    :param results: its runs; the trials of all seeds of a method are pooled
    :param reference: the exact front
    :return: columns ``problem``, ``front`` (a method, or ``exact front``), ``size``,
        ``hyperparameter``, ``value``, ``share`` (0 to 1)
    """
    encoding = Encoding(find_space(problem.space))
    fronts: list[tuple[str, IntMatrix]] = []
    if reference is not None:
        fronts.append((EXACT, reference.matrix))
    for name, mine in by_method(results).items():
        fronts.append((name, configuration_matrix(encoding, front_rows(mine))))
    parts = []
    for name, matrix in fronts:
        part = shares(encoding, matrix)
        part.insert(0, "problem", problem.name)
        part.insert(1, "front", name)
        part.insert(2, "size", len(matrix))
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def draw_choices(table: pd.DataFrame) -> Figure:
    """Draw what :func:`choices_table` computed: shares as stacked bars, a panel a hyperparameter.

    :raises MissingExtraError: matplotlib is not installed
    """
    fronts = list(dict.fromkeys(table["front"]))
    sizes = {str(f): int(s) for f, s in zip(table["front"], table["size"], strict=True)}
    figure, panels = new_figure(
        1, len(HYPERPARAMETERS), (2.3 * len(HYPERPARAMETERS), 1.2 + 0.3 * len(fronts))
    )
    for j, (axes, name) in enumerate(zip(panels[0], HYPERPARAMETERS, strict=True)):
        part = table[table["hyperparameter"] == name]
        left = np.zeros(len(fronts))
        values = sorted(part["value"].unique())
        for value, shade in zip(values, shades(len(values)), strict=True):
            of_front = part[part["value"] == value].set_index("front")["share"]
            widths = of_front.reindex(fronts).to_numpy(dtype=np.float64)
            label = ("off", "on")[int(value)] if name == "bias" else f"{value:g}"
            axes.barh(range(len(fronts)), widths, left=left, color=shade, height=0.75, label=label)
            left += widths
        labels = [f"{plain(f)} ({sizes[str(f)]:,})" for f in fronts] if j == 0 else []
        axes.set_yticks(range(len(fronts)), labels if j == 0 else [""] * len(fronts))
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        axes.set_title(name, fontsize=9)
        if len(values) > MAX_LEGEND:
            axes.set_title(f"{name}, {values[0]:g} to {values[-1]:g}", fontsize=9)
            continue
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, -0.18),
            ncols=3,
            frameon=False,
            fontsize=8,
            handlelength=1,
            columnspacing=0.8,
            handletextpad=0.3,
        )
    return figure
