"""A version of a pulled artifact, and where it is from."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
        return str(self.origins[-1].get("pulled", "")) if self.origins else ""

    def is_from(self, source: str) -> bool:
        """Whether it was pulled from this address."""
        return any(row.get("source") == source for row in self.origins)

    def answers(self, revision: str) -> bool:
        """Whether ``revision`` names it: its digest, a commit, or a branch or tag asked for."""
        if len(revision) >= SHORTEST_REVISION:
            commits = [str(row.get("revision") or "") for row in self.origins]
            if any(full.startswith(revision.lower()) for full in (self.digest, *commits)):
                return True
        return any(row.get("requested") == revision for row in self.origins)


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
    return tuple(row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()


def write_origins(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace the file in one step."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps([dict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
