"""Publishing an artifact: checked first, complete at the end, its manifest read back."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Mapping
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
from hwgpt_blackbox.hosting.listing import (
    Listing,
    artifact_of,
    check_entries,
    check_foreign,
    read_listing,
)
from hwgpt_blackbox.hosting.sources import (
    FolderSource,
    Source,
    StoreSource,
    fetch_manifest,
    open_source,
)
from hwgpt_blackbox.storage import locations as places
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.atomic_writes import Outputs, terminate_as_exit, writing
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
    folder = _locate(artifact)
    check_artifact(folder)
    content = (folder / places.MANIFEST).read_bytes()
    listing = read_listing(content, str(folder / places.MANIFEST))
    _check_entries(FolderSource(folder), listing)
    address = parse(url).below(listing.name)
    offline = places.offline() if offline is None else offline
    access = Access(endpoint, token, anonymous, options or {})
    if offline and address.is_remote:
        raise TransferError(f"{address.shown} is on the network, which offline mode does not touch")
    if address.scheme != "hf" and (branch or create or message):
        raise InputError(
            f"branch, create and message are for the hub; leave them out for {address.shown}"
        )
    with terminate_as_exit():
        if address.scheme == "hf":
            from hwgpt_blackbox.hosting.hub import push_to_hub

            pinned = push_to_hub(
                folder,
                listing,
                address.url,
                access,
                create=create,
                overwrite=overwrite,
                branch=branch,
                message=message,
                progress=progress,
            )
            _compare(open_source(address, pinned, access), listing)
            return pinned
        _compare(_push(folder, listing, address, access, overwrite), listing)
        return listing.digest


def _locate(artifact: str | Path) -> Path:
    """The folder of a name or of an address on this machine."""
    text = str(artifact)
    if "/" not in text and not text.startswith(".") and not isinstance(artifact, Path):
        return places.find(artifact_of(text)).path
    folder = Path(text).expanduser()
    if not (folder / places.MANIFEST).is_file():
        raise MissingArtifactError(f"{folder} is no artifact: it has no {places.MANIFEST}")
    return folder


def _push(
    folder: Path, listing: Listing, address: Address, access: Access, overwrite: bool
) -> Source:
    """Write to a folder or a store, unless the same artifact is there already.

    :return: what reads it back
    """
    if address.scheme == "file":
        target = Path(address.url)
        if overwrite or not target.is_dir() or not _is_there(FolderSource(target), listing):
            _write(folder, listing, target, overwrite)
        return FolderSource(target)
    store = StoreSource(address, access)
    if overwrite or not _is_there(store, listing):
        store.write(folder, listing, overwrite=overwrite)
    return store


def _write(folder: Path, listing: Listing, target: Path, overwrite: bool) -> None:
    """Copy an artifact to a folder in one step; what is left there of the same is replaced.

    :raises OutputError: something else is there, or it cannot be written; nothing of it stays
    """
    other, manifest = "choose another address", target / places.MANIFEST
    with writing(target, other):
        if not overwrite and manifest.is_file() and manifest.read_bytes() == listing.content:
            check_foreign(
                sorted({path.name for path in target.iterdir()} - listing.names), str(target)
            )
            overwrite = True
    with Outputs(target.parent, [target.name], overwrite=overwrite, other=other) as outputs:
        outputs.need(listing.size)
        temporary = outputs.build(target.name)
        with writing(temporary, other):
            for name in sorted(listing.names):
                shutil.copyfile(folder / name, temporary / name)
        outputs.publish()


def _is_there(source: Source, listing: Listing) -> bool:
    """Whether what is at a source is what would be pushed, as far as names and sizes tell.

    :raises OutputError: it is another version, which is not to be replaced
    """
    try:
        digest = hashlib.sha256(fetch_manifest(source)).hexdigest()
    except MissingArtifactError:
        return False
    if digest != listing.digest:
        raise OutputError(
            f"{source.url} holds another version, {digest}; replace it with --overwrite "
            "(overwrite=True), or choose another address: stores keep no earlier versions"
        )
    try:
        _check_entries(source, listing)
    except DataError as error:
        logger.warning("%s is pushed again: %s", source.url, error)
        return False
    return True


def _compare(source: Source, listing: Listing) -> None:
    """Read the manifest back, and compare names and sizes of the files; not their content.

    :raises DataError: it is not what was sent
    """
    try:
        arrived = fetch_manifest(source)
        if arrived != listing.content:
            raise DataError("its manifest is another one")
        _check_entries(source, listing)
    except HWGPTError as error:
        raise DataError(
            f"what arrived at {source.url} is not what was sent ({error}); somebody else may be "
            "pushing there: push again"
        ) from error


def _check_entries(source: Source, listing: Listing) -> None:
    """Compare what is at a source with a manifest, where it can be listed.

    :raises DataError: a file is missing, unlisted or of another size
    """
    entries = source.entries()
    if entries is not None:
        check_entries(listing, entries, source.url, source.ignored)
