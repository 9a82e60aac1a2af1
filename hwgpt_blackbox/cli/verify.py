"""``hwgpt-blackbox verify``: is an artifact, and how good is it against its source."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.cli.convert import add_family_options, comparison_settings
from hwgpt_blackbox.errors import InputError, require

if TYPE_CHECKING:
    from hwgpt_blackbox.convert.judging.family_comparison import ComparisonSettings
    from hwgpt_blackbox.convert.judging.holdouts import Evaluation, Split
    from hwgpt_blackbox.convert.judging.judge_artifact import Verification
    from hwgpt_blackbox.storage.artifact_check import CheckedArtifact

BOTH, NONE = "both", "none"
SPLITS = ("random", "blocks", BOTH, NONE)
"""What ``--split`` may ask for."""

FORMATS = ("svg", "png")

_EPILOG = (
    "Without --against: checks the files and shows the stored report card. With it: computes the "
    "card from the measurements, which repeats the fit for each split (about a minute each)."
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("artifact", metavar="ARTIFACT", help="a name (hwgpt-s) or a folder")
    parser.add_argument(
        "--against",
        metavar="SOURCE",
        help="root of a checkout of HW-GPT-Bench; of your own device its measurements",
    )
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default=BOTH,
        help="what is held out: a random fifth as in the paper, blocks of the profiling, both, or "
        "none, which repeats no fit (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="K", help="of the split (default: 42 at random, blocks 0)"
    )
    parser.add_argument("--out", metavar="DIR", help="write report.json and figures there")
    parser.add_argument(
        "--format", choices=FORMATS, default=FORMATS[0], help="of figures (default: %(default)s)"
    )
    parser.add_argument("--store", action="store_true", help="put the card into the artifact")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_family_options(parser)


def run(args: argparse.Namespace) -> int:
    """Check the artifact, then show its stored card or a new one."""
    from hwgpt_blackbox.convert.judging.cards.file import read_card, store_card
    from hwgpt_blackbox.storage.artifact_check import check_artifact, locate
    from hwgpt_blackbox.storage.artifact_kinds import CARD_KINDS

    splits, comparison = _splits(args), comparison_settings(args)
    folder = locate(args.artifact)
    artifact = check_artifact(folder)
    _check_options(args, artifact)
    answer: dict[str, Any] = {
        "artifact": str(folder),
        "kind": artifact.kind,
        "space": artifact.space.name,
        "files": {name: row["sha256"] for name, row in artifact.manifest["files"].items()},
    }
    if "workload" in artifact.manifest:
        answer["workload"] = artifact.manifest["workload"]
    evaluations: Sequence[Evaluation] = ()
    if args.against is None:
        card = read_card(folder) if artifact.kind in CARD_KINDS else None
    else:
        verification = _judge(args, artifact, splits, comparison)
        card, evaluations = verification.card, verification.evaluations
        answer["source"] = str(args.against)
        answer["made_from_this_source"] = verification.made_from_this_source
        if verification.differences:
            answer["differences"] = verification.differences
    answer["report"] = card
    if args.store and card is not None:
        store_card(folder, card)
    _print(answer, as_json=args.json)
    if args.store and not args.json:
        print(f"stored the report card in {folder}")
    if args.out is not None and card is not None:
        paths = _write(Path(args.out).expanduser(), card, evaluations, args.format)
        if not args.json:
            print("\n".join(f"wrote {path}" for path in paths))
    return 0


def _judge(
    args: argparse.Namespace,
    artifact: CheckedArtifact,
    splits: Sequence[Split],
    comparison: ComparisonSettings | None,
) -> Verification:
    """What the source says of an artifact."""
    from hwgpt_blackbox.convert.judging.judge_artifact import CardOptions, judge_artifact
    from hwgpt_blackbox.convert.progress import progress_bar

    with progress_bar(not args.quiet) as progress:
        return judge_artifact(artifact, args.against, CardOptions(splits, comparison, progress))


def _splits(args: argparse.Namespace) -> list[Split]:
    """The splits that were asked for.

    :raises InputError: a seed for no split or for two, or one that the split does not have
    """
    from hwgpt_blackbox.convert.judging.holdouts import DEFAULT_SPLITS, SPLIT_KINDS, Split

    if args.split in (BOTH, NONE):
        if args.seed is not None:
            raise InputError(f"--seed {args.seed} needs --split {' or '.join(SPLIT_KINDS)}")
        return list(DEFAULT_SPLITS) if args.split == BOTH else []
    default = SPLIT_KINDS[args.split].default
    return [Split(args.split, default if args.seed is None else args.seed)]


def _check_options(args: argparse.Namespace, artifact: CheckedArtifact) -> None:
    """Raise at once, before a minute of work, when what was asked for cannot be done.

    :raises InputError: says what is missing
    """
    from hwgpt_blackbox.convert.judging.cards.file import REPORT
    from hwgpt_blackbox.storage.artifact_kinds import BLACKBOXES, CARD_KINDS
    from hwgpt_blackbox.storage.locations import EMBEDDED

    if artifact.kind not in CARD_KINDS and (args.store or args.out is not None):
        raise InputError(
            f"{artifact.folder} is a table of measurements, which has no report card; leave out "
            "--store and --out, or verify the surrogate of the space"
        )
    if args.fit and (artifact.kind != "surrogate" or args.against is None):
        raise InputError("--fit is for a surrogate of a space, with --against SOURCE")
    if args.fit and args.split not in (BOTH, "random"):
        raise InputError("--fit compares on a random split; give --split random, or both")
    if args.store and args.against is None:
        raise InputError("--store needs --against SOURCE: the card is computed from measurements")
    if args.store and args.artifact in BLACKBOXES and artifact.folder.parent == EMBEDDED:
        raise InputError(
            f"{args.artifact} is the one that the package ships; to change it nevertheless, give "
            f"its folder: {artifact.folder}"
        )
    if args.out is not None:
        require("matplotlib", extra="analysis")
        if args.against is None and REPORT not in artifact.manifest["files"]:
            raise InputError(
                f"--out: {artifact.folder} holds no report card; compute one with --against SOURCE"
            )


def _write(
    folder: Path, card: Mapping[str, Any], evaluations: Sequence[Evaluation], suffix: str
) -> list[Path]:
    """Write the card and every figure.

    :raises OutputError: they cannot be written
    """
    from hwgpt_blackbox.convert.judging.cards.file import REPORT, to_json
    from hwgpt_blackbox.convert.judging.cards.plots import make_figures
    from hwgpt_blackbox.plotting.style import save
    from hwgpt_blackbox.storage.atomic_writes import write_file, writing

    paths = [folder / REPORT]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_file(paths[0], to_json(card) + "\n")
    for name, make in make_figures(card, evaluations).items():
        paths.append(folder / f"{name}.{suffix}")
        save(make(), paths[-1])
    return paths


def _print(answer: Mapping[str, Any], *, as_json: bool) -> None:
    from hwgpt_blackbox.convert.judging.cards.drift import drift_lines
    from hwgpt_blackbox.convert.judging.cards.file import COMPARISON, to_json
    from hwgpt_blackbox.convert.judging.cards.text import LEGEND, comparison_table, section_table
    from hwgpt_blackbox.convert.source.user_measurements import DRIFT
    from hwgpt_blackbox.storage.artifact_kinds import CARD_KINDS

    if as_json:
        print(to_json(answer))
        return
    print(f"{answer['artifact']}: a sound {answer['kind']} artifact of space {answer['space']}")
    for name, digest in answer["files"].items():
        print(f"  {name}  sha256 {digest}")
    if "workload" in answer:
        rows = ", ".join(f"{key} {value}" for key, value in answer["workload"].items())
        print(f"  measured on {rows}")
    if "source" in answer:
        said = {True: "made from", False: "not made from", None: "not said to be made from"}
        print(f"  {said[answer['made_from_this_source']]} {answer['source']}")
    for metric, row in answer.get("differences", {}).items():
        print(
            f"  {metric}: {row['differing']:,} values differ from the source, by at most "
            f"{row['largest_relative_difference']:.3g} of it"
        )
    card = answer["report"]
    if card is None:
        if answer["kind"] in CARD_KINDS:
            print(
                "no report card is stored; compute one with: "
                f"hwgpt-blackbox verify {quote(answer['artifact'])} --against SOURCE"
            )
        return
    for section in card["sections"]:
        print(f"\n{section_table(section)}")
    if card.get(COMPARISON):
        print(f"\n{comparison_table(card[COMPARISON])}")
    if card.get(DRIFT):
        print("\n" + "\n".join(drift_lines(card[DRIFT])))
    print(f"\n{LEGEND}")
