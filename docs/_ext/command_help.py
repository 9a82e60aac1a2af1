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
    chosen = _subparsers(make_parser(name))[name]
    return "\n".join(map(_formatted, (chosen, *_subparsers(chosen).values())))


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Parsers of the subcommands of a parser, by name."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def _formatted(parser: argparse.ArgumentParser) -> str:
    raw = issubclass(parser.formatter_class, argparse.RawDescriptionHelpFormatter)
    base = argparse.RawDescriptionHelpFormatter if raw else argparse.HelpFormatter
    parser.formatter_class = lambda prog: base(prog, width=_WIDTH)
    return parser.format_help()


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}
