"""One self-contained HTML page, out of the templates beside this module.

The templates escape every value that enters them: results are hostile input. Plotly's script comes
out of the installed package. What is drawn is embedded once, as compressed JSON. The page's policy
(Content-Security-Policy) admits these scripts by their digests and images out of the page, nothing
else; styles alone are free, as Plotly writes them while it draws.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

MAX_ROWS = 500
"""Rows of a table that the page shows; the data file has all."""


@dataclass
class Section:
    """A part of the page.

    :param anchor: its id: letters, digits and hyphens
    :param title: plain text
    :param parts: HTML, each part made by a function of this module; other text is escaped
    """

    anchor: str
    title: str
    parts: list[str] = field(default_factory=list)

    def add(self, *parts: str) -> None:
        """Append HTML."""
        self.parts += parts


def paragraph(text: str) -> Markup:
    """A paragraph of plain text."""
    return _part("paragraph", text)


def live(anchor: str) -> Markup:
    """A paragraph that the script writes."""
    return _part("live", anchor)


def heading(text: str) -> Markup:
    """A heading of plain text within a section."""
    return _part("heading", text)


def code(text: str) -> Markup:
    """Preformatted plain text."""
    return _part("code", text)


def links(paths: Sequence[str]) -> Markup:
    """Links to files beside the page, by relative path."""
    return _part("links", paths)


def bullets(texts: Sequence[str], kind: str) -> Markup:
    """A list of plain texts.

    :param kind: its class in the style
    """
    return _part("bullets", texts, kind)


def plot(anchor: str, alt: str, caption: str, controls: Sequence[Control] = ()) -> Markup:
    """A place where the script draws a figure.

    :param anchor: its id
    :param alt: what it shows, for those who cannot see it
    :param caption: below it, plain text
    :param controls: above it
    """
    return _part("plot", anchor, alt, caption, controls)


def controls(rows: Sequence[Control], anchor: str) -> Markup:
    """Choices for all figures, which stay in view, and a place for switches of the script's.

    :param anchor: id of that place
    """
    return _part("controls", rows, anchor)


@dataclass(frozen=True)
class Control:
    """A choice that the script fills or reads.

    :param anchor: its id
    :param label: plain text
    :param options: values and texts; none: the script fills it
    """

    anchor: str
    label: str
    options: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class _Column:
    title: str
    numeric: bool


@dataclass(frozen=True)
class _Cell:
    """A cell: its text, and the number that it sorts by; empty for NaN, None for a text."""

    text: str
    number: str | None = None


def table(frame: pd.DataFrame, anchor: str, caption: str) -> Markup:
    """A table that sorts and filters.

    :param frame: rows to show; beyond 500 they are left to the data file, and the caption says so
    :param anchor: its id
    :param caption: plain text, also the label of the filter
    """
    if len(frame) > MAX_ROWS:
        caption += f" (the first {MAX_ROWS:,} of {len(frame):,} rows; the data file has all)"
        frame = frame.iloc[:MAX_ROWS]
    types = pd.api.types
    columns = [
        _Column(
            str(name).replace("_", " "),
            types.is_numeric_dtype(frame[name]) and not types.is_bool_dtype(frame[name]),
        )
        for name in frame
    ]
    rows = [
        [_cell(value, column.numeric) for value, column in zip(row, columns, strict=True)]
        for row in frame.itertuples(index=False, name=None)
    ]
    return _part("table", anchor, caption, columns, rows)


def _cell(value: Any, numeric: bool) -> _Cell:
    if not numeric:
        return _Cell(str(value))
    amount = float(value)
    if not math.isfinite(amount):
        return _Cell("–", "")
    return _Cell(str(value) if isinstance(value, int) else _number(amount), repr(amount))


def _number(amount: float) -> str:
    """A number for reading: five digits."""
    if amount == int(amount) and abs(amount) < 1e6:
        return f"{int(amount)}"
    if 1e-3 <= abs(amount) < 1e5:
        return f"{amount:#.5g}".rstrip(".")
    return f"{amount:.3e}"


def html(
    title: str,
    lead: str,
    notes: Sequence[str],
    sections: Sequence[Section],
    data: Mapping[str, Any],
    script: str,
) -> str:
    """The whole page.

    :param title: plain text
    :param lead: a sentence below the title, plain text
    :param notes: what a reader must know first, plain texts
    :param sections: in order
    :param data: what the script draws, ready for JSON
    :param script: name of the template that draws it, beside what all pages share
    """
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    page = _templates().get_template("page.html")
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return page.render(
        title=title,
        lead=lead,
        notes=notes,
        sections=sections,
        data=base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii"),
        style=_asset("page.css"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704  (the package's own file)
        script=Markup("\n").join(map(_asset, ("page.js", script))),
    )


@functools.cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    found.filters["digest"] = _digest
    return found


def _part(name: str, *values: Any) -> Markup:
    """A macro of ``parts.html``, filled in."""
    parts: Any = _templates().get_template("parts.html").module
    filled: Markup = getattr(parts, name)(*values)
    return filled


def _asset(name: str) -> Markup:
    """A style or a script, which enters the page as it is."""
    from markupsafe import Markup

    text = files(__package__).joinpath("templates", name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704  (a file of ours)


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
