"""``hwgpt-blackbox profile``: measure architectures on this machine, and check what was fitted."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.cli.best import SPACE_HELP
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError

if TYPE_CHECKING:
    from hwgpt_blackbox.domain.spaces import Space
    from hwgpt_blackbox.profiling import Profiled

CHECK_ARCHITECTURES = 20
"""Architectures of ``--check`` if no number is given."""

_OF_A_SET = (
    *("space", "out", "batch", "length", "dtype", "on", "threads", "repeats", "method", "compile"),
    *("convert", "overwrite"),
)
"""Arguments that ``--check`` takes from the set, or that make no sense with it."""

_MEDIAN_SAMPLE = 2_000
"""Random architectures of which the median latency is taken."""

_EXAMPLES = """\
examples:
  hwgpt-blackbox profile --space s --device mylaptop --out m --batch 1 --length 256
                                                             200 architectures; stop it when you
                                                             like, and go on by the same command
  hwgpt-blackbox profile --space s --device mygpu --out m --on cuda --minutes 10 --convert
                                                             as the next device, in ten minutes
  hwgpt-blackbox profile --check m --architectures 20        does the fit hold here?
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog, parser.formatter_class = _EXAMPLES, argparse.RawDescriptionHelpFormatter
    parser.add_argument("--space", help=SPACE_HELP + "; published ones need no measurements")
    parser.add_argument("--device", metavar="NAME", help="what this machine is called")
    parser.add_argument("--out", metavar="DIR", help="folder of the measurement set")
    many = parser.add_mutually_exclusive_group()
    many.add_argument(
        "--architectures",
        type=int,
        metavar="N",
        help=f"how many (default: 200; with --check {CHECK_ARCHITECTURES})",
    )
    many.add_argument("--minutes", type=float, metavar="M", help="stop after this time instead")
    parser.add_argument("--batch", type=int, metavar="N", help="sequences (default: the space's)")
    parser.add_argument(
        "--length", type=int, metavar="N", help="tokens of each (default: the space's)"
    )
    parser.add_argument(
        "--dtype",
        help="float32, bfloat16 or float16, these by autocast (default: float16 on GPUs, float32 "
        "on CPUs)",
    )
    parser.add_argument("--on", help="cpu (default), cuda or cuda:<i>")
    parser.add_argument("--threads", type=int, metavar="N", help="of torch (default: its own)")
    parser.add_argument("--repeats", type=int, metavar="N", help="latencies of each (default: 10)")
    parser.add_argument(
        "--method",
        help="latency is wall time (default), or self time of all kernels by torch's profiler, "
        "which HW-GPT-Bench took",
    )
    parser.add_argument("--compile", action="store_true", help="compile networks by torch.compile")
    parser.add_argument("--seed", type=int, default=0, help="of the design and its order")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument("--convert", action="store_true", help="fit at once, as convert does")
    parser.add_argument(
        "--overwrite", action="store_true", help="with --convert: replace artifacts that exist"
    )
    parser.add_argument(
        "--check",
        metavar="SET",
        help="measure architectures of the front that the fit of this set predicts, and random "
        "ones, under its conditions; print predicted against measured, and draw it",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, and say what to type next; or check."""
    try:
        return _check(args) if args.check else _profile(args)
    except KeyboardInterrupt:
        print("hwgpt-blackbox: rows so far are kept; go on by the same command", file=sys.stderr)
        raise


def _profile(args: argparse.Namespace) -> int:
    from hwgpt_blackbox.profiling import profile
    from hwgpt_blackbox.storage.spaces import find_space

    for name in ("space", "device", "out"):
        if getattr(args, name) is None:
            raise InputError(f"--{name} is missing; or check a set with --check SET")
    if args.overwrite and not args.convert:
        raise InputError("--overwrite goes with --convert; add it, or leave both out")
    space = find_space(args.space)
    if args.convert:
        _check_convert(args, space)
    found = profile(
        space,
        args.device,
        args.out,
        architectures=args.architectures,
        minutes=args.minutes,
        batch=args.batch,
        length=args.length,
        dtype=args.dtype,
        method="wall" if args.method is None else args.method,
        on="cpu" if args.on is None else args.on,
        threads=args.threads,
        repeats=10 if args.repeats is None else args.repeats,
        compiled=args.compile,
        seed=args.seed,
        progress=not args.quiet,
    )
    _say(found)
    if args.convert:
        return _convert(args, space)
    print(f"next: hwgpt-blackbox convert {quote(args.out)}")
    return 0


def _say(found: Profiled) -> None:
    """Print what was measured, and what was not."""
    print(f"{found.path}: {found.architectures} architectures, {found.new} of them new")
    if found.skipped:
        print(f"skipped, too large for the memory here: {', '.join(found.skipped)}")
    if found.no_energy:
        print(f"energy was not measured: {found.no_energy}")
    print(f"the reference architecture changed by {100 * found.change:.1f} % between its visits")


def _check_convert(args: argparse.Namespace, space: Space) -> None:
    """Raise before measuring if what is measured could not be converted.

    :raises InputError: too few architectures are asked for, or the artifact exists
    """
    from hwgpt_blackbox.convert.fitting.expected_value import MIN_CELL, fewest_architectures
    from hwgpt_blackbox.storage.artifact_kinds import artifact_name
    from hwgpt_blackbox.storage.locations import home
    from hwgpt_blackbox.storage.user_devices import check_name, device_artifact

    least = fewest_architectures(space)
    if args.architectures is not None and args.architectures < least:
        raise InputError(
            f"--architectures is {args.architectures}; the fit of --convert needs {least} or more, "
            f"{MIN_CELL} for each embed_dim with and without bias"
        )
    if args.overwrite:
        return
    check_name(args.device)
    published = space.name in SPACES
    name = device_artifact(space.name, args.device) if published else artifact_name(space.name)
    if (home() / name).exists():
        raise InputError(f"{home() / name} exists; replace it with --overwrite, or leave --convert")


def _convert(args: argparse.Namespace, space: Space) -> int:
    """Convert as the command does; then print the best architecture of half of the space."""
    from hwgpt_blackbox.cli import convert, make_parser

    words = ["convert", args.out, *["--overwrite"] * args.overwrite, *["--quiet"] * args.quiet]
    code = convert.run(make_parser("convert").parse_args(words))
    print(_best(space, args.device))
    return code


def _best(space: Space, device: str) -> str:
    """A line: the architecture of the best quality that is faster than half of the space."""
    import numpy as np

    from hwgpt_blackbox.domain.architecture_strings import ArchitectureStrings
    from hwgpt_blackbox.domain.encoding import Encoding
    from hwgpt_blackbox.domain.objectives import Column
    from hwgpt_blackbox.fronts import best
    from hwgpt_blackbox.fronts.layer_sums import surrogate_for
    from hwgpt_blackbox.models.prediction import Predictor

    latency = Column("latency", device)
    surrogate = surrogate_for(space, [latency])
    sample = Encoding(space).sample(_MEDIAN_SAMPLE, np.random.default_rng(0))
    median = float(np.median(Predictor(surrogate, [latency]).expected(sample)))
    quality = next((name for name in ("perplexity", "error") if name in surrogate.models), None)
    if quality is None:
        return (
            f"median latency of the space: {median:.4g} ms; no perplexity is known of space "
            f"{space.name}: hwgpt-blackbox supernet trains and evaluates one"
        )
    found = best(space, quality, {latency.target: median})
    name = ArchitectureStrings(space).to_string(found.row.tolist())
    values: Mapping[str, Any] = found.values
    return (
        f"best {quality} under {median:.4g} ms, the median latency of the space: {name} "
        f"({quality} {values[quality]:.4g}, {values[latency.target]:.4g} ms)"
    )


def _check(args: argparse.Namespace) -> int:
    """Measure what the fit of a set predicts, and print the comparison."""
    from hwgpt_blackbox.convert.judging.device_check import (
        architectures_to_check,
        compare,
        draw_check,
    )
    from hwgpt_blackbox.domain.spaces import Space
    from hwgpt_blackbox.errors import require
    from hwgpt_blackbox.plotting.style import save
    from hwgpt_blackbox.profiling.conditions import ConditionsFile, conditions_of
    from hwgpt_blackbox.profiling.machine import find_place
    from hwgpt_blackbox.profiling.profile import measure
    from hwgpt_blackbox.storage.measurement_set import SPACE_FILE

    for name in ("scipy", "matplotlib"):
        require(name, extra="analysis")
    folder = Path(args.check).expanduser()
    given = [name for name in _OF_A_SET if getattr(args, name) not in (None, False)]
    if given:
        raise InputError(
            f"--check measures under the conditions of the set; leave --{given[0]} out"
        )
    device = args.device or _only_device(folder)
    space = Space.from_file(folder / SPACE_FILE)
    conditions = conditions_of(folder / f"{device}.json")
    ConditionsFile(folder, space, conditions, find_place(conditions.on).facts())  # the same machine
    number = CHECK_ARCHITECTURES if args.architectures is None else args.architectures
    chosen = architectures_to_check(space, device, number, args.seed)
    found = measure(
        space,
        conditions,
        chosen.matrix[_shuffled(len(chosen.matrix), args.seed)],
        folder / "check",
        number=len(chosen.matrix),
        minutes=args.minutes,
        progress=not args.quiet,
    )
    check = compare(chosen, space, found.path, folder / f"{device}.csv")
    print("\n".join(check.lines()))
    figure = found.path.with_suffix(".svg")
    save(draw_check(check, f"{device}, space {space.name}: does the fit hold?"), figure)
    print(f"wrote {figure}")
    return 0


def _only_device(folder: Path) -> str:
    """The device of a set that has one.

    :raises InputError: it has none, or several
    """
    from hwgpt_blackbox.storage.measurement_set import QUALITY

    found = sorted(path.stem for path in folder.glob("*.json") if path.stem != QUALITY)
    if len(found) != 1:
        raise InputError(
            f"{folder} has measurements by profile of {', '.join(found) or 'no device'}; "
            + ("name one with --device" if found else "give the folder of a measurement set")
        )
    return found[0]


def _shuffled(size: int, seed: int) -> Any:
    import numpy as np

    return np.random.default_rng([seed, 3]).permutation(size)
