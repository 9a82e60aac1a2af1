"""What a manifest from outside says, checked before anything that it names is believed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwgpt_blackbox.errors import DataError, InputError, OutputError
from hwgpt_blackbox.storage.artifact_kinds import BLACKBOXES, BY_MANIFEST, kind_of
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import parse_manifest

MAX_FILES = 64
MAX_ARTIFACT_BYTES = 8 << 30
"""An artifact of more files, or whose manifest declares more bytes, is refused."""

_FILE = re.compile(
    r"(?!(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$))"  # devices, on some systems
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_artifact_name(name: object) -> bool:
    """Whether an artifact may have this name: it becomes the name of a folder."""
    return isinstance(name, str) and kind_of(name) is not None


def artifact_of(name: str) -> str:
    """The artifact behind a name that users know: of a blackbox, or its own.

    :raises InputError: it is neither
    """
    if name in BLACKBOXES:
        return BLACKBOXES[name].artifact
    if not is_artifact_name(name):
        raise InputError(
            f"{name!r} is no name of an artifact; known: {', '.join(BLACKBOXES)}, and "
            "hwgpt-<space>-published, -autogluon or -device-<name>"
        )
    return name


@dataclass(frozen=True)
class File:
    """A file of an artifact, as its manifest says: a plain name, sha256 and bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Listing:
    """A manifest from outside, its form checked.

    :param name: of the artifact
    :param digest: sha256 of the manifest; as it lists those of all files, it stands for them all
    :param files: every file but the manifest
    :param content: the manifest, byte for byte
    """

    name: str
    digest: str
    files: tuple[File, ...]
    content: bytes

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    @property
    def names(self) -> set[str]:
        """Names of all files, the manifest's too."""
        return {MANIFEST, *(file.name for file in self.files)}


def read_listing(content: bytes, where: str) -> Listing:
    """Check a manifest from outside.

    :param content: of the file
    :param where: where it is from, for messages
    :raises DataError: it is unreadable, of a future version, or names what no artifact may hold
    """
    manifest = parse_manifest(content, where, kind=tuple(BY_MANIFEST))
    name, listed = manifest.get("name"), manifest.get("files")
    if not isinstance(name, str) or not is_artifact_name(name):
        raise DataError(f"{where}: name is {_echo(name)}, which is no name of an artifact")
    _check_name(name, manifest, where)
    if not isinstance(listed, dict) or not 0 < len(listed) <= MAX_FILES:
        raise DataError(f"{where}: files must be an object of 1 to {MAX_FILES} files")
    files = tuple(_file(key, row, where) for key, row in listed.items())
    taken = {MANIFEST.lower()}
    for file in files:  # some file systems do not tell upper from lower case
        if file.name.lower() in taken:
            raise DataError(f"{where} lists {file.name!r}, a name that is taken in any case")
        taken.add(file.name.lower())
    listing = Listing(name, hashlib.sha256(content).hexdigest(), files, content)
    if listing.size > MAX_ARTIFACT_BYTES:
        raise DataError(
            f"{where} declares {listing.size} bytes, more than {MAX_ARTIFACT_BYTES}; refused"
        )
    return listing


def _check_name(name: str, manifest: Mapping[str, Any], where: str) -> None:
    """Raise unless space and kind are what the name says: it decides what is loaded from there."""
    row, found = kind_of(name), (manifest.get("space"), manifest.get("kind"))
    if row and found != (row.space, row.kind):
        raise DataError(
            f"{where}: {name} must be of space {row.space!r} and kind {row.kind!r}, it is of "
            f"{_echo(found[0])} and {_echo(found[1])}"
        )


def _file(name: Any, row: Any, where: str) -> File:
    if not _FILE.fullmatch(name) or name.endswith("."):
        raise DataError(
            f"{where} lists {_echo(name)}: expected a plain file name of letters, digits, '.', "
            "'_' and '-'; refused"
        )
    row = row if isinstance(row, dict) else {}
    sha256, size = row.get("sha256"), row.get("bytes")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise DataError(
            f"{where}: sha256 of {name} is {_echo(sha256)}; expected 64 hexadecimal digits"
        )
    if type(size) is not int or not 0 <= size <= MAX_ARTIFACT_BYTES:
        raise DataError(
            f"{where}: bytes of {name} is {_echo(size)}; expected a whole number up to "
            f"{MAX_ARTIFACT_BYTES}"
        )
    return File(name, sha256, size)


def check_entries(
    listing: Listing, entries: Mapping[str, int | None], where: str, ignored: Iterable[str] = ()
) -> None:
    """Compare what is at a source with its manifest, before anything is fetched.

    :param entries: names at the source, with sizes where it tells them
    :param ignored: names that may be there too
    :raises DataError: a file is missing, unlisted or of another size
    """
    unlisted = sorted(set(entries) - listing.names - set(ignored))
    if unlisted:
        shown = ", ".join(map(_echo, unlisted[:3])) + (" …" if len(unlisted) > 3 else "")
        raise DataError(
            f"{where} holds {shown}, which its {MANIFEST} does not list; whoever published it must "
            "remove that, or push the artifact again with --overwrite"
        )
    for file in listing.files:
        if file.name not in entries:
            raise DataError(f"{where} lacks {file.name}, which its {MANIFEST} lists")
        size = entries[file.name]
        if size is not None and size != file.size:
            raise DataError(
                f"{where}/{file.name} has {size} bytes, its {MANIFEST} says {file.size}; it was "
                "changed after it was published, or is being pushed right now"
            )


def check_foreign(names: Sequence[str], where: str) -> None:
    """Raise where a push would remove or mix with files of others.

    :param names: of what is at an address and is not of the artifact, in order
    :raises OutputError: there are some
    """
    if names:
        raise OutputError(
            f"{where} holds files that are not of the artifact, {_echo(names[0])} first; remove "
            "them with --overwrite (overwrite=True), or choose another address"
        )


def _echo(value: object) -> str:
    """A value from outside as messages show it: printable, and not long."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
