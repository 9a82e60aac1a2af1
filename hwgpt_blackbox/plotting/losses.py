"""The curves of a training, as two functions: one reads a tidy table, one draws it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hwgpt_blackbox.network.training_files import LOSSES, NOT_LOSSES
from hwgpt_blackbox.plotting.style import STYLES, new_figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_table(folder: Path) -> pd.DataFrame:
    """Validation losses of a training.

    :param folder: of the supernet
    :return: columns ``step``, ``architecture`` and ``loss`` (nats), a row for each validation
    """
    wide = pd.read_csv(folder / LOSSES).drop(columns=[c for c in NOT_LOSSES if c != "step"])
    return wide.melt(id_vars="step", var_name="architecture", value_name="loss")


def draw_losses(table: pd.DataFrame) -> Figure:
    """A curve for each architecture."""
    figure, panels = new_figure(1, 1, (5.0, 3.2))
    axes = panels[0, 0]
    groups = table.groupby("architecture", sort=False)
    for (name, rows), (color, marker) in zip(groups, STYLES, strict=False):
        axes.plot(rows["step"], rows["loss"], color=color, marker=marker, ms=3, label=str(name))
    axes.set_xlabel("step")
    axes.set_ylabel("validation loss (nats)")
    axes.legend(frameon=False)
    return figure


def save_losses(folder: Path) -> Path:
    """Draw the losses of a training into its folder.

    :return: the figure
    """
    path = folder / "losses.svg"
    save(draw_losses(loss_table(folder)), path)
    return path
