"""Where artifacts live: the user's folder first, then what the wheel ships."""

from __future__ import annotations

import fnmatch
import os
import time
from dataclasses import dataclass
from pathlib import Path

from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.storage.artifact_kinds import blackbox_of, kind_of

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

TEMPORARY, OLD = ".hwgpt-blackbox.", "old"
"""Part of the names of the folders in which something is made before it gets its name, and the
folder in them for what it replaces; see :mod:`hwgpt_blackbox.storage.atomic_writes`."""

_TURNS, _PAUSE = 200, 0.01
"""How often, and after how many seconds each, a reader looks again for what is being replaced."""

_LOOKS = 3
"""How often a reader looks, while others write in the folder, for what is neither there nor set
aside: it may have been replaced between the looks for the one and for the other."""

EMBEDDED = Path(__file__).parents[1] / "artifacts"
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

    Where earlier releases pulled an artifact, its name is a link; the folder is where it leads to.

    :raises MissingArtifactError: there is none; the message says which commands make or get one
    """
    for folder, embedded in ((home(), False), (EMBEDDED, True)):
        path = _without_link(folder / name)
        if is_artifact(path):
            return Location(path, embedded)
    kind = kind_of(name)
    made = f"make it from {kind.source} with: {_command(kind.convert)}; or, " if kind else ""
    raise MissingArtifactError(
        f"{name} is not on this machine (looked in {home()}); {made}where somebody has published "
        f"it, fetch it with: hwgpt-blackbox pull {name} --from REPOSITORY"
    )


def _command(options: str) -> str:
    """The command that converts with these options."""
    return f"hwgpt-blackbox convert SOURCE {options}".rstrip()


def is_artifact(folder: Path) -> bool:
    """Whether a folder is an artifact.

    Where a file system cannot exchange two folders, a process that replaces the artifact has set it
    aside for a moment: that moment is waited for, two seconds at most.
    """
    absent = 0
    for _ in range(_TURNS):
        if (folder / MANIFEST).is_file():
            return True
        names, aside = _listing(folder.parent)
        if not aside and folder.name not in names:  # one listing shows both
            return False
        if any((old / folder.name).exists() for old in aside):
            time.sleep(_PAUSE)
        elif (absent := absent + 1) == _LOOKS:
            break
    return False


def artifacts(pattern: str) -> list[str]:
    """Names of the artifacts in :func:`home` that match, in order."""
    folder, found = home(), set[str]()
    for _ in range(_LOOKS):
        names, aside = _listing(folder)
        found.update(names, *(_listing(old)[0] for old in aside))
        if not aside:
            break
    return sorted(n for n in fnmatch.filter(found, pattern) if is_artifact(folder / n))


def _listing(folder: Path) -> tuple[list[str], list[Path]]:
    """Names in a folder, and where processes that write there set aside what they replace."""
    try:
        names = os.listdir(folder)  # noqa: PTH208, bears changes
    except OSError:
        names = []
    return names, [folder / n / OLD for n in names if n.startswith(".") and TEMPORARY in n]


def _without_link(path: Path) -> Path:
    """What a link points to; any other path itself."""
    try:
        return path.parent / path.readlink()
    except OSError:
        return path


def parts() -> list[str]:
    """Names of the artifacts in :func:`home` that are not a blackbox's own, in order."""
    return [n for n in artifacts("hwgpt-*") if kind_of(n) and not blackbox_of(n)]
