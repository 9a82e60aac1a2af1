"""Ways to spoil a file: bytes, and the structure of JSON. Everything follows from a seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]


def _flip_bits(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)


def _set_number(rng: random.Random, data: bytearray) -> None:
    width = rng.choice([1, 2, 4, 8])
    number = rng.choice(_NUMBERS) % 256**width
    at = rng.randrange(len(data))
    data[at : at + width] = number.to_bytes(width, rng.choice(["little", "big"]))


def _truncate(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def _remove(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice([1, 4, 64, 1024])]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice([1, 4, 64, 1024]))


def _splice(rng: random.Random, data: bytearray) -> None:
    source, target = rng.randrange(len(data)), rng.randrange(len(data))
    size = rng.choice([4, 64, 1024])
    data[target : target + rng.choice([0, size])] = data[source : source + size]


def _blank(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data))
    size = min(rng.choice([4, 64, 1024]), len(data) - at)
    data[at : at + size] = bytes([rng.choice([0, 0x20, 0xFF])]) * size


_BYTES = [_flip_bits, _flip_bits, _set_number, _truncate, _remove, _insert, _splice, _blank]


def mutated(data: bytes, count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Spoilt copies of a file, with names; the same for the same seed.

    :param data: of the sound file, not empty
    """
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        out, names = bytearray(data), []
        for _ in range(rng.choice([1, 1, 1, 2, 4])):
            change = rng.choice(_BYTES)
            if out:
                change(rng, out)
                names.append(change.__name__)
        yield f"{seed}/{number} {' '.join(names)}", bytes(out)


# -- JSON --------------------------------------------------------------------------------------


def _deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


_VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e308, -1e308, 2**31, 2**63, -(2**63), 10**400,
    float("nan"), float("inf"), "", "x", "../../x", "/etc/passwd", "\x00", "\ud800", "é" * 5000,
    [], {}, [[]], {"": None}, [None] * 1000, _deep(200),
]  # fmt: skip


def _nodes(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a JSON value."""
    found: list[tuple[Any, Any]] = []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += _nodes(value[key])
    return found


def _change(rng: random.Random, value: dict[str, Any]) -> str:
    """Spoil one place of a JSON value; says how."""
    # A path at a time, so that small branches are met as often as large ones.
    container: Any = value
    key: Any = rng.choice(list(container))
    while isinstance(container[key], dict | list) and container[key] and rng.random() < 0.7:
        container = container[key]
        key = rng.choice(list(container) if isinstance(container, dict) else range(len(container)))
    how = rng.choice(["value", "value", "value", "remove", "rename", "wrap", "copy"])
    if how == "value":
        container[key] = copy.deepcopy(rng.choice(_VALUES))
    elif how == "remove":
        del container[key]
    elif how == "rename" and isinstance(container, dict):
        container[rng.choice(["", "\ud800", "space", f"{key} "])] = container.pop(key)
    elif how == "wrap":
        container[key] = rng.choice([[container[key]], {"a": container[key]}, str(container[key])])
    else:  # something that is sound elsewhere
        other, its_key = rng.choice(_nodes(value))
        container[key] = copy.deepcopy(other[its_key])
    return f"{how} {key!r:.40}"


def mutated_json(value: dict[str, Any], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """The JSON texts of spoilt copies of an object: other types, numbers, keys, duplicates."""
    for number in range(count):
        rng = random.Random(f"{seed}/json/{number}")
        out = copy.deepcopy(value)
        names = [_change(rng, out) for _ in range(rng.choice([1, 1, 1, 3])) if out]
        text = json.dumps(out)
        if rng.random() < 0.1 and out:  # the same key again, with another value
            key = json.dumps(rng.choice(list(out)))
            text = text[:-1] + f", {key}: {json.dumps(rng.choice(_VALUES))}}}"
            names.append(f"twice {key}")
        yield f"{seed}/{number} {', '.join(names)}", text.encode("utf-8", "surrogatepass")
