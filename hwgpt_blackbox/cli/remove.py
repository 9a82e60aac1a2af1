"""``hwgpt-blackbox remove``: delete pulled versions of an artifact from this machine."""

from __future__ import annotations

import argparse

from hwgpt_blackbox.cli.pull import add_home


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("name", metavar="NAME", help="of the artifact")
    parser.add_argument(
        "--revision",
        metavar="REV",
        help="the version: its digest or a commit, or their first digits (default: all)",
    )
    add_home(parser)


def run(args: argparse.Namespace) -> int:
    """Remove, and say what went."""
    from hwgpt_blackbox.hosting import cached, remove

    gone = remove(args.name, args.revision, home=args.home)
    for version in gone:
        print(f"removed {version.name} at version {version.digest}")
    if not gone:
        print(f"removed what was left of a download of {args.name}")
    for version in cached(args.home):
        if version.active and any(v.active and v.name == version.name for v in gone):
            print(f"{version.name} is now in use at version {version.digest}")
    return 0
