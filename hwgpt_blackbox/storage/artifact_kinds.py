"""The kinds of artifact and the blackboxes that are read from them, one row each.

``import hwgpt_blackbox`` reads this file, so it loads neither numpy nor the readers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.spaces import MEASURED_SPACES

SURROGATE, TABULAR, NETWORK, DEVICE = "surrogate", "tabular", "network", "device"
"""What manifests call their kind."""

CHECKOUT = "a checkout of HW-GPT-Bench"

DEVICE_NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
"""Names that a user's device may have, as a regular expression."""

_BLANKS = {
    "space": f"(?P<space>{'|'.join(MEASURED_SPACES)})",
    "device": f"(?P<device>{DEVICE_NAME})",
}


@dataclass(frozen=True)
class ArtifactKind:
    """A kind of artifact. The texts of a row of ``KINDS`` have blanks for space and device.

    :param name: of the artifact
    :param kind: what its manifest says
    :param reader: function in this folder that reads and checks everything in it
    :param load: Python that loads it
    :param convert: options of ``convert`` that make it
    :param source: what it is made from
    :param has_card: whether it may have a report card
    :param space: name of its space
    """

    name: str
    kind: str
    reader: str
    load: str
    convert: str = "--space {space}"
    source: str = CHECKOUT
    has_card: bool = True
    space: str = "{space}"

    def read(self, folder: Path) -> Any:
        """The models, the table or the networks of an artifact, read and checked.

        :raises DataError: the folder is no sound artifact of this kind
        """
        module, _, function = self.reader.partition(".")
        return getattr(import_module(f"hwgpt_blackbox.storage.{module}"), function)(folder)


KINDS = (
    ArtifactKind(
        "hwgpt-{space}",
        SURROGATE,
        "surrogates.read_surrogate",
        'load_blackbox("hwgpt-{space}")["rtx2080"]',
    ),
    ArtifactKind(
        "hwgpt-{space}-tabular",
        TABULAR,
        "measured_table.read_and_check",
        'load_blackbox("hwgpt-{space}-tabular")["rtx2080"]',
        has_card=False,
    ),
    ArtifactKind(
        "hwgpt-{space}-published",
        NETWORK,
        "networks.read_networks",
        'hwgpt_blackbox.load("{space}", "rtx2080", perplexity="published-mlp")',
        "--space {space} --only published",
    ),
    ArtifactKind(
        "hwgpt-{space}-autogluon",
        SURROGATE,
        "surrogates.read_surrogate",
        'hwgpt_blackbox.load("{space}", "rtx2080", models="autogluon")',
        "--space {space} --only autogluon --trust-pickles",
        "published predictors",
    ),
    ArtifactKind(
        "hwgpt-{space}-device-{device}",
        DEVICE,
        "surrogates.read_own_device",
        'load_blackbox("hwgpt-{space}")["{device}"]',
        "--space {space} --device {device}",
        "your measurements",
    ),
)
"""Every kind of artifact, one row for each form of its name."""

BY_MANIFEST = {row.kind: row for row in KINDS}
"""What a manifest calls its kind, to a row that reads it."""

CARD_KINDS = tuple(kind for kind, row in BY_MANIFEST.items() if row.has_card)
"""The kinds that may have a report card."""


def kind_of(artifact: str) -> ArtifactKind | None:
    """The row of an artifact's name, its blanks filled; None: it is no name of an artifact.

    >>> kind_of("hwgpt-s-device-mygpu").load
    'load_blackbox("hwgpt-s")["mygpu"]'
    """
    for row in KINDS:
        match = re.fullmatch(row.name.format(**_BLANKS), artifact)
        if match:
            blanks = match.groupdict()
            texts = ("name", "convert", "load", "space")
            return replace(row, **{text: getattr(row, text).format(**blanks) for text in texts})
    return None


def artifact_name(space: str, *, tabular: bool = False, part: str = "") -> str:
    """Name of an artifact: ``hwgpt-s``, ``hwgpt-s-tabular``.

    :param part: another part of the space: ``published``, ``autogluon``, ``device-<name>``
    """
    part = "tabular" if tabular else part
    return f"hwgpt-{space}-{part}" if part else f"hwgpt-{space}"


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
