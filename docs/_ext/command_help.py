"""A directive that shows what ``hwgpt-blackbox COMMAND --help`` prints."""

from __future__ import annotations

import argparse
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from hwgpt_blackbox.cli import COMMANDS, make_parser

_WIDTH = 78


class CommandHelp(SphinxDirective):
    """``.. command-help::`` makes one section for each subcommand."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        return [self._section(name) for name in COMMANDS]

    def _section(self, name: str) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(name)], names=[name])
        section += nodes.title(name, name)
        section += nodes.literal_block(_help(name), _help(name), language="text")
        return section


def _help(name: str) -> str:
    """Help of one subcommand, the same on every terminal."""
    parser = make_parser(name)
    commands = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    chosen = commands.choices[name]
    raw = issubclass(chosen.formatter_class, argparse.RawDescriptionHelpFormatter)
    base = argparse.RawDescriptionHelpFormatter if raw else argparse.HelpFormatter
    chosen.formatter_class = lambda prog: base(prog, width=_WIDTH)
    text: str = chosen.format_help()
    return text


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
