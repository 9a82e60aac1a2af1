"""``hwgpt-blackbox query --best``: the best architecture under limits, from the exact front."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.objectives import (
    METRICS,
    PUBLISHED,
    Column,
    Measured,
    dataset_columns,
    parse_objective,
)
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, Space
from hwgpt_blackbox.errors import InputError

if TYPE_CHECKING:
    from hwgpt_blackbox.fronts import BestArchitecture
    from hwgpt_blackbox.models.surrogate import Surrogate

DEFAULT_OBJECTIVE = "perplexity"

SPACE_HELP = f"{', '.join(MEASURED_SPACES)}, or one of your own: its name, or its file (….toml)"
"""What every command says of ``--space``."""

_LABELS = {
    "space": "space",
    "num_layers": "layers",
    "embed_dim": "width",
    "bias": "bias",
    "mlp_ratios": "MLP ratios",
    "num_heads": "heads",
}
"""Keys of an architecture, and what people read."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``--best``."""
    group = parser.add_argument_group("the best architecture of a space, instead of one of yours")
    group.add_argument(
        "--best", action="store_true", help="find it; exact among all architectures of the space"
    )
    group.add_argument(
        "--min",
        dest="minimise",
        metavar="OBJECTIVE",
        help=f"what is minimised (default: {DEFAULT_OBJECTIVE}): perplexity, error, latency, "
        "energy, memory_float16, flops, params …; of --device, or latency@DEVICE",
    )
    group.add_argument(
        "--max",
        dest="limits",
        nargs="+",
        action="extend",
        metavar="OBJECTIVE=NUMBER",
        help="largest expected values, in ms, Wh or MB",
    )


def misplaced(args: argparse.Namespace) -> None:
    """Raise if arguments of ``--best`` and of a query are mixed.

    :raises InputError: they are
    """
    if not args.best and (args.minimise is not None or args.limits):
        given = "--min" if args.minimise is not None else "--max"
        raise InputError(f"{given} goes with --best, which finds an architecture; add --best")
    for name, value in (
        ("--config", args.config),
        ("--seed", args.seed),
        ("KEY=VALUE", args.values),
    ):
        if args.best and value not in (None, []):
            raise InputError(
                f"--best finds the architecture itself; leave out {name}, or ask without --best"
            )


def run(args: argparse.Namespace) -> int:
    """Find the architecture and print it with its expected values."""
    from hwgpt_blackbox.domain.model_config import architecture_of
    from hwgpt_blackbox.fronts import best
    from hwgpt_blackbox.fronts.layer_sums import surrogate_for
    from hwgpt_blackbox.models.prediction import Predictor
    from hwgpt_blackbox.storage.spaces import find_space
    from hwgpt_blackbox.storage.surrogates import workload_notes

    space = find_space(args.space)
    minimise, limits = columns_of(space, args.minimise, args.limits, args.device)
    found = best(space, minimise.target, {c.target: v for c, v in limits.items()})
    surrogate = surrogate_for(space, [minimise, *limits])
    columns = _shown_columns(surrogate, args.device, [minimise, *limits])
    predictor = Predictor(surrogate, columns)
    values = predictor.one(found.row.tolist(), None)
    expected = dict(zip(columns, values, strict=True))
    architecture = architecture_of(space, found.configuration)
    notes = workload_notes(space, {str(column.device) for column in columns})
    if args.json:
        document = {
            "architecture": architecture,
            "configuration": found.configuration,
            "minimised": found.minimised,
            "limits": {column.target: value for column, value in limits.items()},
            "exact": found.exact,
            "lower_bound": found.lower_bound,
            "expected": {column.target: value for column, value in expected.items()},
            "units": {column.target: METRICS[column.metric].unit for column in columns},
        }
        print(json.dumps(document | ({"notes": notes} if notes else {}), indent=1))
    else:
        print("\n".join([*_table(found, architecture, limits, expected), *notes]))
    return 0


def columns_of(
    space: Space, minimise: str | None, limits: Sequence[str] | None, device: str = ALL_DEVICES
) -> tuple[Column, dict[Column, float]]:
    """What is minimised, and what is limited and by how much.

    :param minimise: an objective; None: perplexity
    :param limits: ``OBJECTIVE=NUMBER`` each
    :param device: of objectives that name none
    :raises InputError: an unknown objective, one that needs a device, or a word that is no limit
    """
    from hwgpt_blackbox.storage.surrogates import measured_in

    known = measured_in(space)
    if not known.devices:  # without measurements: best says so
        known = PUBLISHED
    return (
        _column(minimise or DEFAULT_OBJECTIVE, device, known),
        _limits(limits or [], device, known),
    )


def _column(text: str, device: str, known: Measured) -> Column:
    """The objective that a word means: ``latency`` is that of ``--device``."""
    row = METRICS.get(text)
    if row is not None and row.per_device:
        if device == ALL_DEVICES:
            raise InputError(
                f"objective {text!r} needs a device: write "
                f"{text}@{'a40' if 'a40' in known.devices else known.default_device}, or give "
                "query --device"
            )
        text = f"{text}@{device}"
    return parse_objective(text, known)


def _limits(words: Sequence[str], device: str, known: Measured) -> dict[Column, float]:
    limits: dict[Column, float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not equals or not abs(value) < float("inf"):
            raise InputError(f"--max {word!r} is not OBJECTIVE=NUMBER; example: --max latency=30")
        column = _column(name, device, known)
        if column in limits:
            raise InputError(f"--max {column.target} is given twice; give it once")
        limits[column] = value
    return limits


def _shown_columns(surrogate: Surrogate, device: str, objectives: Sequence[Column]) -> list[Column]:
    """What to print: everything on the device, or what depends on none; and the objectives."""
    known = surrogate.measured
    if device == ALL_DEVICES or not known.devices:
        columns = [Column(name) for name in known.metrics]
    else:
        columns = list(dataset_columns(device, known).values())
    return [*columns, *(c for c in dict.fromkeys(objectives) if c not in columns)]


def _table(
    found: BestArchitecture,
    architecture: dict[str, Any],
    limits: dict[Column, float],
    expected: dict[Column, float],
) -> list[str]:
    """The architecture, and a line for each expected value."""
    lines = [f"{label:14}{_plain(architecture[key])}" for key, label in _LABELS.items()]
    lines += ["", f"{'expected':24}{'value':>16}{'at most':>12}  unit"]
    for column, value in expected.items():
        mark = "  minimised" if column.target == found.minimised else ""
        limit = shown(limits[column]) if column in limits else ""
        unit = METRICS[column.metric].unit
        lines.append(f"{column.target:24}{shown(value):>16}{limit:>12}  {unit}{mark}")
    if not found.exact:
        lines += ["", f"not proven to be the best: none has less than {found.lower_bound:g}"]
    return lines


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value).lower()


def shown(value: float) -> str:
    """A number for people."""
    return f"{value:,.0f}" if value >= 1e6 else f"{value:.6g}"
