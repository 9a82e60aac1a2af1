"""The kinds of artifact and the blackboxes that are read from them, one row each.

``import hwgpt_blackbox`` reads this file, so it loads neither numpy nor the readers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, NAME, is_name

SURROGATE, TABULAR, NETWORK, DEVICE = "surrogate", "tabular", "network", "device"
"""What manifests call their kind."""

CHECKOUT = "a checkout of HW-GPT-Bench"
MEASUREMENT_SET = "a measurement set"

DEVICE_NAME = "[A-Za-z0-9][A-Za-z0-9_-]{0,39}"
"""Names that a user's device may have, as a regular expression."""

_BLANKS = {
    "space": f"(?P<space>{NAME})",
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
    :param published: whether it is of published measurements only
    :param space: name of its space
    """

    name: str
    kind: str
    reader: str
    load: str
    convert: str = "--space {space}"
    source: str = CHECKOUT
    has_card: bool = True
    published: bool = False
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
        published=True,
    ),
    ArtifactKind(
        "hwgpt-{space}-autogluon",
        SURROGATE,
        "surrogates.read_surrogate",
        'hwgpt_blackbox.load("{space}", "rtx2080", models="autogluon")',
        "--space {space} --only autogluon --trust-pickles",
        "published predictors",
        published=True,
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

    Every name of a space is one of an artifact: the space may be somebody's own.

    >>> kind_of("hwgpt-s-device-mygpu").load
    'load_blackbox("hwgpt-s")["mygpu"]'
    """
    for row in KINDS:
        match = re.fullmatch(row.name.format(**_BLANKS), artifact)
        if match and is_name(match["space"]):
            measured = match["space"] in MEASURED_SPACES
            if row.published and not measured:
                continue
            if row.source == CHECKOUT and not measured:
                load = row.load.removesuffix('["rtx2080"]')
                row = replace(row, source=MEASUREMENT_SET, convert="", load=load)
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


def blackboxes_of_space(space: str) -> list[BlackboxName]:
    """The blackboxes that a space may have."""
    model, table = artifact_name(space), artifact_name(space, tabular=True)
    return [
        BlackboxName(model, space, model, False, "single"),
        BlackboxName(f"{model}-repeats", space, model, False, "repeats"),
        BlackboxName(table, space, table, True, "single"),
    ]


BLACKBOXES: dict[str, BlackboxName] = {
    row.name: row for space in MEASURED_SPACES for row in blackboxes_of_space(space)
}
"""Every blackbox of published measurements, by name."""


def blackbox_of(name: str) -> BlackboxName | None:
    """What a blackbox of this name would be read from; None: it is no name of a blackbox."""
    space = re.sub(r"-(?:repeats|tabular)\Z", "", name.removeprefix("hwgpt-"))
    rows = {row.name: row for row in blackboxes_of_space(space)} if is_name(space) else {}
    return rows.get(name)
