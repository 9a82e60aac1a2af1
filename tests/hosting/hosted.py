"""Small helpers of the tests of hosting."""

from __future__ import annotations

import json
from pathlib import Path

from loopback_hub import Hub

from hwgpt_blackbox import cached, pull
from hwgpt_blackbox.storage.locations import find, home
from hwgpt_blackbox.storage.manifest import sha256
from hwgpt_blackbox.storage.surrogates import read_surrogate

SURROGATE, TABLE = "hwgpt-s", "hwgpt-s-tabular"
REPO = "me/mine"
URL = f"hf://datasets/{REPO}/{SURROGATE}"


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


def get(folder: Path) -> str:
    """Pull from a folder; return the digest."""
    return pull(str(folder), progress=False).digest


def pull_from(hub: Hub, folder: Path) -> str:
    """Commit a folder's artifacts to a repository of the hub, and pull the surrogate."""
    hub.repository(REPO).commit(tree_of(folder))
    return pull(SURROGATE, repository=REPO, progress=False).digest


def in_use() -> list[str]:
    """Digests of the versions in use."""
    return [version.digest for version in cached() if version.active]


def shelf() -> Path:
    """Folder of the versions of the surrogate and of what lies around them."""
    return home() / ".hwgpt-blackbox" / SURROGATE


def assert_in_use(digest: str) -> None:
    """The version is the one that is found by name, it is whole, and nothing lies around it."""
    path = find(SURROGATE).path
    assert path.samefile(home() / SURROGATE)
    assert digest_of(path) == digest
    read_surrogate(path)
    assert [v.digest for v in cached() if v.active] == [digest]
    assert {p.name for p in home().iterdir()} <= {SURROGATE, ".hwgpt-blackbox"}
    shelf = home() / ".hwgpt-blackbox" / SURROGATE
    assert {p.name for p in shelf.iterdir()} <= {"lock", "origins.json", "hub", "versions"}
