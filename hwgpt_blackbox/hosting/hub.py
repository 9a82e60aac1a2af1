"""Dataset repositories on the Hugging Face hub, or on a host that speaks its language."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urljoin

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.errors import InputError, TransferError
from hwgpt_blackbox.hosting.addresses import is_web_address, parse_hub
from hwgpt_blackbox.hosting.sources import Access
from hwgpt_blackbox.hosting.transfer import Failure, insist, of_status, redact, without

LIBRARY = "hwgpt-blackbox"

TIMEOUT = 20.0
"""Seconds without a byte after which a connection counts as cut."""

MAX_ANSWER_BYTES = 8 << 20
MAX_PAGES = 20
"""An answer of the API that is larger, or a listing of more pages, is refused."""

_COMMIT = re.compile(r"[0-9a-f]{40}")


def hub_endpoint(access: Access) -> str:
    """The host: as given, else as ``HF_ENDPOINT`` says now, else the public hub."""
    from huggingface_hub import constants

    endpoint = access.endpoint or os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if not is_web_address(endpoint):
        raise InputError(f"endpoint {redact(endpoint)!r} of the hub is no http(s):// address")
    return endpoint.rstrip("/")


class HubSource:
    """A folder of a dataset repository at one commit.

    :param url: ``hf://datasets/owner/repo/path``
    :param revision: branch, tag or commit; default: the default branch
    :raises InputError: the address is malformed
    :raises TransferError: the host does not answer or refuses
    :raises MissingArtifactError: no such repository or revision
    """

    def __init__(self, url: str, revision: str | None, access: Access) -> None:
        from huggingface_hub.utils import build_hf_headers

        where = parse_hub(url)
        if revision and where.revision and revision != where.revision:
            raise InputError(f"{url!r} names a revision, and so does {revision!r}; leave out one")
        self._repo, self._path = where.repo, where.path
        self._endpoint = hub_endpoint(access)
        self._headers = build_hf_headers(
            token=access.hub_token, library_name=LIBRARY, library_version=__version__
        )
        self.url = f"hf://datasets/{where.repo}" + (f"/{where.path}" if where.path else "")
        # The hub itself puts the first there, and people put the second.
        self.ignored = frozenset() if where.path else frozenset({".gitattributes", "README.md"})
        self.revision: str | None = self._pin(revision or where.revision or "main")

    def _pin(self, revision: str) -> str:
        """The commit that a revision stands for now."""
        url = f"{self._api}/revision/{quote(revision, safe='')}"
        what = f"{self.url} at revision {revision!r}"
        answer, _ = insist(lambda: self._get_json(url), what)
        commit = answer.get("sha") if isinstance(answer, dict) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise TransferError(
                f"{what}: {redact(self._endpoint)} answers with no commit; is it a hub?"
            )
        return commit

    @property
    def _api(self) -> str:
        return f"{self._endpoint}/api/datasets/{self._repo}"

    def entries(self) -> dict[str, int | None]:
        """Names in the folder at the commit, with sizes of files."""
        path = f"/{quote(self._path)}" if self._path else ""
        url: str | None = f"{self._api}/tree/{self.revision}{path}?recursive=false"
        found: dict[str, int | None] = {}
        for _ in range(MAX_PAGES):
            if url is None:
                return found
            rows, url = self._get_json(url)
            for row in rows if isinstance(rows, list) else ():
                if isinstance(row, dict) and isinstance(row.get("path"), str):
                    size = row.get("size") if row.get("type") == "file" else None
                    found[row["path"].rpartition("/")[2]] = size
        raise Failure(f"it lists more than {MAX_PAGES} pages; refused", again=False)

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes of a file at the commit; more than ``stop`` if that is what the host sends."""
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(
            self._repo,
            f"{self._path}/{name}" if self._path else name,
            repo_type="dataset",
            revision=self.revision,
            endpoint=self._endpoint,
        )
        with _Stream(url, {**self._headers, "Range": f"bytes={start}-{stop - 1}"}) as stream:
            # A host that knows no ranges sends everything.
            yield from without(stream.chunks(), 0 if stream.status == 206 else start)

    def _get_json(self, url: str) -> tuple[Any, str | None]:
        """An answer of the API, and where its next page is."""
        content = b""
        with _Stream(url, self._headers) as stream:
            for chunk in stream.chunks():
                content += chunk
                if len(content) > MAX_ANSWER_BYTES:
                    raise Failure(f"{url} answers without end; refused", again=False)
            further = stream.next_page
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise Failure(f"{url} answers with no JSON", again=False) from error
        if further is not None:
            further = urljoin(url, further)
            if not further.startswith(f"{self._endpoint}/"):  # the token would go with it
                raise Failure(f"{url} continues on another host; refused", again=False)
        return answer, further


class _Stream:
    """One GET, its body unread; every failure of it is a :class:`Failure`."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        from huggingface_hub import get_session

        # What is sent is what is stored: a compressed body would have another sha256.
        self._request = get_session().stream(
            "GET",
            url,
            headers={**headers, "Accept-Encoding": "identity"},
            follow_redirects=True,
            timeout=TIMEOUT,
        )

    def __enter__(self) -> _Stream:
        with failures():
            self._response = self._request.__enter__()
        self.status: int = self._response.status_code
        if self.status not in (200, 206):
            header = self._response.headers
            self._request.__exit__(None, None, None)
            reason = header.get("X-Error-Message") or header.get("X-Error-Code") or ""
            raise of_status(self.status, reason, header.get("Retry-After"))
        return self

    def __exit__(self, *error: Any) -> None:
        with failures():
            self._request.__exit__(*error)

    @property
    def next_page(self) -> str | None:
        found: str | None = self._response.links.get("next", {}).get("url")
        return found

    def chunks(self) -> Iterator[bytes]:
        with failures():
            yield from self._response.iter_raw()


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Turn what the hub's client raises in the block into :class:`Failure`."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise Failure("huggingface_hub is in offline mode", again=False) from error
    except HfHubHTTPError as error:
        answer = error.response
        reason = error.server_message or ""
        raise of_status(answer.status_code, reason, answer.headers.get("Retry-After")) from error
    except (HTTPError, OSError) as error:
        raise Failure(f"{type(error).__name__}: {error}", again=_may_pass(error)) from error
    except (ValueError, KeyError) as error:  # its answer was read in vain
        raise Failure(
            f"unexpected answer ({type(error).__name__}: {error})", again=False
        ) from error
    except Exception as error:
        if type(error).__name__ != "InvalidURL":  # which is none of the client's HTTPErrors
            raise
        raise Failure(f"{type(error).__name__}: {error}", again=False) from error


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may go better: not where addresses are malformed or go in circles."""
    if type(error).__name__ == "RemoteProtocolError":  # a connection that is cut, too
        return "Invalid URL" not in str(error)
    return type(error).__name__ not in ("TooManyRedirects", "UnsupportedProtocol")
