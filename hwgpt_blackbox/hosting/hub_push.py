"""Publishing to a dataset repository on the hub: one commit per push."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.hosting.addresses import parse_hub
from hwgpt_blackbox.hosting.download import fetch_manifest
from hwgpt_blackbox.hosting.hub import LIBRARY, HubSource, failures, hub_endpoint
from hwgpt_blackbox.hosting.listing import Listing, check_foreign, read_listing
from hwgpt_blackbox.hosting.sources import Access
from hwgpt_blackbox.hosting.transfer import Failure, insist
from hwgpt_blackbox.storage.manifest import MAX_MANIFEST_BYTES


def push_to_hub(
    folder: Path,
    listing: Listing,
    url: str,
    access: Access,
    *,
    create: bool,
    overwrite: bool,
    branch: str | None,
    message: str | None,
    progress: bool,
) -> str:
    """Commit an artifact; files of an earlier version that it lacks go in the same commit.

    Nothing outside its folder is touched.

    :param folder: of the artifact
    :param url: ``hf://datasets/owner/repo/path`` of its folder there
    :param create: make the repository, private, if there is none
    :param overwrite: remove what the manifest in that folder does not list
    :param branch: default: the default branch
    :return: the commit
    :raises OutputError: files of others lie in that folder
    :raises HWGPTError: the hub refuses or fails
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    where = parse_hub(url)
    if where.revision:
        raise InputError(f"{url!r}: name the branch with --branch (revision=), not in the address")
    api = HfApi(hub_endpoint(access), access.hub_token, LIBRARY, __version__)
    if create:
        _call(
            url,
            lambda: api.create_repo(where.repo, repo_type="dataset", private=True, exist_ok=True),
        )
    source = _open(url, branch, access, create)
    operations: list[Any] = [
        CommitOperationAdd(f"{where.path}/{name}", str(folder / name))
        for name in sorted(listing.names)
    ]
    operations += _removals(source, listing, where.path, overwrite)
    with _progress(progress):
        commit = _call(
            url,
            lambda: api.create_commit(
                where.repo,
                operations,
                commit_message=message or f"Push {listing.name} {listing.digest[:12]}",
                repo_type="dataset",
                revision=branch,
            ),
        )
    return str(commit.oid)


def _open(url: str, branch: str | None, access: Access, create: bool) -> HubSource:
    """The folder as it is now.

    :raises MissingArtifactError: there is no such repository, or no such branch
    """
    try:
        return HubSource(url, branch, access)
    except MissingArtifactError as error:
        if branch is not None and _has_repository(url, access):
            raise MissingArtifactError(
                f"{error}; the repository has no branch {branch!r}: make it on the hub first, or "
                "push to the default branch"
            ) from error
        cure = "" if create else "; --create (create=True) makes the repository"
        raise MissingArtifactError(f"{error}{cure}") from error


def _has_repository(url: str, access: Access) -> bool:
    try:
        HubSource(url, None, access)
    except MissingArtifactError:
        return False
    return True


def _removals(source: HubSource, listing: Listing, path: str, overwrite: bool) -> list[Any]:
    """What removes from a folder the files that an artifact lacks.

    :param path: of the folder in the repository
    :param overwrite: whether it may be more than the manifest there lists
    :raises OutputError: it would be more
    """
    from huggingface_hub import CommitOperationDelete

    there = _entries(source)
    stale = sorted(set(there) - listing.names)
    if not overwrite:
        listed = _listed(source)
        check_foreign([n for n in stale if n not in listed or there[n] is None], source.url)
    return [
        CommitOperationDelete(f"{path}/{name}", is_folder=there[name] is None) for name in stale
    ]


def _listed(source: HubSource) -> set[str]:
    """Files that the manifest in a folder lists; none where there is none, or no sound one."""
    try:
        return read_listing(fetch_manifest(source, MAX_MANIFEST_BYTES), source.url).names
    except (MissingArtifactError, DataError):
        return set()


def _call(url: str, action: Any) -> Any:
    def guarded() -> Any:
        try:
            with failures():
                return action()
        except (ValueError, KeyError, TypeError) as error:  # the library reads what it gets
            text = f"unexpected answer ({type(error).__name__}: {error})"
            raise Failure(text, again=False) from error

    return insist(guarded, url)


def _entries(source: HubSource) -> dict[str, int | None]:
    """What the folder holds; nothing where there is none."""

    def ask() -> dict[str, int | None]:
        try:
            return source.entries()
        except Failure as failure:
            if failure.status == 404:
                return {}
            raise

    return insist(ask, source.url)


@contextlib.contextmanager
def _progress(shown: bool) -> Iterator[None]:
    """Progress bars of the hub's library in the block, or none."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    before = are_progress_bars_disabled()
    if not shown:
        disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()
