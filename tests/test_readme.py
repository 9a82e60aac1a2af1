"""Every code block of the README and of the documentation runs, in an empty home."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from doc_examples import ROOT, SOURCE, Block, Session, blocks_of, run_page

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = {page: blocks_of(page) for page in PAGES}
LANGUAGES = {"python", "sh", "toml", "json", "text", "csv"}
NO_CODE = ("{",)
"""Directives of the generator begin so."""


def named(pages: list[Path]) -> list[object]:
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


SLOW = [page for page in PAGES if any(block.runs and block.slow for block in BLOCKS[page])]


def write_source(folder: Path) -> None:
    """A small generated checkout of the source data, where the pages say that one is."""
    from synthetic_checkout import make_source, write_networks

    for space in ("s", "m", "l"):
        source = make_source(space, n=96)
        write_networks(source.write(folder / SOURCE), source)


def test_there_are_examples() -> None:
    assert sum(block.runs for block in BLOCKS[ROOT / "README.md"]) >= 2
    assert sum(block.runs for page in PAGES for block in BLOCKS[page]) >= 20


@pytest.mark.parametrize("page", named(PAGES))
def test_blocks_name_their_language(page: Path) -> None:
    other = [
        block.where
        for block in BLOCKS[page]
        if block.language not in LANGUAGES and not block.language.startswith(NO_CODE)
    ]
    assert other == []


def test_what_the_readme_links_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert "docs/front.svg" in targets
    assert [target for target in targets if not (ROOT / target).is_file()] == []


@pytest.mark.parametrize("page", named([page for page in PAGES if BLOCKS[page]]))
def test_page(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("page", named(SLOW))
def test_whole_page(page: Path, tmp_path: Path) -> None:
    write_source(tmp_path)
    run_page(page, tmp_path, slow=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", named(SLOW))
def test_whole_page_with_the_source_data(page: Path, tmp_path: Path, source_data: Path) -> None:
    (tmp_path / SOURCE).parent.mkdir(parents=True)
    (tmp_path / SOURCE).symlink_to(source_data.resolve())
    run_page(page, tmp_path, slow=True)


# -- the mechanism ---------------------------------------------------------------------------


def page_of(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    monkeypatch.setattr("doc_examples.ROOT", folder)
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    return page


def test_blocks_of_a_page_share_names_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = page_of(
        tmp_path,
        monkeypatch,
        "```python\nx = 1\nopen('a', 'w').write('here')\n```\n"
        "```sh\ncat a\n```\n```output\nhere```\n```python\nprint(x)\n```\n```output\n1\n```\n",
    )
    text = page.read_text().replace("here```", "here\n```").replace("'here'", "'here\\n'")
    page.write_text(text)
    assert run_page(page, tmp_path) == ["here\n", "1\n"]


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint(2)\n```\n\n```output\n1\n```\n",
        "```python\nraise ValueError\n```\n",
        "```sh\nfalse\n```\n",
        "```sh\nhwgpt-blackbox list --nonsense\n```\n",
        "<!-- test: not run: slow -->\n```python\nx =\n```\n",
        "<!-- test: not run: a cluster -->\n```sh\nhwgpt-blackbox run --nonsense 1\n```\n",
        "<!-- test: not run: a cluster -->\n```sh\nif\n```\n",
    ],
)
def test_what_is_wrong_fails(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(tmp_path, monkeypatch, text)
    with pytest.raises(Exception):  # noqa: B017  (of many kinds)
        run_page(page, tmp_path)


@pytest.mark.parametrize("line", ["pip install 'hwgpt-blackbox[nonsense]'", "make nonsense"])
def test_extras_and_targets_are_checked(line: str, tmp_path: Path) -> None:
    block = Block(ROOT / "README.md", 1, "sh", "", line + "\n", (0, 0))
    with pytest.raises(AssertionError, match=r"nonsense|Makefile"):
        Session(tmp_path).run(block)


def test_slow_blocks_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(tmp_path, monkeypatch, "<!-- test: slow -->\n```sh\ntouch done\n```\n")
    run_page(page, tmp_path)
    assert not os.path.lexists(tmp_path / "done")
    run_page(page, tmp_path, slow=True)
    assert os.path.lexists(tmp_path / "done")
