"""Publishing to a dataset repository on the hub: one commit per push."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import InputError, MissingArtifactError
from hwgpt_blackbox.hosting.hub import LIBRARY, HubSource, failures, hub_endpoint, parse_hub
from hwgpt_blackbox.hosting.listing import Listing
from hwgpt_blackbox.hosting.sources import Access
from hwgpt_blackbox.hosting.transfer import Failure, insist


def push_to_hub(
    folder: Path,
    listing: Listing,
    url: str,
    access: Access,
    create: bool,
    branch: str | None,
    message: str | None,
    progress: bool,
) -> str:
    """Commit an artifact; files of an earlier version that it lacks go in the same commit.

    :param folder: of the artifact
    :param url: ``hf://datasets/owner/repo/path``
    :param create: make the repository, private, if there is none
    :param branch: default: the default branch
    :return: the commit
    :raises HWGPTError: the hub refuses or fails
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    where = parse_hub(url)
    if where.revision:
        raise InputError(f"{url!r}: name the branch with --branch (revision=), not in the address")
    api = HfApi(hub_endpoint(access), access.hub_token, LIBRARY, __version__)
    if create:
        _call(
            url,
            lambda: api.create_repo(where.repo, repo_type="dataset", private=True, exist_ok=True),
        )
    try:
        source = HubSource(url, branch, access)
    except MissingArtifactError as error:
        raise MissingArtifactError(
            f"{error}; --create (create=True) makes the repository"
        ) from error
    there = _entries(source)
    stale = [f"{where.path}/{name}" for name in sorted(set(there) - listing.names)]
    operations: list[Any] = [
        CommitOperationAdd(f"{where.path}/{name}", str(folder / name))
        for name in sorted(listing.names)
    ]
    operations += [
        CommitOperationDelete(path, is_folder=there[path.rpartition("/")[2]] is None)
        for path in stale
    ]
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
