"""Fetching an artifact: from wherever it is, whole and checked, into its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.hosting.addresses import Address, parse
from hwgpt_blackbox.hosting.hub import HubSource
from hwgpt_blackbox.hosting.listing import Listing, read_listing
from hwgpt_blackbox.hosting.sources import Source, StoreSource, copy_files
from hwgpt_blackbox.hosting.versions import (
    SHORTEST_REVISION,
    PulledArtifact,
    Version,
    cached,
    check_revision,
    home_of,
    named,
    origin_of,
)
from hwgpt_blackbox.storage import locations
from hwgpt_blackbox.storage.artifact_check import artifact_of
from hwgpt_blackbox.storage.atomic_writes import terminate_as_exit
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
    Whatever fails, the version in use stays in use. A version that is here already is checked, not
    fetched. Versions of the hub stay beside the one in use, others are replaced.

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
    :param overwrite: replace an artifact of the same name that was converted here
    :param activate: False fetches it only: of the hub, whose versions stay side by side
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
    offline = locations.offline() if offline is None else offline
    access = Access(endpoint, token, anonymous, options or {})
    wanted = _resolve(what, repository, revision)
    root = home_of(home)
    with terminate_as_exit():
        here = _from_here(wanted, root, offline)
        if here is not None:
            name, digest, origin = here.name, here.digest, here.origins[-1]
        else:
            source = _open(wanted.address, revision, access)
            listing = _read_listing(source, wanted)
            name, digest = listing.name, listing.digest
            origin = origin_of(source.url, source.revision, revision)
            if not activate and source.revision is None:
                raise InputError(
                    f"activate=False is for the hub: of {source.url} no version is kept beside the "
                    "one in use; leave it out, or choose another folder with home="
                )
        artifact = PulledArtifact(name, root)

        with artifact.lock():
            if activate:
                artifact.check_free(overwrite=overwrite)
            version = here or artifact.find(digest)
            if version is not None:
                get = None if version.active else partial(copy_files, version.path)
            else:
                source.check(listing)
                get = partial(artifact.fetch, source, listing, jobs, progress)
            return artifact.install(digest, origin, get, activate=activate)


def _open(address: Address, revision: str | None, access: Access) -> Source:
    if address.scheme == "hf":
        return HubSource(address.url, revision, access)
    return StoreSource(address, access)


@dataclass(frozen=True)
class _Wanted:
    """What a user asked for."""

    name: str | None  # None where an address was given
    address: Address
    stated: bool  # whether the user said where to look
    revision: str | None


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
    address = parse(locations.repository() if repository is None else repository).below(name)
    return _Wanted(name, address, repository is not None, revision)


def _from_here(wanted: _Wanted, root: Path, offline: bool) -> Version | None:
    """The version that was asked for, if it is here and nobody need be asked.

    :raises MissingArtifactError: it is not, and the network is not to be touched
    """
    revision = wanted.revision
    needed = offline and wanted.address.is_remote
    if not needed and not (revision and _EXACT.fullmatch(revision)):
        return None
    found = [version for version in cached(root) if wanted.name in (None, version.name)]
    if wanted.stated:
        found = [version for version in found if version.is_from(wanted.address.shown)]
    found.sort(key=lambda v: (v.active, v.pulled), reverse=True)
    found = named(found, revision) if revision else found
    for version in found:
        if sound := PulledArtifact(version.name, root).find(version.digest):
            return sound
    if needed:
        what = wanted.address.shown if wanted.stated or wanted.name is None else wanted.name
        at = f" at revision {revision!r}" if revision else ""
        raise MissingArtifactError(
            f"{what}{at} was not pulled to {root}, and offline mode does not touch the network; "
            "see hwgpt-blackbox list --cached, or go online"
        )
    return None


def _read_listing(source: Source, wanted: _Wanted) -> Listing:
    """The manifest at a source, checked.

    :raises InputError: the host keeps no revisions, and the one asked for is no digest
    :raises DataError: it is not of what was asked for
    """
    where = f"{source.url}/{locations.MANIFEST}"
    try:
        content = source.manifest()
    except MissingArtifactError as error:
        if not source.url.startswith(f"{locations.DEFAULT_REPOSITORY}/"):
            raise
        raise MissingArtifactError(
            f"{error}; nothing of ours is known to be published there so far: name a repository "
            f"that has it with --from or {locations.REPOSITORY_VARIABLE}, or make it: "
            "hwgpt-blackbox convert"
        ) from error
    listing = read_listing(content, where)
    if wanted.name not in (None, listing.name):
        raise DataError(f"{where} is of {listing.name!r}, and {wanted.name!r} was asked for")
    if (revision := wanted.revision) is None or source.revision is not None:
        return listing
    if not re.fullmatch(rf"[0-9a-fA-F]{{{SHORTEST_REVISION},64}}", revision):
        raise InputError(
            f"revision {revision!r}: {source.url} keeps no branches, so a revision is the sha256 "
            f"of the manifest, or at least its first {SHORTEST_REVISION} digits"
        )
    if not listing.digest.startswith(revision.lower()):
        raise DataError(
            f"{source.url} is at revision {listing.digest}, and {revision!r} was asked for: it "
            "moved on"
        )
    return listing
