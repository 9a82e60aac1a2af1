"""Runs the code of Markdown pages as a reader would: block by block, in one folder and session.

Python blocks of a page share a namespace. Shell blocks run in bash, unless they are nothing but
commands of ours; ``pip install`` and ``make`` are only checked. A block of the language ``output``
holds what the one before it prints, exactly.

A comment on the line before a block says what is special about it::

    <!-- test: slow -->                          only with the slow tests, as all that reads SOURCE
    <!-- test: add --trials 5 -->                to every ``hwgpt-blackbox run`` of the block
    <!-- test: slow add --trials 5 -->           both
    <!-- test: hub -->                          with a home of its own, and a hub on loopback
    <!-- test: file mine.toml -->                the block is this file
    <!-- test: not run: needs a cluster -->      checked only: syntax, and options against --help

``python tests/doc_examples.py PAGE...`` writes what pages print into their output blocks.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from helpers import write_table
from loopback_hub import TOKEN, Hub

from hwgpt_blackbox import cli

ROOT = Path(__file__).parents[1]
SOURCE = "path/to/HW-GPT-Bench"
"""What pages write for a checkout of the source data."""

_OURS = re.compile(r"hwgpt-blackbox [^|&;<>$`*]*")
"""A command of ours and nothing else that a shell would do."""

_BLOCK = re.compile(
    r"^(?:<!-- test: (?P<note>.*?) -->\n)?^(?P<indent> *)```(?P<language>[^\n]*)\n"
    r"(?P<code>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    :param page: where it is
    :param line: of its first line of code, from 1
    :param note: what the comment before it says; empty if there is none
    :param output: what it must print; None if the page does not say
    :param span: of the code in the page's text
    """

    page: Path
    line: int
    language: str
    note: str
    code: str
    span: tuple[int, int]
    output: Block | None = None

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def runs(self) -> bool:
        return self.language in ("python", "sh") and not self.note.startswith(("not run", "file"))

    @property
    def slow(self) -> bool:
        """Whether only the slow tests run it; what reads the source data converts it."""
        return self.note.split(" ")[0] == "slow" or (self.language == "sh" and SOURCE in self.code)


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in order, each output with the block that it belongs to."""
    text = page.read_text("utf-8")
    found: list[Block] = []
    for match in _BLOCK.finditer(text):
        block = Block(
            page,
            text.count("\n", 0, match.start("code")) + 1,
            match["language"].strip(),
            match["note"] or "",
            match["code"],
            match.span("code"),
        )
        if block.language == "output":
            assert found and found[-1].runs, f"{block.where}: the output of what?"
            found[-1] = Block(**{**vars(found[-1]), "output": block})
        else:
            found.append(block)
    return found


# -- running ---------------------------------------------------------------------------------


@dataclass
class Session:
    """What the blocks of one page share.

    :param folder: where they run
    """

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "example"})
    hub: Hub | None = None

    def close(self) -> None:
        """Stop what was started."""
        if self.hub is not None:
            self.hub.stop()

    def run(self, block: Block) -> str:
        """Run or check one block; return what it printed."""
        kind, _, rest = block.note.removeprefix("slow ").partition(" ")
        if kind == "file":
            (self.folder / rest).write_text(block.code, encoding="utf-8")
        if not block.runs:
            check(block)
            return ""
        with self._hub() if kind == "hub" else contextlib.nullcontext():
            if block.language == "python":
                return self._python(block)
            return self._shell(block, rest if kind == "add" else "")

    @contextlib.contextmanager
    def _hub(self) -> Iterator[None]:
        """Let the hub be one on loopback, the same for all blocks of the page."""
        if self.hub is None:
            self.hub = Hub()
            write_table(table := self.folder / "table" / "hwgpt-s-tabular")
            repository = self.hub.repository("owner/repo")
            tree = {f"{table.name}/{path.name}": path.read_bytes() for path in table.iterdir()}
            repository.names["v1"] = repository.commit(tree)
        variables = {"HF_ENDPOINT": self.hub.url, "HF_TOKEN": TOKEN}
        variables["HWGPT_BLACKBOX_HOME"] = str(self.folder / "pulled")
        without_xet = mock.patch("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        with mock.patch.dict(os.environ, variables), without_xet:
            yield

    def _python(self, block: Block) -> str:
        code = compile("\n" * (block.line - 1) + block.code, str(block.page), "exec")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
            exec(code, self.names)
        return printed.getvalue()

    def _shell(self, block: Block, extra: str) -> str:
        lines = []
        for line in _commands(block.code):
            if not check_tool(line, block.where):
                lines.append(line + (f" {extra}" if line.startswith("hwgpt-blackbox run") else ""))
        if all(_OURS.fullmatch(line) for line in lines):
            return "".join(self._command(line, block.where) for line in lines)
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", "\n".join(lines)],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, f"{block.where}: {done.stdout}{done.stderr}"
        return done.stdout

    def _command(self, line: str, where: str) -> str:
        """Run one of our commands in this process, which saves the time of importing."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self.folder):
            try:
                code = cli.main(shlex.split(line, comments=True)[1:])
            except SystemExit as left:  # how argparse leaves
                code = int(left.code or 0)
        assert code == 0, f"{where}: {line} left with {code}"
        return printed.getvalue()


