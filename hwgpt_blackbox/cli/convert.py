"""``hwgpt-blackbox convert``: measurements, and published surrogates, to artifacts."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, SPACES
from hwgpt_blackbox.errors import InputError

if TYPE_CHECKING:
    from hwgpt_blackbox.convert.judging.family_comparison import ComparisonSettings

PARTS = ("tabular", "surrogate")
"""What is made of a checkout without ``--only``."""

PUBLISHED, AUTOGLUON = "published", "autogluon"
"""Published surrogates that ``--only`` may ask for besides."""

FAMILIES = ("xgboost", "lightgbm", "mlp", "conformal-quantile", "autogluon")
"""Families of surrogates that ``--fit`` trains for comparison, as the paper did."""

_OF_TABLES = ("--quality", "--latency-unit", "--energy-unit", "--batch", "--length")
"""What says more of a table of your own."""

_EXAMPLES = """\
examples:
  hwgpt-blackbox convert HW-GPT-Bench --space s                    table and surrogate
  hwgpt-blackbox convert HW-GPT-Bench --space s --only published   the published networks
  hwgpt-blackbox convert my.csv --space s --device mygpu           a device of your own
  hwgpt-blackbox convert my-set                                    a measurement set
  hwgpt-blackbox convert my.csv --space my.toml --device mygpu --quality losses.csv
                                                                   a space of your own, from tables
  hwgpt-blackbox convert HW-GPT-Bench --space s --fit xgboost mlp --targets latency@a100
                                                    a table, and comparison-s.json here or in --out
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    wide = [name for name, space in SPACES.items() if not space.measured]
    parser.epilog, parser.formatter_class = _EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a measurement set; or root of a checkout of HW-GPT-Bench; or with --device a table "
        "or a raw profiler folder",
    )
    parser.add_argument(
        "--space",
        help=f"of a checkout {', '.join(MEASURED_SPACES)}; of a table also {', '.join(wide)}, or a "
        "space file ending in .toml; a measurement set says its own",
    )
    parser.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the artifacts (default: $HWGPT_BLACKBOX_HOME, or Syne Tune's own)",
    )
    parser.add_argument(
        "--only", choices=(*PARTS, PUBLISHED, AUTOGLUON), help="make this artifact alone"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="store the report card in the surrogate, which repeats the fit twice (other "
        "artifacts have theirs without asking)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace artifacts that exist")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    own = parser.add_argument_group("measurements of your own")
    own.add_argument("--device", metavar="NAME", help="fit this device from your table")
    own.add_argument(
        "--quality", metavar="FILE", help="table of perplexity, error or both, of a space of yours"
    )
    own.add_argument("--latency-unit", metavar="UNIT", help="of a table: ms (default), s or us")
    own.add_argument(
        "--energy-unit", metavar="UNIT", help="of a table: Wh (default), kWh, mWh, J or mJ"
    )
    own.add_argument(
        "--batch", type=int, metavar="N", help="sequences of a pass (default: the space's)"
    )
    own.add_argument("--length", type=int, metavar="N", help="tokens of each (default: likewise)")
    own.add_argument(
        "--confirm-units",
        action="store_true",
        help="accept latencies and energies of a size that no device is expected to have",
    )
    published = parser.add_argument_group("published AutoGluon predictors")
    published.add_argument(
        "--trust-pickles",
        action="store_true",
        help="let AutoGluon load its pickles, which can execute any code: your consent",
    )
    add_family_options(parser)


