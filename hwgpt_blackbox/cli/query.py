"""``hwgpt-blackbox query``: the metrics of one architecture, yours or the best of its space.

Needs NumPy only, so it is quick.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from hwgpt_blackbox.cli import best
from hwgpt_blackbox.cli.best import SPACE_HELP, shown
from hwgpt_blackbox.domain.architecture_forms import as_configuration
from hwgpt_blackbox.domain.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.domain.objectives import METRICS, dataset_columns
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError, unknown

_EXAMPLES = """examples:
  hwgpt-blackbox query --space s --device rtx2080 num_layers=12 embed_dim=768 bias=true \\
      mlp_ratio=4 num_heads=4,8,12,12,12,12,12,12,12,12,8,4
  hwgpt-blackbox query --best --space m --device a40 --max latency=30 --min perplexity
"""

PER_LAYER = ("mlp_ratio", "num_heads")
"""Keys that stand for every layer."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--space", required=True, help=SPACE_HELP)
    parser.add_argument(
        "--device", default=ALL_DEVICES, help=f"{', '.join(DEVICES)}, your own, or all"
    )
    parser.add_argument("--config", help="JSON file with the architecture, or - for standard input")
    parser.add_argument("--seed", type=int, help="also print this repeat of the measurement")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument(
        "values",
        nargs="*",
        metavar="KEY=VALUE",
        help="hyperparameters; mlp_ratio and num_heads without a number hold for every layer, "
        "or list one value for each with commas",
    )
    best.configure(parser)


def parse_configuration(space: Space, words: list[str]) -> dict[str, Any]:
    """The configuration that ``KEY=VALUE`` words describe.

    :raises InputError: a word is malformed, a key unknown or given twice, or a list of another
        length
    """
    texts: dict[str, str] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise InputError(f"{word!r} is not KEY=VALUE, for instance num_layers=12; see --help")
        if key not in space.choices and key not in PER_LAYER:
            known = (name for name in space.choices if not name.endswith(tuple("0123456789")))
            raise unknown(f"hyperparameter of space {space.name}", key, (*known, *PER_LAYER))
        if key in texts:
            raise InputError(f"{key} is given twice, {texts[key]!r} and {text!r}; give it once")
        texts[key] = text
    lists = {key: texts.pop(key) for key in PER_LAYER if key in texts}
    configuration: dict[str, Any] = {
        key: _boolean(text) if key == "bias" else _integer(key, text) for key, text in texts.items()
    }
    layers = configuration.get("num_layers", space.max_layers)
    for key, text in lists.items():
        for i, value in enumerate(_per_layer(space, key, text, layers)):
            configuration.setdefault(f"{key}_{i}", value)  # one for its layer alone counts more
    return configuration


def _per_layer(space: Space, key: str, text: str, layers: int) -> list[int]:
    """One value for each layer that a configuration names, from one for all or a list."""
    values = [_integer(key, part) for part in text.split(",")]
    if len(values) == 1:
        return values * space.max_layers
    if len(values) not in (layers, space.max_layers):
        raise InputError(
            f"{key} lists {len(values)} values; num_layers is {layers}: list {layers}, or one for "
            "all"
        )
    # Layers beyond num_layers do not exist; any choice stands for them.
    return values + [space.choices[f"{key}_0"][0]] * (space.max_layers - len(values))


def _boolean(text: str) -> bool:
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise InputError(f"bias is {text!r}; choose true or false")
    return known[text.lower()]


def _integer(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{key} is {text!r}; expected an integer") from None


def _read(source: str) -> dict[str, Any]:
    """An architecture from a JSON file or standard input."""
    import sys

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"--config {source}: {error}; expected a file with a JSON object"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"--config {source} holds no JSON object but {found!r:.80}")
    return found


def run(args: argparse.Namespace) -> int:
    """Print expected values, and a measurement if a seed is given."""
    best.misplaced(args)
    if args.best:
        return best.run(args)
    from hwgpt_blackbox.models.noise import check_repeat
    from hwgpt_blackbox.models.prediction import Predictor
    from hwgpt_blackbox.storage.spaces import find_measured
    from hwgpt_blackbox.storage.surrogates import load_surrogate, workload_notes

    space = find_measured(args.space)
    given = as_configuration(space, _read(args.config)) if args.config else {}
    configuration = {**given, **parse_configuration(space, args.values)}
    repeat = None if args.seed is None else check_repeat(args.seed)
    surrogate = load_surrogate(space.name)
    columns = dataset_columns(args.device, surrogate.measured)
    predictor = Predictor(surrogate, list(columns.values()))
    row = predictor.encoding.encode_one(configuration)
    values = {"expected": predictor.one(row, None)}
    if repeat is not None:
        values["measured"] = predictor.one(row, repeat)
    notes = workload_notes(space, {str(column.device) for column in columns.values()})
    if args.json:
        table = {kind: dict(zip(columns, numbers, strict=True)) for kind, numbers in values.items()}
        configuration = predictor.encoding.canonical_form(configuration)
        document = {"configuration": configuration, **table}
        print(json.dumps(document | ({"notes": notes} if notes else {}), indent=1))
        return 0
    width = max(len(column.target) for column in columns.values())
    print(" " * width + "".join(f"{kind:>24}" for kind in values) + "  unit")
    for j, column in enumerate(columns.values()):
        numbers = "".join(f"{shown(found[j]):>24}" for found in values.values())
        print(f"{column.target:{width}}{numbers}  {METRICS[column.metric].unit}")
    for note in notes:
        print(note)
    return 0
