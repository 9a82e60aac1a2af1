"""Small helpers of the tests of hosting."""

from __future__ import annotations

import json
from pathlib import Path

from hwgpt_blackbox.artifact import sha256

SURROGATE, TABLE = "hwgpt-s", "hwgpt-s-tabular"


def tree_of(folder: Path, prefix: str = "") -> dict[str, bytes]:
    """Files of a folder of artifacts, as a hub's commit holds them."""
    return {
        f"{prefix}{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def digest_of(artifact: Path) -> str:
    """The version of an artifact."""
    return sha256(artifact / "manifest.json")


def edit_manifest(artifact: Path, **changes: object) -> None:
    """Change keys of a manifest, the list of files included, and nothing else."""
    path = artifact / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