def add_family_options(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of a comparison with other families."""
    compare = parser.add_argument_group("comparison with other families of surrogates")
    compare.add_argument(
        "--fit", nargs="+", choices=FAMILIES, metavar="FAMILY", help=f"of {', '.join(FAMILIES)}"
    )
    compare.add_argument(
        "--targets",
        nargs="+",
        metavar="OBJECTIVE",
        default=["latency@a100", "energy@rtx2080"],
        help="of latency@DEVICE, energy@DEVICE (default: latency@a100 energy@rtx2080)",
    )
    compare.add_argument(
        "--time-limit", type=float, default=60.0, help="seconds for AutoGluon per target"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, and say where the artifacts are and how to load them."""
    modes = {"--device": args.device, "--fit": args.fit, "--only": args.only}
    chosen = [flag for flag, value in modes.items() if value]
    if len(chosen) > 1:
        raise InputError(f"{' and '.join(chosen)} do not go together; give one of them")
    own = [flag for flag in _OF_TABLES if getattr(args, _word(flag)) not in (None, False)]
    if _of_set(args):
        given = [*(["--space"] if args.space else []), *chosen, *own]
        if given:
            raise InputError(
                f"{args.source} is a measurement set, which says its space, devices and units; "
                f"leave {' and '.join(given)} out"
            )
    elif not args.space:
        if not Path(args.source).expanduser().exists():
            raise InputError(f"there is no file or folder {args.source!r}; give the measurements")
        raise InputError(f"{args.source} is no measurement set; give --space")
    elif not args.device and (own or args.confirm_units):
        flags = ", ".join((*_OF_TABLES, "--confirm-units"))
        raise InputError(f"{flags} are for a table with --device")
    if args.report and (args.fit or args.only == "tabular"):
        raise InputError(f"--report is of models; leave it out with {chosen[0]}")
    if args.trust_pickles and args.only != AUTOGLUON:
        raise InputError(f"--trust-pickles is for --only {AUTOGLUON}; leave it out")
    settings = comparison_settings(args)
    if settings:
        return _compare(args, settings)
    folders = _convert(args)
    for folder in folders:
        print(f"wrote {folder}")
    _say_how_to_load(_out(args), folders)
    return 0


def _of_set(args: argparse.Namespace) -> bool:
    """Whether the source is a measurement set; with a device it is a table."""
    from hwgpt_blackbox.storage.measurement_set import is_set

    return not args.device and is_set(Path(args.source).expanduser())


def _word(flag: str) -> str:
    """The name of a flag's value."""
    return flag.removeprefix("--").replace("-", "_")


def _convert(args: argparse.Namespace) -> list[Path]:
    """Make what was asked for; folders of the artifacts."""
    how: dict[str, Any] = {"overwrite": args.overwrite, "progress": not args.quiet}
    source, space, out = args.source, args.space, _out(args)
    if _of_set(args):
        from hwgpt_blackbox.convert.user_device import convert_set

        return convert_set(source, out, confirm_units=args.confirm_units, **how)
    if args.device:
        from hwgpt_blackbox.convert.user_device import convert_tables

        how |= {_word(flag): getattr(args, _word(flag)) for flag in _OF_TABLES}
        how |= {"confirm_units": args.confirm_units}
        return convert_tables(source, space, args.device, out, **how)
    if args.only == PUBLISHED:
        from hwgpt_blackbox.convert.published import convert_published

        return [convert_published(source, space, out, **how)]
    if args.only == AUTOGLUON:
        from hwgpt_blackbox.convert.autogluon import convert_autogluon

        how |= {"trust_pickles": args.trust_pickles}
        return [convert_autogluon(source, space, out, report=args.report, **how)]
    from hwgpt_blackbox.convert import convert

    how |= {part: args.only in (None, part) for part in PARTS}
    return convert(source, space, out, report=args.report, **how)


def comparison_settings(args: argparse.Namespace) -> ComparisonSettings | None:
    """The families that ``--fit`` names, their libraries at hand; None if it is not given."""
    if not args.fit:
        return None
    from hwgpt_blackbox.convert.judging.family_comparison import ComparisonSettings

    return ComparisonSettings(args.fit, args.targets, args.time_limit)


def _compare(args: argparse.Namespace, settings: ComparisonSettings) -> int:
    from hwgpt_blackbox.convert.judging.cards.text import LEGEND, comparison_table
    from hwgpt_blackbox.convert.judging.family_comparison import compare_families

    folder = Path(args.out or ".").expanduser()
    how = {"overwrite": args.overwrite, "progress": not args.quiet}
    path, comparison = compare_families(args.source, args.space, settings, folder, **how)
    print(f"{comparison_table(comparison)}\n\n{LEGEND}")
    print(f"wrote {path}")
    return 0


def _out(args: argparse.Namespace) -> Path:
    from hwgpt_blackbox.storage.locations import home

    return home() if args.out is None else Path(args.out).expanduser()


def _say_how_to_load(out: Path, folders: list[Path]) -> None:
    """Print how the artifacts are loaded."""
    from hwgpt_blackbox.storage.artifact_kinds import kind_of
    from hwgpt_blackbox.storage.locations import HOME_VARIABLE, home

    if out.resolve() != home().resolve():
        print(f"to load them, first: export {HOME_VARIABLE}={quote(str(out.resolve()))}")
    calls = [kind.load for folder in folders if (kind := kind_of(folder.name))]
    print("load with:")
    print("  import hwgpt_blackbox")
    if any(call.startswith("load_blackbox") for call in calls):
        print("  from syne_tune.blackbox_repository import load_blackbox")
    for call in calls:
        print(f"  {call}")
