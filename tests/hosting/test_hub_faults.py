"""Pulling from a hub that fails in every way it can."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hosted import REPO, SURROGATE, URL, assert_in_use, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Repository

from hwgpt_blackbox import cached, pull
from hwgpt_blackbox.errors import (
    DataError,
    HWGPTError,
    InputError,
    MissingArtifactError,
    TransferError,
)
from hwgpt_blackbox.storage.locations import find, home

# -- hosts that fail -------------------------------------------------------------------------


def test_a_cut_connection_is_gone_on_with_where_it_was_cut(
    repository: Repository, faulty: FaultyHost, first: Path
) -> None:
    faulty.fail("GET /cdn/", cut=30_000, times=2)
    version = pull(URL, progress=False)
    assert_in_use(version.digest)
    cuts = faulty.requests("GET /cdn/")
    starts = [int(re.findall(r"\d+", seen.headers["range"])[0]) for seen in cuts]
    assert starts == sorted(starts)
    assert len(starts) == 3
    assert starts[2] > 0
    size = (first / SURROGATE / "arrays.npz").stat().st_size
    assert sum(seen.sent for seen in cuts) < 2 * size


def test_a_connection_that_is_reset(repository: Repository, faulty: FaultyHost) -> None:
    faulty.fail("GET /cdn/", cut=50_000, reset=True, times=3)
    assert_in_use(pull(URL, progress=False).digest)


def test_what_was_cut_is_kept_for_the_next_pull(
    earlier: str, faulty: FaultyHost, second: Path
) -> None:
    fault = faulty.fail("GET /cdn/", cut=70_000, times=1)
    faulty.fail("GET /cdn/", status=503)
    with pytest.raises(TransferError, match=r"failed 6 times \(HTTP 503.*is kept: try again later"):
        pull(URL, progress=False)
    assert_in_use(earlier)
    (kept,) = (home() / ".hwgpt-blackbox" / SURROGATE / "partial").glob("*arrays.npz")
    have = kept.stat().st_size
    assert 0 < have <= 70_000
    faulty.faults.clear()
    faulty.seen.clear()
    assert_in_use(pull(URL, progress=False).digest)
    (rest,) = faulty.requests("GET /cdn/")
    assert rest.headers["range"].startswith(f"bytes={have}-")
    assert not kept.exists()
    assert fault.times == 0


def test_what_was_kept_and_is_wrong_is_fetched_from_the_start(
    repository: Repository, faulty: FaultyHost
) -> None:
    faulty.fail("GET /cdn/", cut=70_000, times=1)
    faulty.fail("GET /cdn/", status=503, times=5)
    with pytest.raises(TransferError):
        pull(URL, progress=False)
    (kept,) = (home() / ".hwgpt-blackbox" / SURROGATE / "partial").glob("*arrays.npz")
    kept.write_bytes(bytes(kept.stat().st_size))
    assert_in_use(pull(URL, progress=False).digest)


def test_a_host_that_begins_elsewhere_than_it_says_is_asked_for_the_whole(
    repository: Repository, faulty: FaultyHost, first: Path
) -> None:
    content = (first / SURROGATE / "arrays.npz").read_bytes()
    faulty.fail("GET /cdn/", cut=30_000, times=1)
    faulty.fail("GET /cdn/", change=lambda rest: content[: len(rest)], times=1)
    assert_in_use(pull(URL, progress=False).digest)


def test_what_a_host_says_is_shown_without_what_terminals_heed(
    repository: Repository, faulty: FaultyHost
) -> None:
    said = "\x1b[31mred" + "x" * 1000
    faulty.fail("/revision/", status=403, headers={"X-Error-Message": said})
    with pytest.raises(TransferError) as error:
        pull(URL, progress=False)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 700


def test_a_host_without_ranges_serves_a_second_attempt_too(
    repository: Repository, faulty: FaultyHost
) -> None:
    faulty.fail("GET /cdn/", cut=70_000, times=1)
    faulty.fail("GET /cdn/", no_ranges=True)
    assert_in_use(pull(URL, progress=False).digest)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("what", ["revision", "tree", "manifest.json", "cdn"])
def test_a_host_that_recovers_is_asked_again(
    status: int, what: str, repository: Repository, faulty: FaultyHost
) -> None:
    faulty.fail(what, status=status, times=2, headers={"Retry-After": "0"})
    assert_in_use(pull(URL, progress=False).digest)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, TransferError, "no access .*HF_TOKEN"),
        (403, TransferError, "no access .*HF_TOKEN"),
        (404, MissingArtifactError, "not there"),
        (410, TransferError, "HTTP 410"),
        (500, TransferError, "failed 6 times .*HTTP 500"),
        (429, TransferError, "failed 6 times .*HTTP 429"),
    ],
)
@pytest.mark.parametrize("what", ["revision", "tree", "manifest.json", "cdn"])
def test_a_host_that_refuses_leaves_the_earlier_version_in_use(
    status: int, error: type[HWGPTError], message: str, what: str, earlier: str, faulty: FaultyHost
) -> None:
    faulty.seen.clear()
    faulty.fail(what, status=status)
    with pytest.raises(error, match=message):
        pull(URL, progress=False)
    assert_in_use(earlier)
    asked = len([seen for seen in faulty.seen if re.search(what, seen.line)])
    assert asked == (6 if status in (429, 500) else 1)  # what cannot help is not tried again


def test_a_host_that_asks_to_wait_for_hours_is_not_waited_for(
    earlier: str, faulty: FaultyHost
) -> None:
    faulty.fail("/revision/", status=429, headers={"Retry-After": "36000"})
    with pytest.raises(TransferError, match="asks to wait 36000 s"):
        pull(URL, progress=False)
    assert_in_use(earlier)


def test_a_host_that_is_not_there(earlier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(TransferError, match=r"failed 6 times .*ConnectError"):
        pull(URL, progress=False)
    assert_in_use(earlier)


def test_redirects_without_end(earlier: str, faulty: FaultyHost) -> None:
    faulty.fail("GET /cdn/", status=302, headers={"Location": "/cdn/again"})
    with pytest.raises(TransferError, match="TooManyRedirects"):
        pull(URL, progress=False)
    assert_in_use(earlier)


@pytest.mark.parametrize("what", ["manifest.json", "cdn", "tree", "revision"])
@pytest.mark.parametrize("status", [201, 204, 300, 304])
def test_a_status_that_brings_no_content_is_refused(
    status: int, what: str, earlier: str, faulty: FaultyHost
) -> None:
    faulty.fail(f"GET .*{what}", status=status, body=b"" if status in (204, 304) else b"{}")
    faulty.seen.clear()
    with pytest.raises(TransferError, match=f"HTTP {status}"):
        pull(URL, progress=False)
    assert_in_use(earlier)
    assert len(faulty.requests(f"GET .*{what}")) == 1


@pytest.mark.parametrize("where", ["http://[::bad", "ftp://x/y", "http://host:x/"])
def test_a_redirect_to_no_address_is_not_tried_again(
    where: str, earlier: str, faulty: FaultyHost
) -> None:
    faulty.fail("/revision/", status=302, headers={"Location": where})
    faulty.seen.clear()
    with pytest.raises(TransferError, match=r"Invalid URL|UnsupportedProtocol"):
        pull(URL, progress=False)
    assert_in_use(earlier)
    assert len(faulty.requests("/revision/")) == 1


@pytest.mark.parametrize("variable", [True, False])
@pytest.mark.parametrize("endpoint", ["zzz", "http://[::bad", "http://me:secret@host:x"])
def test_an_endpoint_that_is_no_address(
    endpoint: str, variable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(InputError, match=r"is no http\(s\)") as error:
        pull(URL, endpoint=None if variable else endpoint, progress=False)
    assert "secret" not in str(error.value)


def test_an_endpoint_that_the_client_refuses_is_not_tried_again(earlier: str) -> None:
    with pytest.raises(TransferError, match=r"InvalidURL"):
        pull(URL, endpoint="http://host\u3002\u3002x/", progress=False)
    assert_in_use(earlier)


def test_nothing_is_said_to_be_kept_where_nothing_came(earlier: str, faulty: FaultyHost) -> None:
    for what in ("/revision/", "manifest.json", "GET /cdn/"):
        faulty.faults.clear()
        faulty.fail(what, status=503)
        with pytest.raises(TransferError, match="failed 6 times") as error:
            pull(URL, progress=False)
        assert "is kept" not in str(error.value)


@pytest.mark.parametrize("what", ["manifest.json", "cdn", "tree", "revision"])
def test_an_answer_that_is_nonsense(what: str, earlier: str, faulty: FaultyHost) -> None:
    faulty.fail(what, change=lambda content: b"<html>Login</html>"[: len(content)])
    with pytest.raises(HWGPTError):
        pull(URL, progress=False)
    assert_in_use(earlier)


# -- files that are not what they should be ---------------------------------------------------


def test_a_wrong_checksum(repository: Repository, faulty: FaultyHost) -> None:
    faulty.fail("GET .*cdn", change=lambda content: content[:-1] + b"?")
    with pytest.raises(
        DataError, match=r"arrays.npz is not the file of its manifest.json: .*sha256"
    ):
        pull(URL, progress=False)
    assert not cached()
    assert find(SURROGATE).embedded
    assert not list((home() / ".hwgpt-blackbox" / SURROGATE / "partial").glob("*arrays*"))


def test_a_file_without_end_is_cut_off(earlier: str, faulty: FaultyHost, second: Path) -> None:
    faulty.fail("GET /cdn/", endless=1 << 30, no_ranges=True)
    with pytest.raises(DataError, match="goes on after the"):
        pull(URL, progress=False)
    assert_in_use(earlier)
    size = (second / SURROGATE / "arrays.npz").stat().st_size
    assert all(seen.sent < size + (64 << 20) for seen in faulty.requests("GET /cdn/"))
    partial = home() / ".hwgpt-blackbox" / SURROGATE / "partial"
    assert sum(path.stat().st_size for path in partial.iterdir()) <= size + 100_000


def test_a_manifest_without_end_is_cut_off(earlier: str, faulty: FaultyHost) -> None:
    faulty.fail("resolve/.*manifest.json", endless=1 << 30, no_ranges=True)
    with pytest.raises(DataError, match="is larger than"):
        pull(URL, progress=False)
    assert_in_use(earlier)


def test_an_answer_of_the_api_without_end_is_cut_off(earlier: str, faulty: FaultyHost) -> None:
    faulty.fail("/tree/", endless=1 << 30)
    with pytest.raises(TransferError, match="answers without end"):
        pull(URL, progress=False)
    assert_in_use(earlier)


def test_a_listing_that_leads_to_another_host_is_not_followed(
    earlier: str, faulty: FaultyHost
) -> None:
    faulty.fail("/tree/", headers={"Link": '<http://example.invalid/x>; rel="next"'})
    with pytest.raises(TransferError, match="continues on another host"):
        pull(URL, progress=False)
    assert_in_use(earlier)


def test_a_listing_that_goes_round_in_circles(earlier: str, faulty: FaultyHost) -> None:
    link = f'<{faulty.url}/api/datasets/{REPO}/tree/main>; rel="next"'
    faulty.fail("/tree/", headers={"Link": link})
    with pytest.raises(TransferError, match="more than 20 pages"):
        pull(URL, progress=False)
    assert_in_use(earlier)


def test_a_file_more_or_less_than_the_manifest_lists(
    earlier: str, repository: Repository, second: Path
) -> None:
    tree = tree_of(second)
    repository.commit({**tree, f"{SURROGATE}/evil.so": b"x"})
    with pytest.raises(DataError, match=r"holds 'evil.so', which its manifest.json does not list"):
        pull(URL, progress=False)
    repository.commit({**tree, f"{SURROGATE}/sub/deep": b"x"})
    with pytest.raises(DataError, match="holds 'sub'"):
        pull(URL, progress=False)
    del tree[f"{SURROGATE}/arrays.npz"]
    repository.commit(tree)
    with pytest.raises(DataError, match="lacks"):
        pull(URL, progress=False)
    assert_in_use(earlier)
