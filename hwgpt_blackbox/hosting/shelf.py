"""Pulled artifacts on this machine: versions side by side, one of each name in use.

In the home, hidden from what looks for artifacts::

    .hwgpt-blackbox/<name>/lock                          held by whoever changes the rest
    .hwgpt-blackbox/<name>/partial/                      downloads that were cut
    .hwgpt-blackbox/<name>/versions/<digest>/<name>/     the artifact
    .hwgpt-blackbox/<name>/versions/<digest>/origin.json where it is from
    <name>                                               link to the version in use

A version appears by one rename when it is complete and checked; the link is replaced by another.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import DataError, MissingArtifactError, OutputError
from hwgpt_blackbox.hosting.download import OTHER_HOME
from hwgpt_blackbox.hosting.listing import Listing
from hwgpt_blackbox.hosting.versions import (
    MAX_ORIGINS,
    Version,
    origin_of,
    read_origins,
    write_origins,
)
from hwgpt_blackbox.storage.artifact_kinds import check_artifact
from hwgpt_blackbox.storage.atomic_writes import apply_umask, discard, sync, writing
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import sha256

logger = logging.getLogger(__name__)

HIDDEN = ".hwgpt-blackbox"
ORIGIN = "origin.json"

DIGEST_LENGTH = 16
"""Hexadecimal digits of a manifest's sha256 that name a version's folder."""


class Shelf:
    """The versions of one name.

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
        for path in self._root.glob("tmp-*"):
            discard(path)
        for path in self._root.glob("next-*"):
            # It was about to be put in place of a folder that had been set aside.
            folder = path.readlink().parent.name if path.is_symlink() else None
            discard(path)
            if folder and not os.path.lexists(self.link) and self._artifact(folder).is_dir():
                self._point(folder)
        if self.partial.is_symlink() or not self.partial.is_dir():
            discard(self.partial)

    def _artifact(self, folder: str) -> Path:
        return self._versions / folder / self.name

    def versions(self) -> list[Version]:
        """Every version, the one pulled last at the end."""
        active = self._active()
        found = []
        for path in self._versions.glob("*/"):
            # It may be none, or be removed meanwhile by whoever holds the lock.
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                found.append(self._version(path, active=path.name == active))
        return sorted(found, key=lambda version: version.pulled)

    def _version(self, path: Path, *, active: bool) -> Version:
        """The version in a folder of its own.

        :raises OSError: there is none, or not any more
        """
        artifact = path / self.name
        digest = sha256(artifact / MANIFEST)
        size = sum(file.lstat().st_size for file in artifact.iterdir())
        return Version(self.name, digest, artifact, active, size, read_origins(path / ORIGIN))

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
        """Make a version of files that were fetched; call it while holding the lock.

        :param files: by name; they are moved
        :param where: where they are from, for messages
        :raises DataError: the artifact is not sound; nothing of it stays
        :raises OutputError: it cannot be written
        """
        place = self._versions / listing.digest[:DIGEST_LENGTH]
        with self._temporary() as temporary:
            artifact = temporary / self.name
            with writing(artifact, OTHER_HOME):
                artifact.mkdir()
                (artifact / MANIFEST).write_bytes(listing.content)
                for name, path in files.items():
                    path.rename(artifact / name)
                apply_umask(temporary)
            try:
                check_artifact(artifact)
            except DataError as error:
                reason = str(error).replace(str(artifact), where)
                raise DataError(f"{reason}; nothing was installed") from error
            with writing(place, OTHER_HOME):
                sync(artifact)
                if os.path.lexists(place):  # it was found damaged
                    with self._temporary() as aside:
                        place.rename(aside / "old")
                temporary.rename(place)
                sync(place)
        return self._by_folder(place.name)

    def note(self, version: Version, origin: Mapping[str, Any]) -> Version:
        """Note that a version was found at a further place, or again."""
        same = ("source", "revision", "requested")
        others = [r for r in version.origins if any(r.get(k) != origin.get(k) for k in same)]
        with writing(version.path, OTHER_HOME):
            write_origins(version.path.parent / ORIGIN, (*others[1 - MAX_ORIGINS :], origin))
        return self._by_folder(version.path.parent.name)

    def activate(self, version: Version, *, overwrite: bool) -> Version:
        """Have a version be the one that is loaded by name; call it while holding the lock.

        :param overwrite: whether to set aside an artifact that was not pulled; it becomes a version
        :raises OutputError: something else has the name
        :raises MissingArtifactError: somebody else removed the version meanwhile
        """
        if not version.path.is_dir():
            raise MissingArtifactError(f"{version.path} was removed meanwhile; pull it again")
        if os.path.lexists(self.link) and self._active() is None:
            self._set_aside(version, overwrite)
        else:
            self._point(version.path.parent.name)
        return self._by_folder(version.path.parent.name)

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

    def _set_aside(self, version: Version, overwrite: bool) -> None:
        self.check_free(overwrite=overwrite)
        with writing(self.link, OTHER_HOME), self._temporary() as temporary:
            digest = sha256(self.link / MANIFEST)
            place = self._versions / digest[:DIGEST_LENGTH]
            write_origins(temporary / ORIGIN, (origin_of(str(self.link), None, None),))
            apply_umask(temporary)
            following = self._next(version.path.parent.name)
            if os.path.lexists(place):
                self.link.rename(temporary / self.name)
            else:
                # If the process dies between these, what it left is found by _tidy.
                temporary.rename(place)
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

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[Path]:
        with writing(self._root, OTHER_HOME):
            path = Path(tempfile.mkdtemp(prefix="tmp-", dir=self._root))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def remove(self, version: Version) -> None:
        """Remove a version; call it while holding the lock."""
        with writing(version.path, OTHER_HOME), self._temporary() as temporary:
            if version.active:
                self.link.unlink()
            version.path.parent.rename(temporary / "old")

    def drop_partial(self) -> None:
        """Remove what is left of downloads that were cut."""
        discard(self.partial)

    def _by_folder(self, folder: str) -> Version:
        return next(v for v in self.versions() if v.path.parent.name == folder)
