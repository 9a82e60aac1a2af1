"""Where artifacts live: the user's folder first, then what the wheel ships."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from hwgpt_blackbox.errors import MissingArtifactError

HOME_VARIABLE = "HWGPT_BLACKBOX_HOME"
"""Environment variable that names the folder of converted and pulled artifacts."""

MANIFEST = "manifest.json"
"""The file that makes a folder an artifact."""

EMBEDDED = Path(__file__).parent / "artifacts"
"""Folder of the artifacts that the wheel ships."""


_OPTIONS = {
    "published": " --only published",
    "autogluon": " --only autogluon --trust-pickles",
    "device": " --device {device}",
}
"""What ``convert`` needs to make the parts of a space that it does not make by itself."""


def home() -> Path:
    """Folder of converted and pulled artifacts (it need not exist).

    ``HWGPT_BLACKBOX_HOME`` if set, else where Syne Tune keeps its own blackboxes. Read anew at
    every call, so that a changed environment counts.
    """
    named = os.environ.get(HOME_VARIABLE)
    return Path(named).expanduser() if named else Path("~/.blackbox-repository").expanduser()


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

    :raises MissingArtifactError: there is none; the message says which command makes one
    """
    for folder, embedded in ((home(), False), (EMBEDDED, True)):
        if (folder / name / MANIFEST).is_file():
            return Location(folder / name, embedded)
    _, space, part = f"{name}--".split("-", 2)
    part, _, device = part.strip("-").partition("-")
    options = _OPTIONS.get(part, "").format(device=device)
    source = "your measurements" if device else "a checkout of HW-GPT-Bench"
    raise MissingArtifactError(
        f"{name} is not on this machine (looked in {home()}); make it from {source} with: "
        f"hwgpt-blackbox convert SOURCE --space {space}{options}"
    )
