"""Manifests from outside: the form of one is checked before anything in it is used."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.storage.artifact_kinds import BY_MANIFEST, kind_of
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


@dataclass(frozen=True)
class Listing:
    """A manifest from outside, its form checked.

    :param name: of the artifact
    :param digest: sha256 of the manifest; as it lists those of all files, it stands for them all
    :param files: bytes of every file but the manifest, by name
    :param content: the manifest, byte for byte
    """

    name: str
    digest: str
    files: dict[str, int]
    content: bytes

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(self.files.values())

    @property
    def names(self) -> set[str]:
        """Names of all files, the manifest's too."""
        return {MANIFEST, *self.files}


def read_listing(content: bytes, where: str) -> Listing:
    """Check a manifest from outside.

    :param content: of the file
    :param where: where it is from, for messages
    :raises DataError: it is unreadable, of a future version, or names what no artifact may hold
    """
    manifest = parse_manifest(content, where, kind=tuple(BY_MANIFEST))
    name, listed = manifest.get("name"), manifest.get("files")
    row = kind_of(name) if isinstance(name, str) else None
    if row is None:
        raise DataError(f"{where}: name is {name!a:.80}, which is no name of an artifact")
    space, kind = manifest.get("space"), manifest.get("kind")
    if (space, kind) != (row.space, row.kind):  # the name decides what is loaded from there
        raise DataError(
            f"{where}: {name} must be of space {row.space!r} and kind {row.kind!r}, it is of "
            f"{space!a:.80} and {kind!a:.80}"
        )
    if not isinstance(listed, dict) or not 0 < len(listed) <= MAX_FILES:
        raise DataError(f"{where}: files must be an object of 1 to {MAX_FILES} files")
    files = {key: _bytes_of(key, row, where) for key, row in listed.items()}
    taken = {MANIFEST.lower()}
    for file in files:  # some file systems do not tell upper from lower case
        if file.lower() in taken:
            raise DataError(f"{where} lists {file!r}, a name that is taken in any case")
        taken.add(file.lower())
    listing = Listing(row.name, hashlib.sha256(content).hexdigest(), files, content)
    if listing.size > MAX_ARTIFACT_BYTES:
        raise DataError(
            f"{where} declares {listing.size} bytes, more than {MAX_ARTIFACT_BYTES}; refused"
        )
    return listing


def _bytes_of(name: Any, row: Any, where: str) -> int:
    """The size of a file that a manifest lists, if name, sha256 and size may be such."""
    if not _FILE.fullmatch(name) or name.endswith("."):
        raise DataError(
            f"{where} lists {name!a:.80}: expected a plain file name of letters, digits, '.', "
            "'_' and '-'; refused"
        )
    row = row if isinstance(row, dict) else {}
    sha256, size = row.get("sha256"), row.get("bytes")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise DataError(
            f"{where}: sha256 of {name} is {sha256!a:.80}; expected 64 hexadecimal digits"
        )
    if type(size) is not int or not 0 <= size <= MAX_ARTIFACT_BYTES:
        raise DataError(
            f"{where}: bytes of {name} is {size!a:.80}; expected a whole number up to "
            f"{MAX_ARTIFACT_BYTES}"
        )
    return size
