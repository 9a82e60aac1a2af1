"""What all figures of the report share: panels, colours by method, one legend."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.errors import require
from hwgpt_blackbox.experiments.figures import STYLES, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(rows: int, columns: int, panel: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure that no global state knows, and its panels.

    :param panel: width and height of a panel, inches
    :return: the figure, and an array of axes of shape (rows, columns)
    :raises MissingExtraError: matplotlib is not installed
    """
    require("matplotlib", extra="analysis")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(panel[0] * columns, panel[1] * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    return figure, panels


def method_styles(methods: Iterable[object]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each method: the same for the same set of methods."""
    names = sorted({str(method) for method in methods})
    return dict(zip(names, cycle(STYLES), strict=False))


def shared_legend(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend above all panels, of what one of them holds."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            [plain(label) for label in labels],
            loc="outside upper center",
            ncols=columns,
            frameon=False,
            fontsize=9,
        )
