"""One self-contained HTML page. Every value that enters it is escaped: results are hostile input.

The page's own policy (Content-Security-Policy) admits its one script and style by their digests and
images out of itself, nothing else, so that even markup that slipped through could not act.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import quote

import pandas as pd

from hwgpt_blackbox.experiments.report.assets import SCRIPT, STYLE

MAX_ROWS = 2000
"""Rows of a table that the page shows; the data file has all."""

PIXELS = 100
"""Pixels of an inch of a figure, where the window is wide enough."""

WIDE = 6.5
"""A figure wider than this, in inches, scrolls on a phone instead of shrinking."""


@dataclass
class Section:
    """A part of the page.

    :param anchor: its id: letters, digits and hyphens
    :param title: plain text
    :param parts: HTML, each part made by a function of this module
    :param problem: whether it is one of the sections that the problem filter hides
    """

    anchor: str
    title: str
    parts: list[str] = field(default_factory=list)
    problem: bool = False

    def add(self, *parts: str) -> None:
        """Append HTML."""
        self.parts += parts


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def heading(text: str, level: int = 4) -> str:
    """A heading of plain text."""
    return f"<h{level}>{escape(text)}</h{level}>"


def bullets(texts: Sequence[str], kind: str) -> str:
    """A list of plain texts; ``kind`` is its class."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul class="{escape(kind)}">{items}</ul>'


def code(text: str) -> str:
    """Preformatted plain text."""
    return f'<pre tabindex="0"><code>{escape(text)}</code></pre>'


def links(paths: Sequence[str]) -> str:
    """Links to files beside the page, by relative path."""
    items = "".join(
        f'<li><a href="{escape(quote(path))}">{escape(path)}</a></li>' for path in paths
    )
    return f'<ul class="files">{items}</ul>'


def image(svg: bytes, alt: str, caption: str, size: tuple[float, float]) -> str:
    """A vector figure as a data URI, in which no script can run.

    :param svg: the file
    :param alt: what it shows, for those who cannot see it
    :param size: width and height, inches
    """
    data = base64.b64encode(svg).decode("ascii")
    kind = ' class="wide" tabindex="0"' if size[0] > WIDE else ""
    width = round(size[0] * PIXELS)
    return (
        f'<figure{kind}><img src="data:image/svg+xml;base64,{data}" '
        f'width="{width}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(frame: pd.DataFrame, anchor: str, caption: str) -> str:
    """A table that sorts and filters.

    :param frame: rows to show; beyond 2,000 they are left to the data file, and the caption says so
    :param anchor: its id
    :param caption: plain text, also the label of the filter
    """
    if len(frame) > MAX_ROWS:
        caption += f" (the first {MAX_ROWS:,} of {len(frame):,} rows; the data file has all)"
        frame = frame.iloc[:MAX_ROWS]
    types = pd.api.types
    numeric = [
        types.is_numeric_dtype(frame[name]) and not types.is_bool_dtype(frame[name])
        for name in frame
    ]
    head = "".join(
        f'<th scope="col" aria-sort="none"{_kind(number)}><button type="button">'
        f"{escape(str(name).replace('_', ' '))}</button></th>"
        for name, number in zip(frame, numeric, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(_cell(value, number) for value, number in zip(row, numeric, strict=True))
        + "</tr>"
        for row in frame.itertuples(index=False, name=None)
    )
    label = escape(caption)
    return (
        f'<div class="filter"><label for="filter-{anchor}">Filter</label>'
        f'<input type="search" id="filter-{anchor}" autocomplete="off" '
        f'aria-label="Filter: {label}">'
        f'<span class="count" id="count-{anchor}" role="status"></span></div>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">'
        f'<table class="data" id="{anchor}"><caption hidden>{label}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        f'<p class="count">{label}</p>'
    )


def _kind(number: bool) -> str:
    return ' class="n"' if number else ""


def _cell(value: object, number: bool) -> str:
    if not number:
        return f"<td>{escape(str(value))}</td>"
    amount = float(value)  # type: ignore[arg-type]
    if not math.isfinite(amount):
        return '<td class="n" data-n="">–</td>'
    text = f"{int(amount)}" if isinstance(value, int) else _number(amount)
    return f'<td class="n" data-n="{amount!r}">{text}</td>'


def _number(amount: float) -> str:
    """A number for reading: five digits."""
    if amount == int(amount) and abs(amount) < 1e6:
        return f"{int(amount)}"
    if 1e-3 <= abs(amount) < 1e5:
        return f"{amount:#.5g}".rstrip(".")
    return f"{amount:.3e}"


def html(title: str, lead: str, notes: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole page.

    :param title: plain text
    :param lead: a sentence below the title, plain text
    :param notes: what a reader must know first, plain texts
    :param sections: in order; those of problems are grouped below one heading
    """
    body: list[str] = []
    links_ = [(s.anchor, s.title) for s in sections if not s.problem]
    problems = [s for s in sections if s.problem]
    placed = False
    for section in sections:
        if section.problem and not placed:
            placed = True
            links_.insert(len(body), ("problems", "Problems"))
            body.append(_problem_heading(problems))
        kind = ' class="problem"' if section.problem else ""
        level = 3 if section.problem else 2
        body.append(
            f'<section id="{section.anchor}"{kind}><h{level}>{escape(section.title)}</h{level}>'
            + "\n".join(section.parts)
            + "</section>"
        )
    navigation = "".join(f'<li><a href="#{a}">{escape(t)}</a></li>' for a, t in links_)
    notice = bullets(notes, "notes") if notes else ""
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(STYLE)}'; "
        f"script-src '{_digest(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the results</a>\n'
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n'
        f'<nav aria-label="Sections"><ul>{navigation}</ul></nav>\n{notice}\n'
        f'<main id="main">{"".join(body)}</main>\n<script>{SCRIPT}</script>\n</body></html>\n'
    )


def _problem_heading(problems: Sequence[Section]) -> str:
    items = "".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in problems)
    return (
        '<section id="problems"><h2>Problems</h2><div class="filter">'
        '<label for="find-problem">Show problems with</label>'
        '<input type="search" id="find-problem" autocomplete="off"></div>'
        f'<nav aria-label="Problems"><ul>{items}</ul></nav></section>'
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
