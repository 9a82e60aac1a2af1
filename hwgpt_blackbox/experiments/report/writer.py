"""Writes the files of a report, and remembers them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from hwgpt_blackbox.errors import OutputError
from hwgpt_blackbox.experiments.results.files import write_atomically
from hwgpt_blackbox.plotting.style import DPI, to_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATA, FIGURES, PAGE, LATEX = "data", "figures", "index.html", "table.tex"
TITLE = "HW-GPT-Bench experiments"
"""Title of the page; a folder whose page has it holds a report of ours."""

SVG_DPI = 120
"""Of the dense layers of a vector figure, which are images."""


class Writer:
    """Writes tables and figures, and remembers them.

    :param out: folder of the report, made if need be
    :param formats: of the figures' files, of ``svg``, ``pdf``, ``png``
    :raises OutputError: the folder cannot be used
    """

    def __init__(self, out: Path, formats: Sequence[str]) -> None:
        self.out, self.formats = out, tuple(formats)
        self.files: list[str] = []
        if _is_somebody_elses(out):
            raise OutputError(
                f"{out} is not empty and holds no report of hwgpt-blackbox; name a new or an empty "
                "folder"
            )
        try:
            for folder in (DATA, *((FIGURES,) if formats else ())):
                (out / folder).mkdir(parents=True, exist_ok=True)
            if not (out / PAGE).exists():  # says whose the folder is, if this process is killed
                write_atomically(out / PAGE, f"<title>{TITLE}</title>Not complete.".encode())
        except OSError as error:
            raise OutputError(
                f"{out} cannot be used ({error}); name a folder that can be written"
            ) from error

    def text(self, name: str, text: str) -> Path:
        """Write a text file.

        :param name: relative to the folder
        """
        return self._write(name, text.encode("utf-8", errors="replace"))

    def _write(self, name: str, content: bytes) -> Path:
        path = self.out / name
        write_atomically(path, content)
        self.files.append(name)
        return path

    def data(self, name: str, frame: pd.DataFrame) -> None:
        """Write a tidy table as CSV, unless it has no columns."""
        if len(frame.columns):
            self.text(f"{DATA}/{name}.csv", frame.to_csv(index=False))

    def figure(self, name: str, figure: Figure) -> None:
        """Save a figure in every format."""
        for kind in self.formats:
            dpi = SVG_DPI if kind == "svg" else DPI
            self._write(f"{FIGURES}/{name}.{kind}", to_bytes(figure, kind, dpi=dpi))


def _is_somebody_elses(out: Path) -> bool:
    """Whether a folder holds something, but no page of ours."""
    if not (out / PAGE).is_file():
        return out.is_dir() and any(out.iterdir())
    with (out / PAGE).open("rb") as file:
        return f"<title>{TITLE}</title>".encode() not in file.read(1 << 20)
