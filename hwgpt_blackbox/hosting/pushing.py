"""Publishing an artifact: checked first, complete at the end, its manifest read back."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hwgpt_blackbox.errors import (
    DataError,
    HWGPTError,
    InputError,
    MissingArtifactError,
    OutputError,
    TransferError,
)
from hwgpt_blackbox.hosting.addresses import Address, parse
from hwgpt_blackbox.hosting.hub import HubSource, open_to_write
from hwgpt_blackbox.hosting.listing import Listing, read_listing
from hwgpt_blackbox.hosting.sources import Source, StoreSource
from hwgpt_blackbox.storage import locations
from hwgpt_blackbox.storage.artifact_check import check_artifact, locate
from hwgpt_blackbox.storage.atomic_writes import terminate_as_exit
from hwgpt_blackbox.storage.remote import Access, check_text

logger = logging.getLogger(__name__)


def push(
    artifact: str | Path,
    url: str,
    *,
    endpoint: str | None = None,
    token: str | None = None,
    anonymous: bool = False,
    options: Mapping[str, Any] | None = None,
    offline: bool | None = None,
    create: bool = False,
    overwrite: bool = False,
    branch: str | None = None,
    message: str | None = None,
    progress: bool = True,
) -> str:
    """Publish an artifact of this machine, so that :func:`pull` finds it.

    It is checked whole before anything is sent. Afterwards the manifest is read back, and the names
    and sizes of the files that arrived are compared with it; their content is checked by whoever
    pulls it. On the hub it is one commit; elsewhere the manifest, without which it is no artifact,
    is last. In a store or folder that holds this version already nothing is sent.

    :param artifact: a name (``hwgpt-s-tabular``: the one in use), or its folder
    :param url: a repository: the artifact gets the folder of its name in it, unless the address is
        a folder of that name. ``hf://datasets/owner/repo`` (or ``owner/repo``),
        ``s3://bucket/prefix``, any URL of fsspec, or a folder
    :param endpoint: of the hub or of an S3-compatible store; default: ``HF_ENDPOINT``,
        ``AWS_ENDPOINT_URL``
    :param token: for the hub; default: ``HF_TOKEN``, or the hub's own login
    :param anonymous: send no credentials
    :param options: further arguments of the file system of fsspec
    :param offline: never touch the network; default: as ``HWGPT_BLACKBOX_OFFLINE`` or
        ``HF_HUB_OFFLINE`` says
    :param create: make the repository on the hub if there is none; it is private
    :param overwrite: replace another version there (a hub keeps the earlier ones, and needs no such
        word), remove files of others from the artifact's folder, and send everything again
    :param branch: on the hub; default: the default branch
    :param message: of the commit on the hub
    :param progress: show the progress of libraries that have one
    :return: the revision that :func:`pull` takes: a commit on the hub, else the manifest's sha256
    :raises InputError: there is no such artifact, or the address is malformed
    :raises MissingArtifactError: the artifact, the repository or the branch is not there
    :raises DataError: the artifact is not sound, or what arrived is not what was sent
    :raises OutputError: another version or files of others are there, or it cannot be written
    :raises TransferError: the host refuses or fails, or offline
    """
    check_text("branch", branch)
    check_text("message", message)
    folder = locate(str(artifact.absolute() if isinstance(artifact, Path) else artifact))
    check_artifact(folder)
    source = StoreSource(Address("file", str(folder.absolute())), Access())
    listing = read_listing(source.manifest(), source.url)
    source.check(listing)
    address = parse(url).below(listing.name)
    offline = locations.offline() if offline is None else offline
    access = Access(endpoint, token, anonymous, options or {})
    if offline and address.is_remote:
        raise TransferError(f"{address.shown} is on the network, which offline mode does not touch")
    if address.scheme != "hf" and (branch or create or message):
        raise InputError(
            f"branch, create and message are for the hub; leave them out for {address.shown}"
        )
    with terminate_as_exit():
        target: HubSource | StoreSource
        if address.scheme == "hf":
            target = open_to_write(address.url, branch, access, create=create)
        else:
            target = StoreSource(address, access)
        stale = _stale(target, listing, overwrite=overwrite)
        if stale is None:
            return listing.digest
        revision = listing.digest
        if isinstance(target, StoreSource):
            target.write(folder, listing, stale)
        else:
            revision = target.write(
                folder, listing, stale, branch=branch, message=message, progress=progress
            )
            target = HubSource(address.url, revision, access)
        _check_arrived(target, listing)
        return revision


def _stale(target: Source, listing: Listing, *, overwrite: bool) -> dict[str, bool] | None:
    """What a folder holds and an artifact lacks: names, and whether each is a folder.

    :param overwrite: whether another version, or files of others, may be replaced
    :return: None if the folder is what would be pushed, as far as names and sizes tell
    :raises OutputError: another version, of which no copy is kept there, or files of others
    """
    there: dict[str, int | None] = {}
    content = None
    with suppress(MissingArtifactError):
        there = target.entries() or {}
        content = None if overwrite else target.manifest()
    stale = {name: there[name] is None for name in sorted(set(there) - listing.names)}
    if content is not None and target.revision is None:
        digest = hashlib.sha256(content).hexdigest()
        if digest != listing.digest:
            raise OutputError(
                f"{target.url} holds another version, {digest}; replace it with --overwrite "
                "(overwrite=True), or choose another address: stores keep no earlier versions"
            )
        try:
            target.check(listing)
        except DataError as error:
            logger.warning("%s is pushed again: %s", target.url, error)
        else:
            return None
    listed: set[str] = set()
    with suppress(DataError):
        listed = read_listing(content, target.url).names if content else listed
    foreign = [name for name in stale if name not in listed or stale[name]]
    if foreign and not overwrite:
        raise OutputError(
            f"{target.url} holds files that are not of the artifact, {foreign[0]!a:.80} first; "
            "remove them with --overwrite (overwrite=True), or choose another address"
        )
    return stale


def _check_arrived(source: Source, listing: Listing) -> None:
    """Read the manifest back, and compare names and sizes of the files; not their content.

    :raises DataError: it is not what was sent
    """
    try:
        if source.manifest() != listing.content:
            raise DataError("its manifest is another one")
        source.check(listing)
    except HWGPTError as error:
        raise DataError(
            f"what arrived at {source.url} is not what was sent ({error}); somebody else may be "
            "pushing there: push again"
        ) from error
