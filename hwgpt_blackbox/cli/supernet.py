"""``hwgpt-blackbox supernet``: train a supernet, evaluate its sub-networks, extract one."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.cli.best import SPACE_HELP
from hwgpt_blackbox.errors import InputError, require

if TYPE_CHECKING:
    from hwgpt_blackbox.network.supernet import Supernet

_EXAMPLES = """\
examples:
  hwgpt-blackbox supernet train --space mine.toml --text books/ --out net/ --steps 2000
  hwgpt-blackbox supernet evaluate net/ --text net/validation.npy --architectures 1000 --out m/
  hwgpt-blackbox supernet extract net/ --best perplexity --max latency@mylaptop=5 \\
      --out model.safetensors
"""

_TEXT_HELP = "UTF-8 files, folders of them, or files of tokens (.npy, .bin of uint16)"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog, parser.formatter_class = _EXAMPLES, argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _configure_train(actions)
    _configure_evaluate(actions)
    _configure_extract(actions)


def _configure_train(actions: Any) -> None:
    line = "train by the sandwich rule; goes on where it was killed"
    parser = actions.add_parser("train", help=line, description=line)
    parser.add_argument("--space", required=True, help=SPACE_HELP)
    parser.add_argument("--text", required=True, nargs="+", metavar="PATH", help=_TEXT_HELP)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the supernet")
    parser.add_argument("--tokenizer", metavar="FILE", help="tokenizer.json (default: bytes)")
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--batch", type=int, metavar="N", help="sequences (default: the space's)")
    parser.add_argument("--lr", type=float, default=1e-3, help="learning rate (default: 0.001)")
    parser.add_argument(
        "--random",
        type=int,
        default=2,
        metavar="N",
        help="architectures of a step beside the largest and the smallest (default: 2)",
    )
    parser.add_argument(
        "--distill",
        type=float,
        default=0.0,
        metavar="WEIGHT",
        help="of the largest's predictions in the loss of the others, 0 to 1 (default: 0)",
    )
    parser.add_argument(
        "--every",
        type=int,
        metavar="N",
        help="steps between validations, which save (default: a twentieth)",
    )
    parser.add_argument(
        "--alone",
        metavar="FILE",
        help="train this one architecture instead (JSON, or CSV with --row)",
    )
    parser.add_argument("--row", type=int, default=0, metavar="I", help="of FILE, from 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="of each node")
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="machines")
    parser.add_argument("--on", default="auto", help="cpu, cuda, … (default: the best there is)")
    parser.add_argument("--precision", default="32-true", help="32-true, bf16-mixed, 16-mixed")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _configure_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "supernet", metavar="SUPERNET", help="folder of a training, or a checkpoint"
    )
    parser.add_argument("--space", help=f"of a checkpoint: {SPACE_HELP}")


def _configure_evaluate(actions: Any) -> None:
    line = "perplexity and next-token error of sub-networks, into a measurement set"
    parser = actions.add_parser("evaluate", help=line, description=line)
    _configure_source(parser)
    parser.add_argument("--text", required=True, nargs="+", metavar="PATH", help=_TEXT_HELP)
    parser.add_argument("--tokenizer", metavar="FILE", help="default: the training's")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--architectures", type=int, metavar="N", help="drawn uniformly")
    what.add_argument("--configurations", metavar="FILE", help="these: JSON, or CSV")
    parser.add_argument("--out", required=True, metavar="DIR", help="the measurement set")
    parser.add_argument("--seed", type=int, default=0, help="of --architectures")
    parser.add_argument("--batch", type=int, metavar="N", help="sequences (default: the space's)")
    parser.add_argument("--sequences", type=int, metavar="N", help="of the text (default: all)")
    parser.add_argument("--on", default="cpu", help="cpu, cuda or cuda:<i> (default: cpu)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _configure_extract(actions: Any) -> None:
    line = "the weights of one sub-network, and the JSON that build_model reads"
    parser = actions.add_parser("extract", help=line, description=line)
    _configure_source(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--best", metavar="OBJECTIVE", help="the best of the space: perplexity, latency@DEVICE …"
    )
    what.add_argument(
        "--config", metavar="FILE", help="this architecture: JSON, or CSV (a front, a table)"
    )
    parser.add_argument("--row", type=int, default=0, metavar="I", help="of FILE, from 0")
    parser.add_argument(
        "--max",
        dest="limits",
        nargs="+",
        action="extend",
        metavar="OBJECTIVE=NUMBER",
        help="with --best: largest expected values, in ms, Wh or MB",
    )
    parser.add_argument("--out", required=True, metavar="FILE.safetensors")


def run(args: argparse.Namespace) -> int:
    """Train, evaluate or extract."""
    require("torch", extra="network")
    from hwgpt_blackbox.storage.atomic_writes import terminate_as_exit

    with terminate_as_exit():
        return {"train": _train, "evaluate": _evaluate, "extract": _extract}[args.action](args)


def _train(args: argparse.Namespace) -> int:
    from hwgpt_blackbox.network.text import read_text
    from hwgpt_blackbox.network.training import Settings, train
    from hwgpt_blackbox.network.training_files import NOT_LOSSES, VALIDATION
    from hwgpt_blackbox.storage.spaces import find_space

    for path in map(Path, args.text):
        if path.resolve().is_relative_to(Path(args.out).resolve()):
            raise InputError(
                f"--text {path} lies in --out {args.out}, where its tail, which is held out, would "
                "replace it; choose another folder"
            )
    space = find_space(args.space)
    settings = Settings(
        steps=args.steps,
        batch=args.batch,
        learning_rate=args.lr,
        random=args.random,
        distillation=args.distill,
        seed=args.seed,
        every=args.every,
        alone=None if args.alone is None else _architecture(space, args.alone, args.row),
    )
    losses = train(
        space,
        read_text(args.text, vocabulary=space.vocabulary, tokenizer=args.tokenizer),
        args.out,
        settings,
        tokenizer=args.tokenizer,
        accelerator=args.on,
        devices=args.devices,
        nodes=args.nodes,
        precision=args.precision,
        progress=not args.quiet,
    )
    if losses is None:  # a process that helps the first
        return 0
    for name in losses:
        if name not in NOT_LOSSES:
            print(f"{name:12}{losses[name]:10.4f}")
    _draw_losses(Path(args.out))
    print(
        f"supernet in {args.out}; next: hwgpt-blackbox supernet evaluate {quote(args.out)} "
        f"--text {quote(str(Path(args.out) / VALIDATION))} --architectures 1000 --out SET"
    )
    return 0


def _draw_losses(folder: Path) -> None:
    """The curves of a training, where Matplotlib is installed."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is not None:
        from hwgpt_blackbox.plotting.losses import save_losses

        print(f"losses in {save_losses(folder)}")


