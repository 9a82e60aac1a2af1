"""A version of a pulled artifact, and where it is from."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import InputError

MAX_ORIGIN_BYTES = 1 << 20

MAX_ORIGINS = 100
"""Places noted for a version; the oldest are forgotten."""

SHORTEST_REVISION = 7
"""Digits of a digest or commit that are enough to name a version."""


@dataclass(frozen=True)
class Version:
    """A version of a pulled artifact on this machine.

    :param name: of the artifact
    :param digest: sha256 of its manifest, which lists those of its files
    :param path: its folder
    :param active: whether it is the one that is loaded by name
    :param size: bytes of its files
    :param origins: where it was pulled from: ``source`` (a URL), ``revision`` (a commit, or None),
        ``requested`` (what the user asked for, or None), ``pulled`` (UTC), the latest last
    """

    name: str
    digest: str
    path: Path
    active: bool
    size: int
    origins: tuple[Mapping[str, Any], ...]

    @property
    def pulled(self) -> str:
        """When it was pulled last, UTC."""
        return str(self.origins[-1]["pulled"]) if self.origins else ""

    def is_from(self, source: str) -> bool:
        """Whether it was pulled from this address."""
        return any(row["source"] == source for row in self.origins)

    def begins_with(self, revision: str) -> bool:
        """Whether ``revision`` is its digest or a commit of it, or a start of one."""
        fixed = (self.digest, *(row["revision"] or "" for row in self.origins))
        long = len(revision) >= SHORTEST_REVISION
        return long and any(full.startswith(revision.lower()) for full in fixed)

    def asked_as(self, revision: str) -> str:
        """When it was pulled last as this branch or tag, UTC; empty: never."""
        times = [row["pulled"] for row in self.origins if row["requested"] == revision]
        return max(times, default="")


def named(versions: Iterable[Version], revision: str) -> Version | None:
    """The version of a name that a revision stands for.

    A digest, a commit, or their start; else a branch or tag, which is the version that was pulled
    last as that.

    :raises InputError: several begin so
    """
    versions = list(versions)
    fixed = [version for version in versions if version.begins_with(revision)]
    if len(fixed) > 1:
        raise InputError(
            f"revision {revision!r} names several versions: "
            f"{', '.join(version.digest for version in fixed)}; give more digits of one"
        )
    asked = [version for version in versions if version.asked_as(revision)]
    return next(iter(fixed), max(asked, key=lambda v: v.asked_as(revision), default=None))


def check_revision(revision: object) -> None:
    """Raise unless a revision may be one, or is None.

    :raises InputError: it is empty, no text, or holds characters without form
    """
    if revision is None or (isinstance(revision, str) and revision and revision.isprintable()):
        return
    raise InputError(f"revision is {revision!r:.200}; expected a branch, tag, commit or digest")


def origin_of(source: str, revision: str | None, requested: str | None) -> dict[str, Any]:
    """A row of :attr:`Version.origins` for now."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    return {"source": source, "revision": revision, "requested": requested, "pulled": now}


def read_origins(path: Path) -> tuple[Mapping[str, Any], ...]:
    """Rows of a file of ours; what somebody broke counts as nothing known."""
    try:
        if path.stat().st_size > MAX_ORIGIN_BYTES:
            return ()
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(row for row in rows if _is_origin(row)) if isinstance(rows, list) else ()


def _is_origin(row: Any) -> bool:
    """Whether a row is as :func:`origin_of` makes them."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("source"), str)
        and isinstance(row.get("pulled"), str)
        and {"revision", "requested"} <= set(row)
        and all(isinstance(row[key], str | None) for key in ("revision", "requested"))
    )


def write_origins(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file in one step, or leave it as it was."""
    text = json.dumps([dict(row) for row in rows], indent=1) + "\n"
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
