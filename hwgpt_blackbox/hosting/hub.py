"""Dataset repositories on the Hugging Face hub, or on a host that speaks its language."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import InputError, MissingArtifactError, TransferError
from hwgpt_blackbox.hosting.addresses import parse_hub
from hwgpt_blackbox.hosting.listing import Listing
from hwgpt_blackbox.hosting.sources import Count, Source
from hwgpt_blackbox.storage.remote import TIMEOUT, Access, failures, is_web_address, redact

LIBRARY = "hwgpt-blackbox"

MAX_ANSWER_BYTES = 8 << 20
MAX_ENTRIES = 1000
MAX_WAIT = 120
"""An answer of the API, or a folder, beyond these is refused; a host that asks to wait longer, in
seconds, is not waited for."""

_trusted: set[str | None] = set()
"""Hosts that get the token."""

_PLAIN = re.compile(r'(W/)?"?[\w-]+(\.[\w-]+)*"?')
"""What may stand in headers from which the library makes names of files."""


def _open(access: Access) -> Any:
    """The library's client.

    Its requests for us, which its user agent tells, are checked; others pass.

    :raises InputError: the endpoint is no address
    """
    from huggingface_hub import HfApi, constants, set_client_factory
    from huggingface_hub.utils import _http

    endpoint = access.endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if not is_web_address(endpoint):
        raise InputError(f"endpoint {redact(endpoint)!r} of the hub is no http(s):// address")
    _trusted.update(urlsplit(url).hostname for url in (endpoint, constants.ENDPOINT))
    former = _http._GLOBAL_CLIENT_FACTORY  # the user's own, with a proxy perhaps

    def factory() -> Any:
        client = former()
        hooks = client.event_hooks
        hooks["request"].append(_check_request)
        hooks["response"].append(_check_answer)
        client.event_hooks = hooks
        return client

    if not getattr(former, "checks", False):
        factory.checks = True  # type: ignore[attr-defined]
        set_client_factory(factory)
        for handler in logging.getLogger("huggingface_hub").handlers:
            handler.addFilter(_redact_record)  # it names the addresses that it tries again
    token = False if access.anonymous else access.token
    return HfApi(endpoint.rstrip("/"), token, LIBRARY, __version__)


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
    """Refuse what no hub sends.

    That is: pauses of hours, success without content, answers without end, and paths in headers
    from which the library makes names of files.

    :raises TransferError: the answer is one of these
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
    if "/api/" not in request.url.path:
        for header in ("X-Repo-Commit", "X-Linked-ETag", "ETag"):
            if not _PLAIN.fullmatch(answer.headers.get(header) or "none"):
                raise TransferError(f"{url} answers with {header} that is no name; refused")
        if status < 400:
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


class HubSource(Source):
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
        # The hub makes the first file at the root, and people write the second.
        self.ignored = frozenset() if where.path else frozenset({".gitattributes", "README.md"})
        self.revision: str | None = self._pin(revision or where.revision or "main")

    def _pin(self, revision: str) -> str:
        """The commit that a revision stands for now."""
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

        what, api = f"{self.url} at revision {revision!r}", self._api
        path = f"api/datasets/{self._where.repo}/revision/{quote(revision, safe='')}"
        headers = build_hf_headers(
            token=api.token, library_name=LIBRARY, library_version=__version__
        )
        with failures(what):  # the library's own dataset_info makes one attempt
            answer = http_backoff("GET", f"{api.endpoint}/{path}", headers=headers)
            hf_raise_for_status(answer)
            commit = answer.json()["sha"]
        if not isinstance(commit, str) or not re.fullmatch(r"[0-9a-f]{40}", commit):
            raise TransferError(
                f"{what}: {redact(api.endpoint)} answers with no commit; is it a hub?"
            )
        return commit

    def entries(self) -> dict[str, int | None]:
        """Names in the folder at the commit, with sizes of files."""
        repo, path = self._where.repo, self._where.path or None
        with failures(self.url):
            found = self._api.list_repo_tree(
                repo, path, revision=self.revision, repo_type="dataset"
            )
            rows = list(islice(found, MAX_ENTRIES + 1))
        if len(rows) > MAX_ENTRIES:
            raise TransferError(f"{self.url} lists more than {MAX_ENTRIES} entries; refused")
        return {row.path.rpartition("/")[2]: getattr(row, "size", None) for row in rows}

    def get(self, name: str, folder: Path, count: Count) -> Path:
        """Fetch a file into a cache of the library; one that is there is not fetched again."""
        from tqdm import tqdm

        class CountingBar(tqdm):  # type: ignore[misc]
            def __init__(self, *args: Any, initial: int = 0, **kwargs: Any) -> None:
                super().__init__(disable=True)
                count(name, initial)

            def update(self, n: float | None = 1) -> None:
                count(name, int(n or 0))

        with failures(f"{self.url}/{name}"):
            path = self._api.hf_hub_download(
                self._where.repo,
                f"{self._where.path}/{name}".lstrip("/"),
                repo_type="dataset",
                revision=self.revision,
                cache_dir=folder,
                tqdm_class=CountingBar,
            )
        return Path(path)

    def write(
        self,
        artifact: Path,
        listing: Listing,
        stale: Mapping[str, bool],
        *,
        branch: str | None,
        message: str | None,
        progress: bool,
    ) -> str:
        """Commit an artifact; nothing outside its folder is touched.

        :param stale: names in that folder that go in the same commit, and whether each is a folder
        :param branch: default: the default branch
        :return: the commit
        :raises HWGPTError: the hub refuses or fails
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete, utils

        path = self._where.path
        operations: list[Any] = [
            CommitOperationAdd(f"{path}/{name}", str(artifact / name))
            for name in sorted(listing.names)
        ]
        operations += [CommitOperationDelete(f"{path}/{name}", stale[name]) for name in stale]
        quiet = not (progress or utils.are_progress_bars_disabled())
        if quiet:
            utils.disable_progress_bars()
        try:
            with failures(self.url):
                # Not upload_folder, which may make several commits of one push.
                commit = self._api.create_commit(
                    self._where.repo,
                    operations,
                    commit_message=message or f"Push {listing.name} {listing.digest[:12]}",
                    repo_type="dataset",
                    revision=branch,
                )
                return str(commit.oid)
        finally:
            if quiet:
                utils.enable_progress_bars()


def open_to_write(url: str, branch: str | None, access: Access, *, create: bool) -> HubSource:
    """The folder as it is now, to be pushed to.

    :param create: make the repository, private, if there is none
    :raises InputError: the address names a revision
    :raises MissingArtifactError: there is no such repository, or no such branch
    """
    where = parse_hub(url)
    if where.revision:
        raise InputError(f"{url!r}: name the branch with --branch (revision=), not in the address")
    if create:
        api = _open(access)
        with failures(url):
            api.create_repo(where.repo, repo_type="dataset", private=True, exist_ok=True)
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
