"""What was pulled to this machine: listed, and removed."""

from __future__ import annotations

from pathlib import Path

from hwgpt_blackbox.errors import InputError, MissingArtifactError
from hwgpt_blackbox.hosting.listing import artifact_of, is_artifact_name
from hwgpt_blackbox.hosting.shelf import DIGEST_LENGTH, HIDDEN, Shelf
from hwgpt_blackbox.hosting.versions import Version, check_revision, named
from hwgpt_blackbox.storage import locations as places
from hwgpt_blackbox.storage.locations import MANIFEST


def cached(home: str | Path | None = None) -> list[Version]:
    """Every version of every pulled artifact on this machine, by name.

    :param home: folder of the artifacts; default: ``HWGPT_BLACKBOX_HOME``, else where Syne Tune
        looks
    """
    root = home_of(home)
    hidden = root / HIDDEN
    names = sorted(path.name for path in hidden.iterdir()) if hidden.is_dir() else []
    return [v for name in names if is_artifact_name(name) for v in Shelf(name, root).versions()]


def remove(
    name: str, revision: str | None = None, *, home: str | Path | None = None
) -> list[Version]:
    """Remove pulled versions of an artifact.

    When the one in use goes and others stay, the one pulled last of these takes its place.

    :param name: of the artifact, or of a blackbox that is read from it
    :param revision: the version: its digest, a commit, or a branch or tag, which is the version
        that was pulled last as that; default: all of them, and downloads that were cut
    :param home: folder of the artifacts; default: ``HWGPT_BLACKBOX_HOME``, else where Syne Tune
        looks
    :return: what was removed
    :raises InputError: no artifact has such a name, or the revision names several versions
    :raises MissingArtifactError: no such version was pulled
    :raises OutputError: it cannot be removed
    """
    check_revision(revision)
    shelf = Shelf(artifact_of(name), home_of(home))
    _chosen(shelf, revision)  # before a lock is made for nothing
    with shelf.lock():
        gone = _chosen(shelf, revision)
        for version in gone:
            shelf.remove(version)
        if revision is None:
            shelf.drop_partial()
        left = shelf.versions()
        if left and any(v.active for v in gone):
            shelf.activate(left[-1], overwrite=False)
    return gone


def _chosen(shelf: Shelf, revision: str | None) -> list[Version]:
    """The versions that a revision names, all where it is None.

    :raises MissingArtifactError: there are none, nor downloads that were cut
    """
    versions = shelf.versions()
    if not versions and not shelf.partial.exists():
        raise MissingArtifactError(_nothing_pulled(shelf))
    if revision is None:
        return versions
    version = named(versions, revision)
    if version is None:
        known = ", ".join(v.digest[:DIGEST_LENGTH] for v in versions)
        raise MissingArtifactError(
            f"no version {revision!r} of {shelf.name} was pulled; here are: {known or 'none'}"
        )
    return [version]


def _nothing_pulled(shelf: Shelf) -> str:
    text = f"no version of {shelf.name} was pulled"
    if (shelf.link / MANIFEST).is_file():
        return f"{text}; {shelf.link} was converted here, or copied: remove that folder yourself"
    return f"{text}; see: hwgpt-blackbox list --cached"


def home_of(folder: str | Path | None) -> Path:
    """The home that a user means.

    :raises InputError: it is no folder name
    """
    if folder is None:
        return places.home().absolute()
    if not isinstance(folder, str | Path) or not str(folder):
        raise InputError(f"home is {folder!r}; expected a folder")
    return Path(folder).expanduser().absolute()
