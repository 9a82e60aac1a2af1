"""``hwgpt-blackbox report``: tables, figures and a page of the results of experiments."""

from __future__ import annotations

import argparse
from pathlib import Path

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.plotting.style import FORMATS

_EXAMPLE = "example: hwgpt-blackbox report results --out report"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EXAMPLE
    parser.add_argument(
        "results",
        nargs="+",
        metavar="RESULTS",
        help="folders (or URLs) that `hwgpt-blackbox run` made, or experiment folders of Syne Tune",
    )
    parser.add_argument(
        "--out", required=True, type=Path, help="folder of the report; index.html is its page"
    )
    parser.add_argument(
        "--formats",
        nargs="+",
        default=[],
        metavar="FORMAT",
        help=f"write figures for papers too, beside the page: of {', '.join(FORMATS)}",
    )
    parser.add_argument(
        "--no-spaces",
        action="store_true",
        help="leave out what describes the spaces: power law, correlations, distributions",
    )
    parser.add_argument(
        "--device",
        help=f"of {', '.join(DEVICES)} or your own: where experiments of Syne Tune were evaluated, "
        "if their metadata do not say",
    )


def run(args: argparse.Namespace) -> int:
    """Read the results, then write the report."""
    for name in args.formats:
        if name not in FORMATS:
            raise InputError(f"format is {name!r}; choose of {', '.join(FORMATS)}")

    from tqdm import tqdm

    from hwgpt_blackbox.experiments.report import read_results, write_report
    from hwgpt_blackbox.experiments.report.tables import counted

    results = read_results(args.results, device=args.device)
    spaces = {problem.space for problem in results.problems}
    steps = 1 + len(results.problems) + (0 if args.no_spaces else len(spaces))
    with tqdm(total=steps, unit="part", disable=None, delay=1e-3) as bar:

        def progress(name: str) -> None:
            bar.set_description(name)
            bar.update()

        report = write_report(
            results,
            args.out,
            formats=args.formats,
            spaces=not args.no_spaces,
            progress=progress,
        )
    for note in report.notes:
        print(f"note: {note}")
    print(
        f"{counted(len(results.runs), 'run')} of {counted(len(results.problems), 'problem')}, "
        f"{counted(len(report.files), 'file')}"
    )
    print(f"open {report.page}")
    return 0
