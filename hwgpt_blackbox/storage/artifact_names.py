"""The blackboxes by name, one row each."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hwgpt_blackbox.domain.spaces import MEASURED_SPACES


@dataclass(frozen=True)
class BlackboxName:
    """What a name of ``load_blackbox`` stands for.

    :param name: the name
    :param space: its space
    :param artifact: the artifact that it is read from
    :param tabular: whether that is a table; else a surrogate
    :param fidelity: kind of fidelity
    """

    name: str
    space: str
    artifact: str
    tabular: bool
    fidelity: str


def artifact_name(space: str, *, tabular: bool = False, part: str = "") -> str:
    """Name of an artifact: ``hwgpt-s``, ``hwgpt-s-tabular``.

    :param part: another part of the space: ``published``, ``autogluon``, ``device-<name>``
    """
    part = "tabular" if tabular else part
    return f"hwgpt-{space}-{part}" if part else f"hwgpt-{space}"


BLACKBOXES: dict[str, BlackboxName] = {
    row.name: row
    for space in MEASURED_SPACES
    for row in (
        BlackboxName(f"hwgpt-{space}", space, artifact_name(space), False, "single"),
        BlackboxName(f"hwgpt-{space}-repeats", space, artifact_name(space), False, "repeats"),
        BlackboxName(
            f"hwgpt-{space}-tabular", space, artifact_name(space, tabular=True), True, "single"
        ),
    )
}
"""Every blackbox by name."""

CHECKOUT = "a checkout of HW-GPT-Bench"


@dataclass(frozen=True)
class Part:
    """An artifact that a space may have beside its blackboxes: other models, or one more device.

    :param source: what it is made from
    :param convert: options of ``convert`` that make it
    :param load: Python that loads it
    :param own_device: whether it is a user's device
    """

    source: str
    convert: str
    load: str
    own_device: bool = False


PARTS: dict[str, Part] = {
    "published": Part(
        CHECKOUT,
        "--only published",
        'hwgpt_blackbox.load("{space}", "rtx2080", perplexity="published-mlp")',
    ),
    "autogluon": Part(
        "published predictors",
        "--only autogluon --trust-pickles",
        'hwgpt_blackbox.load("{space}", "rtx2080", models="autogluon")',
    ),
    "device": Part(
        "your measurements",
        "--device {device}",
        'load_blackbox("hwgpt-{space}")["{device}"]',
        own_device=True,
    ),
}
"""Every kind of part, with blanks for space and device."""

_PART = re.compile(rf"hwgpt-({'|'.join(MEASURED_SPACES)})-(?:(published|autogluon)|device-(.+))")


def part_of(artifact: str) -> Part | None:
    """What the name of an artifact says, blanks filled; None if it is no part.

    >>> part_of("hwgpt-s-device-mygpu").load
    'load_blackbox("hwgpt-s")["mygpu"]'
    """
    match = _PART.fullmatch(artifact)
    if not match:
        return None
    row, blanks = PARTS[match[2] or "device"], {"space": match[1], "device": match[3]}
    return replace(row, convert=row.convert.format(**blanks), load=row.load.format(**blanks))
