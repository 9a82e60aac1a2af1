"""Whether an artifact is what its manifest says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, printable, unknown
from hwgpt_blackbox.storage.artifact_kinds import BY_MANIFEST, blackbox_of, kind_of
from hwgpt_blackbox.storage.locations import MANIFEST, find
from hwgpt_blackbox.storage.manifest import check_files, read_manifest, read_whole
from hwgpt_blackbox.storage.spaces import blackboxes, space_of


@dataclass(frozen=True)
class CheckedArtifact:
    """An artifact that is what its manifest says.

    :param folder: where it is
    :param kind: what its manifest calls it
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
        return space_of(self.manifest, self.folder)


def artifact_of(name: str, what: str = "name of an artifact") -> str:
    """The artifact behind a name that users know: of a blackbox, or its own.

    :param what: what it should be, for the message
    :raises InputError: it is neither
    """
    row = blackbox_of(name)
    if row is not None:
        return row.artifact
    if kind_of(name) is None:
        others = [f"hwgpt-<space>-{part}" for part in ("published", "autogluon", "device-<name>")]
        known = str(unknown("name", name, [*blackboxes(), *others])).partition("; ")[2]
        raise InputError(f"{name!r:.200} is no {what}; {known}")
    return name


def locate(artifact: str) -> Path:
    """The folder that a user means.

    :param artifact: a name (``hwgpt-s``: the one in use), or a folder
    :raises InputError: it is neither
    :raises MissingArtifactError: no artifact of that name is on this machine
    """
    folder = Path(artifact).expanduser()
    if not (blackbox_of(artifact) or kind_of(artifact)) and (folder / MANIFEST).is_file():
        return folder
    return find(artifact_of(artifact, f"artifact: no folder with a {MANIFEST}, and no name")).path


def check_artifact(folder: Path) -> CheckedArtifact:
    """Check manifest, size and sha256 of every file, that no file is unlisted, and the content.

    :raises DataError: says what is wrong
    """
    return read_whole(folder, _check)


def _check(folder: Path) -> CheckedArtifact:
    manifest = read_manifest(folder, kind=tuple(BY_MANIFEST))
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
    return CheckedArtifact(folder, kind, manifest, BY_MANIFEST[kind].read(folder))
