"""Whether an artifact is what its manifest says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.spaces import Space, get_space
from hwgpt_blackbox.errors import DataError, InputError, printable, unknown
from hwgpt_blackbox.models.published_network import NETWORK_TARGETS
from hwgpt_blackbox.storage.artifact_names import BLACKBOXES, part_of
from hwgpt_blackbox.storage.locations import MANIFEST, find
from hwgpt_blackbox.storage.manifest import check_files, read_manifest, read_whole
from hwgpt_blackbox.storage.measured_table import Table
from hwgpt_blackbox.storage.networks import read_networks
from hwgpt_blackbox.storage.surrogates import read_surrogate
from hwgpt_blackbox.storage.user_devices import read_device, surrogate_of


def _read_table(folder: Path) -> Table:
    table = Table.read(folder)
    table.check()
    return table


def _read_networks(folder: Path) -> Any:
    listed = read_manifest(folder, kind="network").get("networks")
    targets = [name for name in NETWORK_TARGETS if isinstance(listed, dict) and name in listed]
    if not targets:
        raise DataError(f"{folder / MANIFEST} lists no networks; convert or pull it again")
    return read_networks(folder, targets)


def _read_own_device(folder: Path) -> Any:
    device = read_device(folder, str(read_manifest(folder, kind="device").get("space")))
    return surrogate_of(device)


READERS: dict[str, Callable[[Path], Any]] = {
    "surrogate": read_surrogate,
    "tabular": _read_table,
    "network": _read_networks,
    "device": _read_own_device,
}
"""Kinds of artifacts, and what reads and checks each."""


@dataclass(frozen=True)
class CheckedArtifact:
    """An artifact that was found sound.

    :param folder: where it is
    :param kind: one of ``READERS``
    :param manifest: what it says of itself
    :param content: its models, or its table
    """

    folder: Path
    kind: str
    manifest: dict[str, Any]
    content: Any

    @property
    def space(self) -> Space:
        """Its space."""
        return get_space(self.manifest["space"])


def locate(artifact: str) -> Path:
    """The folder that a user means.

    :param artifact: a name (``hwgpt-s``: the one in use), or a folder
    :raises InputError: it is neither
    :raises MissingArtifactError: no artifact of that name is on this machine
    """
    if artifact in BLACKBOXES:
        return find(BLACKBOXES[artifact].artifact).path
    if part_of(artifact):
        return find(artifact).path
    folder = Path(artifact).expanduser()
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{artifact!r} is no artifact: no folder with a {MANIFEST}, and "
            f"{unknown('name', artifact, BLACKBOXES)}"
        )
    return folder


def check_artifact(folder: Path) -> CheckedArtifact:
    """Check manifest, size and sha256 of every file, that no file is unlisted, and the content.

    :raises DataError: says what is wrong
    """
    return read_whole(folder, _check)


def _check(folder: Path) -> CheckedArtifact:
    manifest = read_manifest(folder, kind=tuple(READERS))
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise DataError(f"{folder / MANIFEST} lists no files; convert or pull the artifact again")
    unlisted = sorted({path.name for path in folder.iterdir()} - {MANIFEST, *listed})
    if unlisted:
        names = printable(", ".join(unlisted))
        raise DataError(
            f"{folder} holds {names}, which {MANIFEST} does not list; "
            "remove it, or convert or pull the artifact again"
        )
    odd = sorted(name for name in listed if Path(name).name != name or not name.isprintable())
    if odd:
        raise DataError(f"{folder / MANIFEST} lists {odd[0]!r}, which is no name of a file in it")
    check_files(folder, manifest, list(listed), limit=None)
    kind = manifest["kind"]
    return CheckedArtifact(folder, kind, manifest, READERS[kind](folder))
