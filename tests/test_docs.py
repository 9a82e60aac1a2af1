"""The documentation builds without a warning, is complete, and asks nobody outside for anything."""

from __future__ import annotations

import base64
import html.parser
import importlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
from doc_examples import ROOT
from notebooks import execute, figures, texts

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Elements that load something, and the attribute that says what."""


class Page(html.parser.HTMLParser):
    """Identifiers, links and loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.identifiers: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.identifiers |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        if tag in LOADED and values.get("rel") != "canonical":
            self.loaded.add(values.get(LOADED[tag], ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    command += ["-d", str(folder / "doctrees"), str(ROOT / "docs"), str(folder / "html")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_site(site: Path) -> None:
    """One test, so that the site is built once."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 20
    for path, page in pages.items():
        check_links(path, page, pages)
    for style in site.rglob("*.css"):
        outside = re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", style.read_text("utf-8"))
        assert outside == [], style
    documented = {name.rsplit(".", 1)[-1] for page in pages.values() for name in page.identifiers}
    for module in ("", ".optimizers", ".fronts", ".convert", ".profiling", ".experiments.report"):
        public = set(importlib.import_module(f"hwgpt_blackbox{module}").__all__)
        assert public - documented <= {"__version__"}, module
    text = "".join(path.read_text("utf-8") for path in pages)
    assert str(ROOT) not in text


def check_links(path: Path, page: Page, pages: dict[Path, Page]) -> None:
    """Every link leads somewhere, and nothing is loaded from outside."""
    for target in page.loaded | page.links:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            assert target in page.links or parts.scheme == "data", f"{path.name} loads {target}"
            continue
        found = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        assert found.exists(), f"{path.name} links to {target}"
        if parts.fragment and found in pages:
            known = pages[found].identifiers
            assert unquote(parts.fragment) in known, f"{path.name} links to {target}"


@pytest.mark.parametrize("notebook", [pytest.param(p, id=p.name) for p in NOTEBOOKS])
def test_notebook_shows_what_it_computes(notebook: Path, tmp_path: Path) -> None:
    stored = nbformat.read(notebook, as_version=4)
    fresh = execute(notebook, tmp_path)
    assert texts(fresh) == texts(stored)
    assert len(figures(fresh)) == len(figures(stored)) >= 1
    for one, other in zip(figures(fresh), figures(stored), strict=True):
        difference = np.abs(pixels(one) - pixels(other)).mean()
        assert difference < 0.02, "a stored figure is not what the notebook draws"


def pixels(png: str) -> np.ndarray:
    """Brightness of a figure's parts, 0 to 1, shape (48, 64): fonts differ between machines."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("L")
    return np.asarray(image.resize((64, 48), Image.Resampling.BOX), dtype=float) / 255


@pytest.mark.parametrize("notebook", [pytest.param(p, id=p.name) for p in NOTEBOOKS])
def test_notebook_is_the_same_everywhere(notebook: Path) -> None:
    text = notebook.read_text("utf-8")
    stored = json.loads(text)
    assert not any(cell["metadata"] for cell in stored["cells"])
    assert set(stored["metadata"]["language_info"]) == {"name"}
    without_figures = re.sub(r'"image/png": "[^"]*"', "", text)
    assert re.findall(r"/(?:home|root|tmp|work)/|20\d\d-\d\d-\d\d", without_figures) == []


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS
