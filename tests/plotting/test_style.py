"""What all figures share."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hwgpt_blackbox.errors import OutputError
from hwgpt_blackbox.experiments.report.convergence import draw_convergence
from hwgpt_blackbox.plotting.style import (
    method_styles,
    new_figure,
    plain,
    save_figure,
    scale,
    to_bytes,
)


def curves(*methods: str) -> pd.DataFrame:
    """A table of convergence of two trials a method."""
    quantiles = ("q25", "median", "q75")
    values = {f"{what}_{q}": [0.1, 0.2] for what in ("hypervolume", "regret") for q in quantiles}
    parts = [
        pd.DataFrame({"method": method, "seeds": 1, "axis": axis, "at": [1.0, 2.0], **values})
        for method in methods
        for axis in ("trials", "simulated_hours")
    ]
    return pd.concat(parts, ignore_index=True)


def test_a_method_whose_name_begins_with_an_underscore_is_in_the_legend() -> None:
    """Some versions of matplotlib leave labels out that begin so."""
    figure = draw_convergence(curves("RS", "_own:factory"))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["RS", "own:factory"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("RE (denoised)", "RE (denoised)"),
        ("a\nb\x1b[2J", "a b [2J"),
        ("$x_{1$", r"\$x_{1\$"),
        ("__", "?"),
        ("x" * 50, "x" * 39 + "…"),
    ],
)
def test_names_are_shown_plain(name: str, shown: str) -> None:
    assert plain(name) == shown


def test_methods_have_the_same_style_in_every_figure_of_a_report() -> None:
    assert method_styles(["RS", "LS"]) == method_styles(["LS", "RS", "LS"])
    assert len(set(method_styles("ABCDEFGH").values())) == 8


def test_an_axis_is_logarithmic_and_has_prefixes_where_values_ask_for_it() -> None:
    figure, panels = new_figure(1, 3, (6.0, 2.0))
    for axes, values in zip(panels.flat, ([1.0, 7.9], [1.0, 8.0], [1e5, 2e5]), strict=True):
        axes.plot(values, values)
        scale(axes, "x", pd.Series(values))
    figure.canvas.draw()
    assert [axes.get_xscale() for axes in panels.flat] == ["linear", "log", "linear"]
    assert panels[0, 2].xaxis.get_major_formatter()(2e5) == "200k"


@pytest.mark.parametrize("kind", ["svg", "pdf", "png"])
def test_same_figure_same_bytes(kind: str) -> None:
    assert to_bytes(draw_convergence(curves("RS")), kind) == to_bytes(
        draw_convergence(curves("RS")), kind
    )


def test_a_figure_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    figure, _ = new_figure(1, 1, (2.0, 2.0))
    (tmp_path / "taken.svg").mkdir()
    with pytest.raises(OutputError, match="could not be written"):
        save_figure(figure, tmp_path / "taken", ["svg"])
    assert [path.name for path in tmp_path.iterdir()] == ["taken.svg"]
