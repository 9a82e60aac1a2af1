"""Pulled artifacts on this machine: the one in use of each name, and the versions of the hub.

The one in use is the folder of its name in the home. Beside it, hidden from what looks for
artifacts::

    .hwgpt-blackbox/<name>/lock          held by whoever changes the rest, or what is in use
    .hwgpt-blackbox/<name>/origins.json  where each version was pulled from
    .hwgpt-blackbox/<name>/hub/          cache of the hub's library: versions side by side
    .hwgpt-blackbox/<name>/versions/     those of the release before, to one of which a link points
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, OutputError
from hwgpt_blackbox.hosting.listing import Listing, artifact_of
from hwgpt_blackbox.hosting.sources import Source, copy_files
from hwgpt_blackbox.storage import locations
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.artifact_kinds import kind_of
from hwgpt_blackbox.storage.atomic_writes import (
    Outputs,
    check_others,
    discard,
    need,
    temporary_folder,
    write_file,
    writing,
)
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import read_small, sha256

logger = logging.getLogger(__name__)

OTHER_HOME = "choose another folder with --home"
"""How users of these commands choose where something is written."""

HIDDEN = ".hwgpt-blackbox"

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


def named(versions: Sequence[Version], revision: str) -> Version | None:
    """The version of a name that a revision stands for.

    A digest, a commit, or their start; else a branch or tag, which is the version that was pulled
    last as that.

    :raises InputError: several begin so
    """
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
        return locations.home().absolute()
    if not isinstance(folder, str | Path) or not str(folder):
        raise InputError(f"home is {folder!r}; expected a folder")
    return Path(folder).expanduser().absolute()


def cached(home: str | Path | None = None) -> list[Version]:
    """Every version of every pulled artifact on this machine, by name.

    :param home: folder of the artifacts; default: ``HWGPT_BLACKBOX_HOME``, else where Syne Tune
        looks
    """
    root = home_of(home)
    names = sorted(path.name for path in (root / HIDDEN).glob("*/"))
    return [v for n in names if kind_of(n) for v in PulledArtifact(n, root).versions()]


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
    artifact = PulledArtifact(artifact_of(name), home_of(home))
    artifact.choose(revision)  # before a lock is made for nothing
    with artifact.lock():
        gone = artifact.choose(revision)
        for version in gone:
            artifact.remove(version.digest)
        if revision is None:
            discard(artifact.hub)
        left = artifact.versions()
        if left and any(v.active for v in gone):
            artifact.use(left[-1])
    return gone


class PulledArtifact:
    """The versions of one name; what changes them is called while holding the lock.

    :param name: of the artifact
    :param home: the home
    """

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.path = home / name
        self._root = home / HIDDEN / name
        self._log = self._root / "origins.json"
        self.hub = self._root / "hub"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the name alone: other threads and processes that want to change it wait.

        What killed processes left is removed.

        :raises OutputError: the home cannot be written
        """
        from filelock import FileLock, Timeout

        with contextlib.ExitStack() as held, writing(self._root, OTHER_HOME):
            self._root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._root / "lock")
            try:
                held.enter_context(lock.acquire(timeout=0))
            except Timeout:
                logger.warning("another process is changing %s; waiting for it", self.name)
                held.enter_context(lock.acquire())
            held.callback(self._tidy)
            self._tidy()
            yield

    def _tidy(self) -> None:
        """Remove what is no longer needed, or was left by a process that was killed."""
        if self.hub.is_symlink():
            self.hub.unlink()
        needed = ["lock", "hub", "versions", *(["origins.json"] if self.versions() else [])]
        for path in (*self._root.iterdir(), *self.hub.glob("*/blobs/*.incomplete")):
            if path.name not in needed:
                discard(path)

    def versions(self) -> list[Version]:
        """Every version, the one pulled last at the end."""
        found = {v.digest: v for v in sorted(self._copies(), key=lambda v: v.active)}
        return sorted(found.values(), key=lambda v: v.pulled)

    def _copies(self) -> Iterator[Version]:
        """Every copy of every version; another process may remove some of them meanwhile."""
        in_use = os.path.realpath(self.path)
        paths = [*self._root.glob(f"versions/[!.]*/{self.name}")]
        paths += [path.parent for path in self.hub.glob(f"*/snapshots/*/**/{MANIFEST}")]
        for path in paths if self.path.is_symlink() else (*paths, self.path):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                digest = sha256(path / MANIFEST)
                size = sum(file.stat().st_size for file in path.iterdir())
                rows = _origins(self._log, digest) or _origins(path.parent / "origin.json")
                if path != self.path or rows:  # else it was converted here
                    active = os.path.realpath(path) == in_use
                    yield Version(self.name, digest, path, active, size, tuple(rows))

    def choose(self, revision: str | None) -> list[Version]:
        """The versions that a revision names, all where it is None.

        :raises MissingArtifactError: there are none, nor what came of a failed download
        """
        versions = self.versions()
        if not versions and not self.hub.exists():
            cure = "see: hwgpt-blackbox list --cached"
            if (self.path / MANIFEST).is_file():
                cure = f"{self.path} was converted here, or copied: remove that folder yourself"
            raise MissingArtifactError(f"no version of {self.name} was pulled; {cure}")
        if revision is None:
            return versions
        version = named(versions, revision)
        if version is None:
            known = ", ".join(v.digest[:16] for v in versions)
            raise MissingArtifactError(
                f"no version {revision!r} of {self.name} was pulled; here are: {known or 'none'}"
            )
        return [version]

    def find(self, digest: str) -> Version | None:
        """The version of this digest, if a copy is here that is still what its manifest says."""
        for version in sorted(self._copies(), key=lambda v: not v.active):
            if version.digest == digest:
                try:
                    check_artifact(version.path)
                except DataError as error:
                    logger.warning("%s is damaged and is not used: %s", version.path, error)
                    if not version.active:  # what is in use is replaced, not removed
                        self._drop(version.path)
                else:
                    return version
        return None

    def check_free(self, *, overwrite: bool) -> None:
        """Raise unless a version could be put in use: before an hour of download, not after.

        :param overwrite: whether what was not pulled may be replaced
        :raises OutputError: something else has the name
        """
        if not os.path.lexists(self.path):
            return
        if any(v.active for v in self.versions()):
            check_others(self.path, OTHER_HOME)
            return
        if not (self.path / MANIFEST).is_file() or self.path.is_symlink():
            raise OutputError(
                f"{self.path} exists and is no artifact, so it is not replaced; move it away, or "
                f"{OTHER_HOME}"
            )
        if not overwrite:
            raise OutputError(
                f"{self.path} was not pulled (it was converted here, or copied); replace it with "
                "--overwrite (overwrite=True), which removes it for good: push or copy it to "
                f"another folder to keep it; or {OTHER_HOME}"
            )

    def fetch(
        self,
        source: Source,
        listing: Listing,
        jobs: int,
        progress: bool,
    ) -> Version:
        """Fetch a version and check it; one that is not of the hub is gone when the lock is.

        :raises DataError: it is not sound; nothing of it stays
        :raises OutputError: it cannot be written
        """
        need(self._root, 2 * listing.size, OTHER_HOME)
        folder = self.hub if source.revision else self._root / "pull" / self.name
        try:
            with writing(folder, OTHER_HOME):
                folder.mkdir(parents=True, exist_ok=True)
                folder = source.download(listing, folder, jobs, progress)
            check_artifact(folder)
        except (DataError, OutputError) as error:
            if source.revision:
                self._forget(source.revision)  # a full disk is not left full
            reason = str(error).replace(str(folder), source.url)
            raise type(error)(f"{reason}; nothing was installed") from error
        return Version(self.name, listing.digest, folder, False, listing.size, ())

    def use(self, version: Version, origin: Mapping[str, Any] | None = None) -> Version:
        """Put a version in use, in the place of what has the name: in one step.

        :param origin: row of :attr:`Version.origins` to be noted
        :raises DataError: it changed since it was checked
        :raises OutputError: it cannot be written
        """
        noted = origin or next(reversed(version.origins), origin_of(str(self.path), None, None))
        if version.active:
            self.note(version.digest, noted)
            return self.get(version.digest)
        with Outputs(self.path.parent, [self.name], overwrite=True, other=OTHER_HOME) as outputs:
            folder = outputs.build(self.name)
            copy_files(version.path, folder, OTHER_HOME)
            check_artifact(folder)
            self.note(version.digest, noted)
            outputs.publish()
        return self.get(version.digest)

    def note(self, digest: str, origin: Mapping[str, Any]) -> None:
        """Note that a version was found at a further place, or again."""
        log: dict[str, list[Any]] = {v.digest: [*v.origins] for v in self.versions()}
        same = ("source", "revision", "requested")
        rows = [r for r in log.get(digest, ()) if any(r[key] != origin[key] for key in same)]
        log[digest] = [*rows[1 - MAX_ORIGINS :], origin]
        with writing(self._log, OTHER_HOME):
            write_file(self._log, json.dumps(log, indent=1))

    def remove(self, digest: str) -> None:
        """Remove every copy of a version.

        :raises OutputError: the one in use holds files that are not its own
        """
        for copy in list(self._copies()):
            if copy.digest == digest:
                if copy.active:
                    check_others(self.path, OTHER_HOME)
                    self._drop(self.path)
                if copy.path != self.path:  # it is where the link led, or in the cache
                    self._drop(copy.path)

    def _drop(self, path: Path) -> None:
        if self.hub in path.parents:
            self._forget(path.relative_to(self.hub).parts[2])
            return
        with writing(path, OTHER_HOME), temporary_folder(self._root, self.name) as gone:
            (path if path == self.path else path.parent).rename(gone / "gone")

    def _forget(self, commit: str) -> None:
        """Remove what the cache holds of a commit."""
        from huggingface_hub import scan_cache_dir

        if self.hub.is_dir():
            scan_cache_dir(self.hub).delete_revisions(commit).execute()

    def get(self, digest: str) -> Version:
        """The version of a digest that is here."""
        return next(v for v in self.versions() if v.digest == digest)


def origin_of(source: str, revision: str | None, requested: str | None) -> dict[str, Any]:
    """A row of :attr:`Version.origins` for now."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds")
    return {"source": source, "revision": revision, "requested": requested, "pulled": now}


def _origins(path: Path, digest: str | None = None) -> list[dict[str, Any]]:
    """The rows in a file, as :func:`origin_of` makes them; none if somebody broke it.

    :param digest: the key of the rows, where the file holds those of several versions
    """
    kinds = {"source": str, "pulled": str, "revision": str | None, "requested": str | None}
    try:
        rows = json.loads(read_small(path, MAX_ORIGIN_BYTES))
        rows = rows if digest is None else rows[digest]
        sound = all(isinstance(row[key], kind) for row in rows for key, kind in kinds.items())
    except (DataError, ValueError, RecursionError, LookupError, TypeError):
        return []
    return list(rows) if sound else []