def run_page(page: Path, folder: Path, *, slow: bool = False) -> list[str]:
    """Run a page, and compare what it says that its blocks print.

    :param folder: an empty folder
    :param slow: whether the slow blocks run too
    :return: what each block that has an output printed
    """
    printed, wrong = [], []
    with contextlib.closing(Session(folder)) as session:
        for block in blocks_of(page):
            if slow or not block.slow:
                text = session.run(block)
                if block.output is not None:
                    printed.append(text)
                    if text != block.output.code:
                        wrong.append(f"{block.where} printed\n{text}\nbut the page says")
                        wrong.append(block.output.code)
    assert not wrong, "\n".join(wrong)
    return printed


# -- checking what is not run ------------------------------------------------------------------


def check(block: Block) -> None:
    """Check the syntax of a block, and the options of its commands."""
    if block.language == "python":
        compile(block.code, block.where, "exec")
    elif block.language == "toml":
        tomllib.loads(block.code)
    elif block.language == "sh":
        subprocess.run(["bash", "-n"], input=block.code, text=True, check=True)
        for line in _commands(block.code):
            if not check_tool(line, block.where):
                _check_options(line, block.where)


def check_tool(line: str, where: str) -> bool:
    """Whether a line is for ``pip`` or ``make``, which no test runs; such a line is checked."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["pip", "install"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        for extras in re.findall(r"(?:hwgpt-blackbox|\.)\[([\w,-]+)\]", line):
            missing = set(extras.split(",")) - set(project["optional-dependencies"])
            assert not missing, f"{where}: there are no extras {missing}"
        return True
    if words[:1] == ["make"]:
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"{where}: the Makefile has {targets}"
        return True
    return False


def _check_options(line: str, where: str) -> None:
    words = shlex.split(line.rstrip("& "), comments=True)
    if not words or words[0] not in ("hwgpt-blackbox", "dask"):
        return
    program = str(Path(sys.executable).parent / words[0])
    named = itertools.takewhile(lambda word: not word.startswith("-"), words[1:])
    text = subprocess.run([program, *named, "--help"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"--[\w-]+", text.stdout))
    unknown = {word for word in words if word.startswith("--")} - known
    assert not unknown, f"{where}: {words[0]} {words[1]} has no options {unknown}"


def _commands(code: str) -> list[str]:
    """The lines of a script, continued ones joined, without empty ones and comments."""
    lines = code.replace("\\\n", " ").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


# -- writing -----------------------------------------------------------------------------------


def rewrite(page: Path) -> None:
    """Run a page and write what its blocks print into its output blocks."""
    text = page.read_text("utf-8")
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Session(Path(folder))) as session,
    ):
        done = []
        for block in blocks_of(page):
            printed = "" if block.slow else session.run(block)
            if block.output is not None:
                done.append((block.output.span, printed))
    for (start, end), printed in reversed(done):
        text = text[:start] + printed + text[end:]
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name).resolve())
