"""What all figures share: colours, axes, legends, and files that are the same for the same data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.objectives import METRICS, Column
from hwgpt_blackbox.errors import require
from hwgpt_blackbox.storage.atomic_writes import write_file, writing

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "pdf", "png")
DPI = 200
"""Of PNG files, and of the dense layers of vector files, which are images."""

BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, BLACK, BROWN = "#E69F00", "#56B4E9", "#000000", "#8C6D31"
"""Okabe and Ito (2008), safe for colour blindness; brown instead of their yellow."""

STYLES: tuple[tuple[str, str], ...] = (
    (BLUE, "o"),
    (VERMILION, "s"),
    (GREEN, "^"),
    (PURPLE, "D"),
    (ORANGE, "v"),
    (SKY, "P"),
    (BLACK, "X"),
    (BROWN, "*"),
)
"""Colour and marker of each method in turn."""

GREY, DARK_GREY = "#B8BCC2", "#555555"
_SHADES = ("#CFE3F3", "#5BA3D0", "#08519C")
_DISTINCT = (BLUE, ORANGE, GREEN)

MAX_LEGEND = 12
"""Choices up to which a legend names each."""

DIVERGING = "RdBu"
"""Colour map of values around 0."""

MAX_LABEL = 40
"""Characters of a name in a figure; longer ones are cut."""

_LOG_RATIO = 8.0
"""An axis is logarithmic when its largest value is so many times its smallest."""

_PREFIXED = 1e5
"""From here on ticks are written with prefixes: 200k, 5G."""

_LABELS = {
    "memory_float16": "memory, float16",
    "memory_bfloat16": "memory, bfloat16",
    "flops": "FLOPs",
    "params": "parameters",
    "elapsed_time": "evaluation time",
}
"""Metrics whose label is not their name."""

_UNITLESS = ("1", "FLOPs")


def new_figure(
    rows: int,
    columns: int,
    size: tuple[float, float],
    *,
    ticks: float = 8,
    sharey: bool = False,
) -> tuple[Figure, Any]:
    """A figure that no global state knows, and its panels.

    :param size: width and height of the figure, inches
    :param ticks: size of the font at the ticks, points
    :return: the figure, and an array of axes of shape (rows, columns)
    :raises MissingExtraError: matplotlib is not installed
    """
    require("matplotlib", extra="analysis")
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
    for axes in panels.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=ticks)
    return figure, panels


def method_styles(methods: Iterable[object]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each method: the same for the same set of methods."""
    names = sorted({str(method) for method in methods})
    return dict(zip(names, cycle(STYLES), strict=False))


def shared_legend(figure: Figure, axes: Axes, columns: int = 4, **style: Any) -> None:
    """One legend above all panels, of what one of them holds."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=columns,
            frameon=False,
            fontsize=9,
            **style,
        )


def plain(text: object) -> str:
    """A name as a figure shall show it: on one line, cut, and without markup for formulas."""
    name = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    name = name if len(name) <= MAX_LABEL else name[: MAX_LABEL - 1] + "…"
    return name.replace("$", r"\$").lstrip("_") or "?"


def unit_suffix(metric: str) -> str:
    """The unit of a metric behind its name: `` (ms)``; empty if it has none."""
    unit = METRICS[metric].unit
    return "" if unit in _UNITLESS else f" ({unit})"


def axis_label(column: Column) -> str:
    """Label of an axis: what, on which device, in which unit."""
    where = f" on {column.device}" if column.device else ""
    return f"{_LABELS.get(column.metric, column.metric)}{where}{unit_suffix(column.metric)}"


def shades(count: int) -> list[Any]:
    """Colours of ascending choices, from light to dark.

    :param count: how many
    """
    from matplotlib.colors import LinearSegmentedColormap

    if count == len(_SHADES):
        return list(_SHADES)
    steps = LinearSegmentedColormap.from_list("shades", _SHADES)
    return [steps(i / max(1, count - 1)) for i in range(count)]


def distinct(count: int) -> list[Any]:
    """Colours of ascending choices that are told apart as lines.

    :param count: how many
    """
    return list(_DISTINCT[:count]) if count <= len(_DISTINCT) else shades(count + 1)[1:]


def scale(axes: Axes, axis: str, values: pd.Series[float], *, linear: bool = False) -> None:
    """Scale and ticks of one axis.

    :param axis: ``x`` or ``y``
    :param values: what the axis shows, natural units
    :param linear: never logarithmic
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, ScalarFormatter

    ticks = getattr(axes, f"{axis}axis")
    if not linear and values.min() > 0 and values.max() / values.min() >= _LOG_RATIO:
        getattr(axes, f"set_{axis}scale")("log")
        ticks.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ticks.set_minor_formatter(NullFormatter())
        ticks.set_major_formatter(ScalarFormatter())
    if values.max() >= _PREFIXED:
        ticks.set_major_formatter(EngFormatter(sep=""))


def dress(axes: Axes, axis: str, column: Column, values: pd.Series[float]) -> None:
    """Scale, ticks and label of one axis.

    :param axis: ``x`` or ``y``
    :param values: what the axis shows, natural units
    """
    getattr(axes, f"set_{axis}label")(axis_label(column))
    scale(axes, axis, values)


def to_bytes(figure: Figure, kind: str, *, dpi: float = DPI) -> bytes:
    """A figure as a file: the same bytes for the same data.

    :param kind: ``svg``, ``pdf`` or ``png``
    :param dpi: of PNG files, and of the dense layers of vector files
    """
    from matplotlib import rc_context

    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = BytesIO()
    with rc_context({"svg.hashsalt": "hwgpt-blackbox", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=dates.get(kind))
    return buffer.getvalue()


def save(figure: Figure, path: Path) -> None:
    """Save a figure, the same bytes for the same data; the suffix is its format.

    :raises OutputError: it cannot be written
    """
    with writing(path):
        write_file(path, to_bytes(figure, path.suffix[1:]))


def save_figure(figure: Figure, stem: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Save a figure in several formats.

    :param stem: path without suffix
    :param formats: suffixes, of ``svg``, ``pdf``, ``png``
    :return: one file per format
    :raises OutputError: they cannot be written
    """
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in formats]
    for path in paths:
        save(figure, path)
    return paths
