"""Fetching an artifact: from wherever it is, into a version of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import (
    DataError,
    HWGPTError,
    InputError,
    MissingArtifactError,
    OutputError,
)
from hwgpt_blackbox.hosting.addresses import Address, parse
from hwgpt_blackbox.hosting.listing import (
    Listing,
    artifact_of,
    check_entries,
    is_artifact_name,
    read_listing,
)
from hwgpt_blackbox.hosting.sources import Source, counting, fetch_manifest, open_source
from hwgpt_blackbox.hosting.versions import (
    DIGEST_LENGTH,
    OTHER_HOME,
    SHORTEST_REVISION,
    Shelf,
    Version,
    cached,
    check_revision,
    home_of,
    named,
    origin_of,
)
from hwgpt_blackbox.storage import locations as places
from hwgpt_blackbox.storage.atomic_writes import discard, need, terminate_as_exit, writing
from hwgpt_blackbox.storage.remote import Access, check_text

JOBS = 4
"""Files that are fetched at once."""

_EXACT = re.compile(r"[0-9a-fA-F]{40}|[0-9a-fA-F]{64}")
"""A commit, or a manifest's sha256: what it names never changes."""


def pull(
    what: str,
    *,
    repository: str | None = None,
    revision: str | None = None,
    home: str | Path | None = None,
    endpoint: str | None = None,
    token: str | None = None,
    anonymous: bool = False,
    options: Mapping[str, Any] | None = None,
    offline: bool | None = None,
    overwrite: bool = False,
    activate: bool = True,
    jobs: int = JOBS,
    progress: bool = True,
) -> Version:
    """Fetch an artifact, and have it be the one that is loaded by its name.

    Every file is checked against the manifest, and the content read, before anything is in place.
    Whatever fails, the version in use stays in use. What was cut is gone on with the next time.
    A version that is here already is checked, not fetched.

    :param what: a name (``hwgpt-s-tabular``), or the address of an artifact's folder: a URL
        (``hf://datasets/owner/repo/hwgpt-s-tabular``, ``s3://bucket/hwgpt-s-tabular`` …), or a
        folder
    :param repository: with a name: the address of the folder that holds it, ``owner/repo`` on the
        hub included; default: ``HWGPT_BLACKBOX_REPOSITORY``, else Syne Tune's own repository
    :param revision: the version: on the hub a branch, tag or commit; anywhere the sha256 of the
        manifest, or its first digits
    :param home: folder of the artifacts; default: ``HWGPT_BLACKBOX_HOME``, else where Syne Tune
        looks
    :param endpoint: of the hub or of an S3-compatible store; default: ``HF_ENDPOINT``,
        ``AWS_ENDPOINT_URL``
    :param token: for the hub; default: ``HF_TOKEN``, or the hub's own login
    :param anonymous: send no credentials
    :param options: further arguments of the file system of fsspec
    :param offline: never touch the network: use a folder, or a version that is here; default: as
        ``HWGPT_BLACKBOX_OFFLINE`` or ``HF_HUB_OFFLINE`` says
    :param overwrite: let it take the place of an artifact of the same name that was converted here;
        that one becomes a version
    :param activate: False fetches it only
    :param jobs: files at once
    :param progress: show a progress bar on standard error
    :raises InputError: a name or an address is malformed
    :raises MissingArtifactError: it is not there
    :raises TransferError: the host refuses or fails, or offline
    :raises DataError: what is there is corrupt, hostile, or not what was asked for
    :raises OutputError: it cannot be written: the disk is full, the name is taken
    """
    if not isinstance(jobs, int) or jobs < 1:
        raise InputError(f"jobs is {jobs!r}; expected a whole number from 1")
    offline = places.offline() if offline is None else offline
    access = Access(endpoint, token, anonymous, options or {})
    wanted = _resolve(what, repository, revision)
    root = home_of(home)
    with terminate_as_exit():
        here = _from_here(wanted, root, offline)
        if here is not None:
            shelf = Shelf(here.name, root)
            with shelf.lock():
                return shelf.activate(here, overwrite=overwrite) if activate else here
        source = open_source(wanted.address, revision, access)
        listing = _read_listing(source, wanted)
        shelf = Shelf(listing.name, root)
        with shelf.lock():
            version = shelf.get(listing.digest)
            if version is None:
                if activate:
                    shelf.check_free(overwrite=overwrite)
                version = _fetch(source, listing, shelf, jobs, progress)
            version = shelf.note(version, origin_of(source.url, source.revision, revision))
            return shelf.activate(version, overwrite=overwrite) if activate else version


@dataclass(frozen=True)
class _Wanted:
    """What a user asked for."""

    name: str | None  # None where an address was given
    address: Address
    stated: bool  # whether the user said where to look
    revision: str | None

    def __str__(self) -> str:
        what = self.address.shown if self.stated or self.name is None else self.name
        return f"{what} at revision {self.revision!r}" if self.revision else what


