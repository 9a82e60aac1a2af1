"""``hwgpt-blackbox explore``: one page with the exact fronts of a space, for any device."""

from __future__ import annotations

import argparse
import errno
import os
from pathlib import Path

from hwgpt_blackbox.cli.best import SPACE_HELP

_EXAMPLE = "example: hwgpt-blackbox explore --space m --out m.html"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EXAMPLE
    parser.add_argument("--space", default="s", help=f"{SPACE_HELP} (default: s)")
    parser.add_argument("--out", type=Path, help="file of the page (default: explore-SPACE.html)")


def run(args: argparse.Namespace) -> int:
    """Compute the fronts and write the page."""
    from tqdm import tqdm

    from hwgpt_blackbox.experiments.explorer import explorer_page
    from hwgpt_blackbox.storage.atomic_writes import write_file, writing

    out = args.out or Path(f"explore-{Path(args.space).stem}.html")
    with writing(out):  # now, not after minutes
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    with tqdm(unit="step", disable=None, delay=1e-3) as bar:

        def progress(name: str) -> None:
            bar.set_description(name)
            bar.update()

        text = explorer_page(args.space, progress)
    with writing(out):
        write_file(out, text.encode())
    print(f"open {out}")
    return 0
