"""The command line: a table of subcommands, each loaded when it is used."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from typing import Any, NoReturn, TextIO, cast

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import HWGPTError, printable, unknown

COMMANDS: dict[str, str] = {
    "list": "blackboxes, and the artifacts in use",
    "query": "metrics of an architecture",
    "convert": "measurements to artifacts",
    "supernet": "train a supernet on a text; evaluate and extract sub-networks",
    "verify": "soundness and accuracy of an artifact",
    "profile": "measure architectures on this machine",
    "pull": "fetch an artifact",
    "push": "publish an artifact",
    "remove": "delete pulled artifacts",
    "run": "search in simulated time",
    "report": "tables, figures and a page of results",
    "explore": "a page with the exact fronts of a space",
}
"""Every subcommand in one line. Its module here, of the same name, has ``configure(parser)`` and
``run(args) -> exit code``."""

EXIT_ERROR, EXIT_INTERRUPT = 2, 130


class Parser(argparse.ArgumentParser):
    """A parser whose errors show what was typed without control characters."""

    def error(self, message: str) -> NoReturn:
        """Print a usage error and exit."""
        super().error(printable(message))


def make_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The parser; only the chosen subcommand is imported and configured."""
    parser = Parser(prog="hwgpt-blackbox", description="HW-GPT-Bench as Syne Tune blackboxes.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, line in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=line, description=line)
        if name == chosen:
            import_module(f"{__name__}.{name}").configure(subparser)
    return parser


class _Printable:
    """Standard output for names and values out of files: control characters are escaped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Formatter(logging.Formatter):
    """The same for warnings."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Print warnings of the package; once, although Syne Tune prints everybody's."""
    logger = logging.getLogger("hwgpt_blackbox")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(levelname)s: %(message)s"))
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    :param argv: arguments without the program's name; default: the process's
    :return: 0, 2 on an error that is ours to explain, 130 on an interrupt
    """
    words = [*(sys.argv[1:] if argv is None else argv)]  # here ``list`` is the subcommand
    chosen = next((word for word in words if word in COMMANDS), None)
    try:
        if words and not words[0].startswith("-") and words[0] not in COMMANDS:
            raise unknown("command", words[0], COMMANDS)
        arguments = make_parser(chosen).parse_args(words)
        with _warnings_shown(), redirect_stdout(cast(TextIO, _Printable(sys.stdout))):
            code: int = import_module(f"{__name__}.{arguments.command}").run(arguments)
        return code
    except HWGPTError as error:
        print(f"hwgpt-blackbox: {printable(error)}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("hwgpt-blackbox: interrupted", file=sys.stderr)
        return EXIT_INTERRUPT
    except BrokenPipeError:
        sys.stderr.close()  # the reader has left, for instance ``head``
        return 0