def _resolve(what: str, repository: str | None, revision: str | None) -> _Wanted:
    check_revision(revision)
    check_text("repository", repository)
    if not isinstance(what, str) or not what:
        raise InputError(f"{what!r} is neither a name nor an address")
    if "/" in what or what.startswith("."):
        if repository is not None:
            raise InputError(f"{what!r} is an address, which needs no repository; leave out one")
        return _Wanted(None, parse(what), True, revision)
    name = artifact_of(what)
    address = parse(places.repository() if repository is None else repository).below(name)
    return _Wanted(name, address, repository is not None, revision)


def _from_here(wanted: _Wanted, root: Path, offline: bool) -> Version | None:
    """The version that was asked for, if it is here and nobody need be asked.

    :raises MissingArtifactError: it is not, and the network is not to be touched
    """
    revision = wanted.revision
    exact = revision is not None and _EXACT.fullmatch(revision) is not None
    needed = offline and wanted.address.is_remote
    if not exact and not needed:
        return None
    found = [version for version in cached(root) if wanted.name in (None, version.name)]
    if wanted.stated:
        found = [version for version in found if version.is_from(wanted.address.shown)]
    if revision is None:
        found.sort(key=lambda v: (v.active, v.pulled), reverse=True)
    else:
        version = named(found, revision)
        found = [version] if version else []
    for version in found:
        if Shelf(version.name, root).get(version.digest):
            return version
    if needed:
        raise MissingArtifactError(
            f"{wanted} was not pulled to {root}, and offline mode does not touch the network; see "
            "hwgpt-blackbox list --cached, or go online"
        )
    return None


def _fetch(source: Source, listing: Listing, shelf: Shelf, jobs: int, progress: bool) -> Version:
    """Fetch what a listing names and make a version of it.

    Of a download that fails the files that came whole stay, for the next one.
    """
    entries = source.entries()
    if entries is not None:
        check_entries(listing, entries, source.url, source.ignored)
    folder = shelf.partial / listing.digest[:DIGEST_LENGTH]
    try:
        with writing(folder, OTHER_HOME):
            if any(path.is_symlink() for path in folder.rglob("*")):
                discard(folder)
            folder.mkdir(parents=True, exist_ok=True)
            need(folder, listing.size, OTHER_HOME)
            with ThreadPoolExecutor(jobs) as pool, counting(source, listing, progress) as count:
                files = {
                    pool.submit(source.fetch, file.name, folder, count): file.name
                    for file in listing.files
                }
                try:
                    fetched = {files[done]: done.result() for done in as_completed(files)}
                finally:
                    for waiting in files:
                        waiting.cancel()
        version = shelf.install(listing, fetched, source.url)
    except (DataError, OutputError):
        discard(shelf.partial)  # what is wrong is not kept, and a full disk is not left full
        raise
    discard(shelf.partial)
    return version


def _read_listing(source: Source, wanted: _Wanted) -> Listing:
    """The manifest at a source, checked; it must be of what was asked for."""
    where = f"{source.url}/{places.MANIFEST}"
    try:
        content = fetch_manifest(source)
    except MissingArtifactError as error:
        raise MissingArtifactError(f"{error}{_hint(source)}") from error
    listing = read_listing(content, where)
    if wanted.name not in (None, listing.name):
        raise DataError(f"{where} is of {listing.name!r}, and {wanted.name!r} was asked for")
    if wanted.revision is not None and source.revision is None:
        _check_digest(listing, wanted.revision, source.url)
    return listing


def _hint(source: Source) -> str:
    """What else there is at an address that holds no artifact itself."""
    if source.url.startswith(f"{places.DEFAULT_REPOSITORY}/"):
        return (
            "; nothing of ours is known to be published there so far: name a repository that has "
            f"it with --from or {places.REPOSITORY_VARIABLE}, or make it: hwgpt-blackbox convert"
        )
    try:
        entries = source.entries() or {}
    except HWGPTError:
        return ""
    names = sorted(entry for entry in entries if is_artifact_name(entry))
    return f"; it holds {', '.join(names)}: add one of these to the address" if names else ""


def _check_digest(listing: Listing, revision: str, url: str) -> None:
    """Compare a revision with the manifest, where the host keeps no revisions.

    :raises InputError: the revision is no digest
    :raises DataError: what is there is of another revision
    """
    if not re.fullmatch(rf"[0-9a-fA-F]{{{SHORTEST_REVISION},64}}", revision):
        raise InputError(
            f"revision {revision!r}: {url} keeps no branches, so a revision is the sha256 of the "
            f"manifest, or at least its first {SHORTEST_REVISION} digits"
        )
    if not listing.digest.startswith(revision.lower()):
        raise DataError(
            f"{url} is at revision {listing.digest}, and {revision!r} was asked for: it moved on"
        )
