"""Pulled artifacts on this machine: the one in use of each name, and the versions of the hub.

The one in use is the folder of its name in the home. Beside it, hidden from what looks for
artifacts::

    .hwgpt-blackbox/<name>/lock          held by whoever changes the rest, or what is in use
    .hwgpt-blackbox/<name>/origins.json  where the version in use was pulled from
    .hwgpt-blackbox/<name>/hub/          cache of the hub's library: versions side by side
    .hwgpt-blackbox/<name>/versions/     of the release before: the name is a link into it
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, OutputError
from hwgpt_blackbox.hosting.listing import Listing
from hwgpt_blackbox.hosting.sources import Source, copy_files
from hwgpt_blackbox.storage import locations
from hwgpt_blackbox.storage.artifact_check import artifact_of, check_artifact
from hwgpt_blackbox.storage.artifact_kinds import kind_of
from hwgpt_blackbox.storage.atomic_writes import (
    Outputs,
    check_others,
    clean_up,
    discard,
    need,
    not_an_artifact,
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

SHORTEST_REVISION = 7
"""Digits of a digest or commit that are enough to name a version."""


@dataclass(frozen=True)
class Version:
    """A version of a pulled artifact on this machine.

    :param name: of the artifact
    :param digest: sha256 of its manifest
    :param path: folder of its files
    :param active: whether it is the one that is loaded by its name
    :param size: bytes
    :param origins: where it was pulled from: ``source`` (address), ``revision`` (a commit, or
        None), ``requested`` (what the user asked for, or None), ``pulled`` (UTC), the latest last
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


def named(versions: Sequence[Version], revision: str) -> list[Version]:
    """The version of a name whose digest or commit begins with a revision, or none.

    :raises InputError: several begin so
    """
    found = [
        version
        for version in versions
        if len(revision) >= SHORTEST_REVISION
        and any(
            fixed.startswith(revision.lower())
            for fixed in (version.digest, *(row["revision"] or "" for row in version.origins))
        )
    ]
    if len(found) > 1:
        raise InputError(
            f"revision {revision!r} names several versions: "
            f"{', '.join(version.digest for version in found)}; give more digits of one"
        )
    return found


