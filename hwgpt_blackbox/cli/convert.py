"""``hwgpt-blackbox convert``: measurements to artifacts."""

from __future__ import annotations

import argparse

from hwgpt_blackbox.spaces import MEASURED_SPACES

NAME = "convert"
HELP = "measurements to artifacts"

PARTS = ("tabular", "surrogate")
"""What ``--only`` may ask for."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("source", metavar="SOURCE", help="root of a checkout of HW-GPT-Bench")
    parser.add_argument("--space", required=True, choices=MEASURED_SPACES, help="the space")
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the artifacts (default: $HWGPT_BLACKBOX_HOME, or Syne Tune's own)",
    )
    parser.add_argument("--only", choices=PARTS, help="make one of the two artifacts")
    parser.add_argument(
        "--report",
        action="store_true",
        help="store the report card in the surrogate: repeats the fit twice",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace artifacts that exist")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Convert, and say where the artifacts are and how to load them."""
    from pathlib import Path

    from hwgpt_blackbox.convert import convert
    from hwgpt_blackbox.places import HOME_VARIABLE, home

    wanted = {part: args.only in (None, part) for part in PARTS}
    out = home() if args.out is None else Path(args.out).expanduser()
    folders = convert(
        args.source,
        args.space,
        out,
        overwrite=args.overwrite,
        progress=not args.quiet,
        report=args.report,
        **wanted,
    )
    for folder in folders:
        print(f"wrote {folder}")
    if out.resolve() != home().resolve():
        print(f"to load them, first: export {HOME_VARIABLE}={out.resolve()}")
    print("load with:")
    print("  import hwgpt_blackbox")
    print("  from syne_tune.blackbox_repository import load_blackbox")
    for folder in folders:
        print(f'  load_blackbox("{folder.name}")["rtx2080"]')
    return 0
