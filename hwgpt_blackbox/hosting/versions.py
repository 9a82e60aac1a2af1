"""Pulled artifacts on this machine: versions side by side, one of each name in use.

In the home, hidden from what looks for artifacts::

    .hwgpt-blackbox/<name>/lock                          held by whoever changes the rest
    .hwgpt-blackbox/<name>/partial/                      what came of a download that failed
    .hwgpt-blackbox/<name>/versions/<digest>/<name>/     the artifact
    .hwgpt-blackbox/<name>/versions/<digest>/origin.json where it is from
    <name>                                               link to the version in use

A version appears in one step when it is complete and checked; the link is replaced by another.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, OutputError
from hwgpt_blackbox.hosting.listing import Listing, artifact_of, is_artifact_name
from hwgpt_blackbox.storage import locations as places
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.atomic_writes import (
    Outputs,
    clean_up,
    discard,
    temporary_folder,
    write_file,
    writing,
)
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import sha256

logger = logging.getLogger(__name__)

OTHER_HOME = "choose another folder with --home"
"""How users of these commands choose where something is written."""

HIDDEN = ".hwgpt-blackbox"
ORIGIN = "origin.json"

MAX_ORIGIN_BYTES = 1 << 20
MAX_ORIGINS = 100
"""Places noted for a version; the oldest are forgotten."""

DIGEST_LENGTH = 16
"""Hexadecimal digits of a manifest's sha256 that name a version's folder."""

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


def home_of(folder: str | Path | None) -> Path:
    """The home that a user means.

    :raises InputError: it is no folder name
    """
    if folder is None:
        return places.home().absolute()
    if not isinstance(folder, str | Path) or not str(folder):
        raise InputError(f"home is {folder!r}; expected a folder")
    return Path(folder).expanduser().absolute()


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
        that was pulled last as that; default: all of them, and what came of failed downloads
    :param home: folder of the artifacts; default: ``HWGPT_BLACKBOX_HOME``, else where Syne Tune
        looks
    :return: what was removed
    :raises InputError: no artifact has such a name, or the revision names several versions
    :raises MissingArtifactError: no such version was pulled
    :raises OutputError: it cannot be removed
    """
    check_revision(revision)
    shelf = Shelf(artifact_of(name), home_of(home))
    shelf.choose(revision)  # before a lock is made for nothing
    with shelf.lock():
        gone = shelf.choose(revision)
        for version in gone:
            shelf.remove(version)
        if revision is None:
            discard(shelf.partial)
        left = shelf.versions()
        if left and any(v.active for v in gone):
            shelf.activate(left[-1], overwrite=False)
    return gone