def check_revision(revision: object) -> None:
    """Raise unless a revision may be one, or is None.

    :raises InputError: it is empty, no text, or unprintable
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
    :param revision: the version: its digest or a commit, or their first digits; default: all of
        them, and what came of failed downloads
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
        digests = {version.digest for version in gone}
        for copy in [copy for copy in artifact.copies() if copy.digest in digests]:
            artifact.drop(copy)
        if revision is None:
            artifact.clear()
        left = artifact.versions()
        if left and any(v.active for v in gone):
            last = left[-1]
            get = functools.partial(copy_files, last.path)
            artifact.install(last.digest, last.origins[-1], get)
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

        :raises OutputError: the home cannot be written
        """
        from filelock import FileLock

        with writing(self._root, OTHER_HOME):
            self._root.mkdir(parents=True, exist_ok=True)
            with FileLock(self._root / "lock"):
                clean_up(self._root)
                if self.hub.is_symlink():
                    self.hub.unlink()
                for path in self.hub.glob("*/blobs/*.incomplete"):  # it may be a link, too
                    path.unlink()
                yield

    def versions(self) -> list[Version]:
        """Every version, the one pulled last at the end."""
        return sorted({v.digest: v for v in self.copies()}.values(), key=lambda v: v.pulled)

    def copies(self) -> Iterator[Version]:
        """Every copy of every version, the one in use last.

        Another process may remove some of them meanwhile.
        """
        for path in list(self.hub.glob(f"*/snapshots/*/**/{MANIFEST}")):
            with contextlib.suppress(OSError):
                repository, _, commit, *inside = path.parent.relative_to(self.hub).parts
                source = "/".join(["hf:/", *repository.split("--"), *inside])
                row = origin_of(source, commit, None, path.stat().st_mtime)
                yield self._version(path.parent, sha256(path), [row])
        with contextlib.suppress(OSError):
            digest, real = sha256(self.path / MANIFEST), Path(os.path.realpath(self.path))
            rows = _origins(self._log, digest)
            if not rows and real.is_relative_to(os.path.realpath(self._root)):
                rows = [origin_of(str(self.path), None, None, real.stat().st_mtime)]
            if rows:  # else it was converted here, or copied
                yield self._version(self.path, digest, rows)

    def _version(self, path: Path, digest: str, origins: list[dict[str, Any]]) -> Version:
        size = sum(file.stat().st_size for file in path.iterdir())
        return Version(self.name, digest, path, path == self.path, size, tuple(origins))

    def choose(self, revision: str | None) -> list[Version]:
        """The versions that a revision names, all where it is None.

        :raises MissingArtifactError: there are none, nor what came of a failed download
        """
        versions = self.versions()
        found = versions if revision is None else named(versions, revision)
        if found or (revision is None and self.hub.exists()):
            return found
        if versions:
            raise MissingArtifactError(
                f"no version {revision!r} of {self.name} was pulled; here are: "
                f"{', '.join(v.digest[:16] for v in versions)}"
            )
        cure = "see: hwgpt-blackbox list --cached"
        if (self.path / MANIFEST).is_file():
            cure = f"{self.path} was converted here, or copied: remove that folder yourself"
        raise MissingArtifactError(f"no version of {self.name} was pulled; {cure}")

    def find(self, digest: str) -> Version | None:
        """The version of this digest, if a copy is here that is still what its manifest says."""
        for copy in reversed([copy for copy in self.copies() if copy.digest == digest]):
            try:
                check_artifact(copy.path)
                return copy
            except DataError as error:
                logger.warning("%s is damaged and is not used: %s", copy.path, error)
                if not copy.active:  # what is in use is replaced, not removed
                    self.drop(copy)
        return None

    def check_free(self, *, overwrite: bool) -> None:
        """Raise unless a version could be put in use: before an hour of download, not after.

        :param overwrite: whether what was not pulled may be replaced
        :raises OutputError: something else has the name
        """
        if not any(v.active for v in self.versions()):
            if self.path.is_symlink():
                raise not_an_artifact(self.path, OTHER_HOME)
            if (self.path / MANIFEST).is_file() and not overwrite:
                raise OutputError(
                    f"{self.path} was not pulled (it was converted here, or copied); replace it "
                    "with --overwrite (overwrite=True), which removes it for good: push or copy it "
                    f"to another folder to keep it; or {OTHER_HOME}"
                )
        self._outputs()

    def _outputs(self) -> Outputs:
        return Outputs(self.path.parent, [self.name], overwrite=True, other=OTHER_HOME)

    def fetch(
        self, source: Source, listing: Listing, jobs: int, progress: bool, folder: Path
    ) -> None:
        """Fetch the files of a version into a folder; those of the hub by way of its cache."""
        need(self._root, 2 * listing.size, OTHER_HOME)
        if source.revision is None:
            source.download(listing, folder, jobs, progress)
        else:
            copy_files(source.download(listing, self.hub, jobs, progress), folder)

    def install(
        self,
        digest: str,
        origin: Mapping[str, Any],
        get: Callable[[Path], object] | None,
        *,
        activate: bool = True,
    ) -> Version:
        """Check a version, and put it in use; it replaces the one in use in one step.

        :param origin: row of :attr:`Version.origins` to be noted
        :param get: puts its files into a folder; None: it is in use and sound
        :param activate: False checks it only
        :raises DataError: it is not sound; nothing of it stays
        :raises OutputError: it cannot be written
        """
        # Of both, as a killed process leaves the one or the other in use.
        log = {v.digest: [*v.origins] for v in self.versions() if v.active} | {digest: [origin]}
        with self._outputs() as outputs, writing(self.path, OTHER_HOME):
            if get is not None:
                folder = outputs.build(self.name)
                try:
                    with writing(self.path, OTHER_HOME):
                        get(folder)
                    check_artifact(folder)
                except (DataError, OutputError) as error:
                    if origin["revision"]:
                        self._forget(origin["revision"])  # a full disk is not left full
                    reason = str(error).replace(str(folder), origin["source"])
                    raise type(error)(f"{reason}; nothing was installed") from error
            if activate:
                write_file(self._log, json.dumps(log, indent=1))
                outputs.publish()
        return next(v for v in self.versions() if v.digest == digest)

    def drop(self, copy: Version) -> None:
        """Remove a copy of a version.

        :raises OutputError: it is in use and holds files that are not its own
        """
        if copy.active:
            check_others(self.path, OTHER_HOME)
            with writing(self.path, OTHER_HOME), temporary_folder(self._root, self.name) as gone:
                self.path.rename(gone / "gone")
                self._log.unlink(missing_ok=True)
        else:
            self._forget(copy.path.relative_to(self.hub).parts[2])

    def clear(self) -> None:
        """Remove all that lies around the versions: what failed or former downloads left."""
        for path in self._root.iterdir():
            if path.name != "lock":
                discard(path)

    def _forget(self, commit: str) -> None:
        """Remove what the cache holds of a commit."""
        from huggingface_hub import scan_cache_dir

        if self.hub.is_dir():
            scan_cache_dir(self.hub).delete_revisions(commit).execute()


def origin_of(
    source: str, revision: str | None, requested: str | None, time: float | None = None
) -> dict[str, Any]:
    """A row of :attr:`Version.origins`.

    :param time: when it was pulled, seconds since 1970; default: now
    """
    now = datetime.datetime.now(datetime.UTC)
    pulled = now if time is None else datetime.datetime.fromtimestamp(time, datetime.UTC)
    row = {"source": source, "revision": revision, "requested": requested}
    return {**row, "pulled": pulled.isoformat(timespec="microseconds")}


def _origins(path: Path, digest: str) -> list[dict[str, Any]]:
    """The rows of a version in a file, as :func:`origin_of` makes them; none if it is broken."""
    kinds = {"source": str, "pulled": str, "revision": str | None, "requested": str | None}
    try:
        rows = json.loads(read_small(path, MAX_ORIGIN_BYTES))[digest]
        sound = all(isinstance(row[key], kind) for row in rows for key, kind in kinds.items())
    except (DataError, ValueError, RecursionError, LookupError, TypeError):
        return []
    return list(rows) if sound else []
