"""Dataset repositories on the Hugging Face hub, or on a host that speaks its language."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, TransferError
from hwgpt_blackbox.hosting.addresses import parse_hub
from hwgpt_blackbox.hosting.listing import Listing, check_foreign, read_listing
from hwgpt_blackbox.hosting.sources import Count, fetch_manifest
from hwgpt_blackbox.storage.remote import TIMEOUT, Access, failures, is_web_address, redact

LIBRARY = "hwgpt-blackbox"

MAX_ANSWER_BYTES = 8 << 20
MAX_ENTRIES = 1000
MAX_WAIT = 120
"""An answer of the API, or a folder, beyond these is refused; a host that asks to wait longer, in
seconds, is not waited for."""

_trusted: set[str | None] = set()
"""Hosts that get the token."""


def _open(access: Access) -> Any:
    """The library's client.

    :raises InputError: the endpoint is no address
    """
    from huggingface_hub import HfApi, constants

    endpoint = access.endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if not is_web_address(endpoint):
        raise InputError(f"endpoint {redact(endpoint)!r} of the hub is no http(s):// address")
    _trusted.update(urlsplit(url).hostname for url in (endpoint, constants.ENDPOINT))
    _guard()
    token = False if access.anonymous else access.token
    return HfApi(endpoint.rstrip("/"), token, LIBRARY, __version__)


def _guard() -> None:
    """Have the library's requests for us, which its user agent tells, checked; others pass."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    former = _http._GLOBAL_CLIENT_FACTORY  # the user's own, with a proxy perhaps
    if getattr(former, "checks", False):
        return

    def factory() -> Any:
        client = former()
        hooks = client.event_hooks
        hooks["request"].append(_check_request)
        hooks["response"].append(_check_answer)
        client.event_hooks = hooks
        return client

    factory.checks = True  # type: ignore[attr-defined]
    set_client_factory(factory)
    for handler in logging.getLogger("huggingface_hub").handlers:
        handler.addFilter(_redact_record)  # it names the addresses that it tries again


def _redact_record(record: logging.LogRecord) -> bool:
    record.msg, record.args = redact(record.getMessage()), ()
    return True


def _is_ours(request: Any) -> bool:
    return str(request.headers.get("user-agent", "")).startswith(f"{LIBRARY}/")


def _check_request(request: Any) -> None:
    """Set a limit of time where there is none; refuse to send the token elsewhere.

    :raises TransferError: it would go to another host
    """
    if not _is_ours(request):
        return
    limits = request.extensions.get("timeout") or {}
    known = {key: value for key, value in limits.items() if value is not None}
    defaults = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT)
    request.extensions["timeout"] = {**defaults, **known}
    if "authorization" in request.headers and request.url.host not in _trusted:
        raise TransferError(f"the hub continues on another host, {request.url.host}; refused")


def _check_answer(answer: Any) -> None:
    """Refuse what no hub sends: pauses of hours, success without content, answers without end.

    :raises TransferError: it is one of these
    """
    request, status = answer.request, answer.status_code
    if not _is_ours(request):
        return
    url, wait = redact(str(request.url)), answer.headers.get("Retry-After", "").strip()
    if wait.isdigit() and int(wait[:9]) > MAX_WAIT:
        raise TransferError(f"{url}: the host asks to wait {wait[:9]} s; try again then")
    empty = 200 < status < 400 and status != 206 and not answer.has_redirect_location
    if request.method == "GET" and empty:
        raise TransferError(f"{url} failed (HTTP {status})")
    if "/api/" not in request.url.path and status < 400:
        return  # a file, whose bytes are counted
    chunks = answer.iter_bytes

    def bounded(*args: Any, **kwargs: Any) -> Iterator[bytes]:
        size = 0
        for chunk in chunks(*args, **kwargs):
            size += len(chunk)
            if size > MAX_ANSWER_BYTES:
                raise TransferError(f"{url} answers without end; refused")
            yield chunk

    answer.iter_bytes = bounded