def _evaluate(args: argparse.Namespace) -> int:
    from hwgpt_blackbox.network.checkpoint import read_state, tokenizer_of
    from hwgpt_blackbox.network.evaluation import evaluate, sample
    from hwgpt_blackbox.network.text import read_text
    from hwgpt_blackbox.storage.measurement_set import read_configurations

    for name in ("architectures", "batch", "sequences"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; expected 1 or more")
    folder = Path(args.supernet)
    if folder.is_dir() and read_state(folder)["settings"].get("alone") is not None:
        raise InputError(
            f"{folder} holds one architecture that was trained alone, no supernet; compare it as "
            "examples/supernet_ranks.py does"
        )
    supernet = _load(args)
    space = supernet.space
    tokenizer = tokenizer_of(args.supernet, args.tokenizer)
    text = read_text(args.text, vocabulary=space.vocabulary, tokenizer=tokenizer)
    if args.architectures is not None:
        configurations = sample(space, args.architectures, args.seed)
    else:
        configurations = read_configurations(space, Path(args.configurations))
    table = evaluate(
        _moved(supernet, args.on),
        text,
        configurations,
        args.out,
        batch=args.batch,
        sequences=args.sequences,
        progress=not args.quiet,
    )
    print(f"quality in {table}; next: hwgpt-blackbox convert {quote(args.out)}")
    return 0


def _extract(args: argparse.Namespace) -> int:
    from hwgpt_blackbox.cli.best import columns_of
    from hwgpt_blackbox.fronts import best
    from hwgpt_blackbox.network.checkpoint import SAFETENSORS, save_model

    out = Path(args.out)
    if out.suffix != SAFETENSORS:
        raise InputError(f"--out is {args.out}; expected a name that ends in {SAFETENSORS}")
    if args.limits and args.best is None:
        raise InputError("--max goes with --best, which finds an architecture; leave it out")
    if args.config and Path(args.config).resolve() == out.with_suffix(".json").resolve():
        raise InputError(
            f"--out {args.out} would write its network over {args.config}; choose another name"
        )
    supernet = _load(args)
    if args.best is None:
        architecture = _architecture(supernet.space, args.config, args.row)
    else:
        minimise, limits = columns_of(supernet.space, args.best, args.limits)
        found = best(supernet.space, minimise.target, {c.target: v for c, v in limits.items()})
        architecture = found.configuration
        for target, value in found.values.items():
            print(f"{target:24}{value:.6g} expected")
    save_model(supernet.extract(architecture), out)
    print(f"weights in {out}, their network in {out.with_suffix('.json')}")
    return 0


def _load(args: argparse.Namespace) -> Supernet:
    """The supernet, of the space that was given or that its folder says."""
    from hwgpt_blackbox.network.checkpoint import load_supernet

    return load_supernet(args.supernet, args.space)


def _moved(supernet: Supernet, device: str) -> Supernet:
    """The supernet on a device.

    :raises InputError: there is none of that name
    """
    try:
        return supernet.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(f"--on {device} cannot be used ({reason:.200})") from None


def _architecture(space: Any, file: str, row: int) -> dict[str, Any]:
    """One architecture of a file."""
    from hwgpt_blackbox.storage.measurement_set import read_configurations

    found = read_configurations(space, Path(file))
    if not 0 <= row < len(found):
        raise InputError(f"--row is {row}; {file} holds {len(found)} architectures, from 0")
    return found[row]
