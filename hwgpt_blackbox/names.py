"""The blackboxes by name, one row each."""

from __future__ import annotations

from dataclasses import dataclass

from hwgpt_blackbox.spaces import MEASURED_SPACES


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
