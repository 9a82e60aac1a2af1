"""Where artifacts live: the user's folder first, then what the wheel ships."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.names import CHECKOUT, part_of

HOME_VARIABLE = "HWGPT_BLACKBOX_HOME"
"""Environment variable that names the folder of converted and pulled artifacts."""

REPOSITORY_VARIABLE = "HWGPT_BLACKBOX_REPOSITORY"
"""Environment variable that names the repository from which artifacts are pulled by name."""

DEFAULT_REPOSITORY = "hf://datasets/synetune/blackbox-repository"
"""Where ``pull NAME`` looks otherwise: Syne Tune's own repository."""

OFFLINE_VARIABLES = ("HWGPT_BLACKBOX_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables that forbid the network when one of them is 1, on, yes or true."""

MANIFEST = "manifest.json"
"""The file that makes a folder an artifact."""

EMBEDDED = Path(__file__).parent / "artifacts"
"""Folder of the artifacts that the wheel ships."""


def home() -> Path:
    """Folder of converted and pulled artifacts (it need not exist).

    ``HWGPT_BLACKBOX_HOME`` if set, else where Syne Tune keeps its own blackboxes. Read anew at
    every call, so that a changed environment counts.
    """
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).expanduser() if named else Path("~/.blackbox-repository").expanduser()


def repository() -> str:
    """The repository from which artifacts are pulled by name; read anew at every call."""
    return os.environ.get(REPOSITORY_VARIABLE) or DEFAULT_REPOSITORY


def offline() -> bool:
    """Whether the environment forbids the network; read anew at every call."""
    return any(
        os.environ.get(name, "").strip().lower() in ("1", "on", "yes", "true")
        for name in OFFLINE_VARIABLES
    )


@dataclass(frozen=True)
class Location:
    """Where an artifact was found.

    :param path: its folder
    :param embedded: whether it is the one that the wheel ships
    """

    path: Path
    embedded: bool


def find(name: str) -> Location:
    """The folder of artifact ``name``: the one in :func:`home`, else the embedded one.

    Of a pulled artifact it is the folder of the version in use now, so that who reads several files
    of it reads one version, whatever becomes the one in use meanwhile.

    :raises MissingArtifactError: there is none; the message says which commands make or get one
    """
    for folder, embedded in ((home(), False), (EMBEDDED, True)):
        path = _without_link(folder / name)
        if (path / MANIFEST).is_file():
            return Location(path, embedded)
    space, part = f"{name}--".split("-")[1], part_of(name)
    options = f" {part.convert}" if part else ""
    raise MissingArtifactError(
        f"{name} is not on this machine (looked in {home()}); make it from "
        f"{part.source if part else CHECKOUT} with: "
        f"hwgpt-blackbox convert SOURCE --space {space}{options}; or, where somebody has published "
        f"it, fetch it with: hwgpt-blackbox pull {name} --from REPOSITORY"
    )


def _without_link(path: Path) -> Path:
    """What a link points to; any other path itself."""
    try:
        return path.parent / path.readlink()
    except OSError:
        return path


def parts() -> list[str]:
    """Names of the artifacts in :func:`home` that are parts of a space, in order."""
    folder = home()
    found = folder.glob(f"hwgpt-*/{MANIFEST}") if folder.is_dir() else ()
    return sorted(path.parent.name for path in found if part_of(path.parent.name))