class HubSource:
    """A folder of a dataset repository at one commit.

    :param url: ``hf://datasets/owner/repo/path``
    :param revision: branch, tag or commit; default: the default branch
    :raises InputError: the address is malformed
    :raises TransferError: the host does not answer or refuses
    :raises MissingArtifactError: no such repository or revision
    """

    def __init__(self, url: str, revision: str | None, access: Access) -> None:
        self._where = where = parse_hub(url)
        if revision and where.revision and revision != where.revision:
            raise InputError(f"{url!r} names a revision, and so does {revision!r}; leave out one")
        self._api = _open(access)
        self.url = f"hf://datasets/{where.repo}" + (f"/{where.path}" if where.path else "")
        # The hub itself puts the first there, and people put the second.
        self.ignored = frozenset() if where.path else frozenset({".gitattributes", "README.md"})
        self.revision: str | None = self._pin(revision or where.revision or "main")

    def _pin(self, revision: str) -> str:
        """The commit that a revision stands for now."""
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

        what = f"{self.url} at revision {revision!r}"
        with failures(what):
            answer = http_backoff(  # the library's own dataset_info makes one attempt
                "GET",
                f"{self._api.endpoint}/api/datasets/{self._where.repo}"
                f"/revision/{quote(revision, safe='')}",
                headers=build_hf_headers(
                    token=self._api.token, library_name=LIBRARY, library_version=__version__
                ),
            )
            hf_raise_for_status(answer)
            commit = answer.json()["sha"]
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise TransferError(
                f"{what}: {redact(self._api.endpoint)} answers with no commit; is it a hub?"
            )
        return commit

    def entries(self) -> dict[str, int | None]:
        """Names in the folder at the commit, with sizes of files."""
        with failures(self.url):
            found = self._api.list_repo_tree(
                self._where.repo,
                self._where.path or None,
                revision=self.revision,
                repo_type="dataset",
            )
            rows = list(islice(found, MAX_ENTRIES + 1))
        if len(rows) > MAX_ENTRIES:
            raise TransferError(f"{self.url} lists more than {MAX_ENTRIES} entries; refused")
        return {row.path.rpartition("/")[2]: getattr(row, "size", None) for row in rows}

    def fetch(self, name: str, folder: Path, count: Count) -> Path:
        """Fetch a file; one that is in the folder, of this commit, is not fetched again."""
        from tqdm import tqdm

        class Counted(tqdm):  # type: ignore[misc]
            def __init__(self, *args: Any, initial: int = 0, **kwargs: Any) -> None:
                super().__init__(disable=True)
                count(name, initial)

            def update(self, n: float | None = 1) -> None:
                count(name, int(n or 0))

        where = self._where
        with failures(f"{self.url}/{name}"):
            path = self._api.hf_hub_download(
                where.repo,
                f"{where.path}/{name}" if where.path else name,
                repo_type="dataset",
                revision=self.revision,
                local_dir=folder,
                tqdm_class=Counted,
            )
        return Path(path)


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
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    where = parse_hub(url)
    if where.revision:
        raise InputError(f"{url!r}: name the branch with --branch (revision=), not in the address")
    api = _open(access)
    if create:
        with failures(url):
            api.create_repo(where.repo, repo_type="dataset", private=True, exist_ok=True)
    source = _target(url, branch, access, create)
    operations: list[Any] = [
        CommitOperationAdd(f"{where.path}/{name}", str(folder / name))
        for name in sorted(listing.names)
    ]
    operations += [
        CommitOperationDelete(f"{where.path}/{name}", is_folder=is_folder)
        for name, is_folder in _stale(source, listing, overwrite)
    ]
    quiet = not (progress or are_progress_bars_disabled())
    if quiet:
        disable_progress_bars()
    try:
        with failures(url):
            # Not upload_folder, which may make several commits of one push.
            commit = api.create_commit(
                where.repo,
                operations,
                commit_message=message or f"Push {listing.name} {listing.digest[:12]}",
                repo_type="dataset",
                revision=branch,
            )
            return str(commit.oid)
    finally:
        if quiet:
            enable_progress_bars()


def _target(url: str, branch: str | None, access: Access, create: bool) -> HubSource:
    """The folder as it is now.

    :raises MissingArtifactError: there is no such repository, or no such branch
    """
    try:
        return HubSource(url, branch, access)
    except MissingArtifactError as error:
        cure = "" if create else "; --create (create=True) makes the repository"
        if branch is not None and "RevisionNotFound" in str(error):
            cure = (
                f"; the repository has no branch {branch!r}: make it on the hub first, or push to "
                "the default branch"
            )
        raise MissingArtifactError(f"{error}{cure}") from error


def _stale(source: HubSource, listing: Listing, overwrite: bool) -> list[tuple[str, bool]]:
    """What a folder holds and an artifact lacks: names, and whether each is a folder.

    :param overwrite: whether it may be more than the manifest there lists
    :raises OutputError: it is more
    """
    there: dict[str, int | None] = {}
    with suppress(MissingArtifactError):
        there = source.entries()
    stale = sorted(set(there) - listing.names)
    if stale and not overwrite:
        listed: set[str] = set()
        with suppress(MissingArtifactError, DataError):  # there is none, or no sound one
            listed = read_listing(fetch_manifest(source), source.url).names
        check_foreign([n for n in stale if n not in listed or there[n] is None], source.url)
    return [(name, there[name] is None) for name in stale]