class Shelf:
    """The versions of one name; what changes them is called while holding the lock.

    :param name: of the artifact
    :param folder: the home
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.link = folder / name
        self._root = folder / HIDDEN / name
        self._versions = self._root / "versions"
        self.partial = self._root / "partial"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the name alone: other threads and processes that want to change it wait.

        :raises OutputError: the home cannot be written
        """
        from filelock import FileLock, Timeout

        with writing(self._root, OTHER_HOME):
            self._versions.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._root / "lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                logger.warning("another process is changing %s; waiting for it", self.name)
                lock.acquire()
        try:
            with writing(self._root, OTHER_HOME):
                self._tidy()
            yield
        finally:
            lock.release()

    def _tidy(self) -> None:
        """Remove what a process that was killed left; nobody else is at work, we hold the lock."""
        for path in (self._root, *self._versions.glob("*/")):
            clean_up(path)
        for path in self._root.glob("tmp-*"):  # of the layout before
            discard(path)
        for path in self._root.glob("next-*"):
            # It was about to be put in place of a folder that had been set aside.
            folder = path.readlink().parent.name if path.is_symlink() else None
            discard(path)
            whole = folder and (self._versions / folder / self.name).is_dir()
            if folder and whole and not os.path.lexists(self.link):
                self._point(folder)
        if self.partial.is_symlink() or not self.partial.is_dir():
            discard(self.partial)

    def versions(self) -> list[Version]:
        """Every version, the one pulled last at the end."""
        active, found = self._active(), []
        for path in self._versions.glob("[!.]*/"):
            # It may be none, or be removed meanwhile by whoever holds the lock.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                artifact = path / self.name
                digest = sha256(artifact / MANIFEST)
                size = sum(file.lstat().st_size for file in artifact.iterdir())
                origins = _read_origins(path / ORIGIN)
                found.append(
                    Version(self.name, digest, artifact, path.name == active, size, origins)
                )
        return sorted(found, key=lambda version: version.pulled)

    def choose(self, revision: str | None) -> list[Version]:
        """The versions that a revision names, all where it is None.

        :raises MissingArtifactError: there are none, nor what came of a failed download
        """
        versions = self.versions()
        if not versions and not self.partial.exists():
            cure = "see: hwgpt-blackbox list --cached"
            if (self.link / MANIFEST).is_file():
                cure = f"{self.link} was converted here, or copied: remove that folder yourself"
            raise MissingArtifactError(f"no version of {self.name} was pulled; {cure}")
        if revision is None:
            return versions
        version = named(versions, revision)
        if version is None:
            known = ", ".join(v.digest[:DIGEST_LENGTH] for v in versions)
            raise MissingArtifactError(
                f"no version {revision!r} of {self.name} was pulled; here are: {known or 'none'}"
            )
        return [version]

    def _active(self) -> str | None:
        """Name of the folder that the link points to; None if it is no link of ours."""
        try:
            target = self.link.parent / self.link.readlink()
        except OSError:
            return None
        ours = target.parent.parent.resolve() == self._versions.resolve()
        return target.parent.name if ours else None

    def get(self, digest: str) -> Version | None:
        """The version of this digest, if it is here and still what its manifest says."""
        for version in self.versions():
            if version.digest == digest:
                try:
                    check_artifact(version.path)
                except DataError as error:
                    logger.warning("%s is damaged and is pulled again: %s", version.path, error)
                    return None
                return version
        return None

    def install(self, listing: Listing, files: Mapping[str, Path], where: str) -> Version:
        """Make a version of files that were fetched.

        :param files: by name; they are moved
        :param where: where they are from, for messages
        :raises DataError: the artifact is not sound; nothing of it stays
        :raises OutputError: it cannot be written
        """
        place = self._versions / listing.digest[:DIGEST_LENGTH]
        if not (place / self.name / MANIFEST).is_file():
            discard(place / self.name)
        with Outputs(place, [self.name], overwrite=True, other=OTHER_HOME) as outputs:
            artifact = outputs.build(self.name)
            with writing(artifact, OTHER_HOME):
                (artifact / MANIFEST).write_bytes(listing.content)
                for name, path in files.items():
                    path.rename(artifact / name)
            try:
                check_artifact(artifact)
            except DataError as error:
                reason = str(error).replace(str(artifact), where)
                raise DataError(f"{reason}; nothing was installed") from error
            outputs.publish()
        return self._by_folder(place.name)

    def note(self, version: Version, origin: Mapping[str, Any]) -> Version:
        """Note that a version was found at a further place, or again."""
        same = ("source", "revision", "requested")
        others = [r for r in version.origins if any(r.get(k) != origin.get(k) for k in same)]
        with writing(version.path, OTHER_HOME):
            _write_origins(version.path.parent / ORIGIN, (*others[1 - MAX_ORIGINS :], origin))
        return self._by_folder(version.path.parent.name)

    def activate(self, version: Version, *, overwrite: bool) -> Version:
        """Have a version be the one that is loaded by name.

        :param overwrite: whether to set aside an artifact that was not pulled; it becomes a version
        :raises OutputError: something else has the name
        :raises MissingArtifactError: somebody else removed the version meanwhile
        """
        folder = version.path.parent.name
        if not version.path.is_dir():
            raise MissingArtifactError(f"{version.path} was removed meanwhile; pull it again")
        self.check_free(overwrite=overwrite)
        if os.path.lexists(self.link) and self._active() is None:
            self._set_aside(folder)
        else:
            self._point(folder)
        return self._by_folder(folder)

    def check_free(self, *, overwrite: bool) -> None:
        """Raise unless a version could become active: before an hour of download, not after.

        :raises OutputError: something else has the name
        """
        if not os.path.lexists(self.link) or self._active() is not None:
            return
        if not (self.link / MANIFEST).is_file() or self.link.is_symlink():
            raise OutputError(
                f"{self.link} exists and is no artifact, so it is not replaced; move it away, or "
                f"{OTHER_HOME}"
            )
        if not overwrite:
            raise OutputError(
                f"{self.link} was not pulled (it was converted here, or copied); have the pulled "
                "one take its place with --overwrite (overwrite=True), which keeps it as a "
                f"version, or {OTHER_HOME}"
            )

    def _set_aside(self, folder: str) -> None:
        """Make a version of what was converted here, and point to another one."""
        with writing(self.link, OTHER_HOME):
            place = self._versions / sha256(self.link / MANIFEST)[:DIGEST_LENGTH]
            following = self._next(folder)
            if os.path.lexists(place):
                discard(self.link)
            else:
                # If the process dies between these, what it left is found by _tidy.
                place.mkdir()
                _write_origins(place / ORIGIN, (origin_of(str(self.link), None, None),))
                self.link.rename(place / self.name)
            following.replace(self.link)

    def _point(self, folder: str) -> None:
        """Have the link point to a version, in one step."""
        with writing(self.link, OTHER_HOME):
            self._next(folder).replace(self.link)

    def _next(self, folder: str) -> Path:
        """A link to a version, to be renamed to its place."""
        path = self._root / f"next-{os.getpid()}"
        path.unlink(missing_ok=True)
        # Renamed to the home, where it is relative to, so that a home can be moved.
        path.symlink_to(Path(HIDDEN, self.name, "versions", folder, self.name))
        return path

    def remove(self, version: Version) -> None:
        """Remove a version."""
        with writing(version.path, OTHER_HOME):
            if version.active:
                self.link.unlink()
            with temporary_folder(self._root, self.name) as gone:
                version.path.parent.rename(gone / "gone")

    def _by_folder(self, folder: str) -> Version:
        return next(v for v in self.versions() if v.path.parent.name == folder)


def origin_of(source: str, revision: str | None, requested: str | None) -> dict[str, Any]:
    """A row of :attr:`Version.origins` for now."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    return {"source": source, "revision": revision, "requested": requested, "pulled": now}


def _read_origins(path: Path) -> tuple[Mapping[str, Any], ...]:
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
    kinds = {"source": str, "pulled": str, "revision": str | None, "requested": str | None}
    return isinstance(row, dict) and all(
        key in row and isinstance(row[key], kind) for key, kind in kinds.items()
    )


def _write_origins(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_file(path, json.dumps([dict(row) for row in rows], indent=1) + "\n")
