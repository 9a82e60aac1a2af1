"""Pulling from S3 (moto's server on loopback), from other stores of fsspec, and from folders."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hosted import SURROGATE, TABLE, assert_in_use, digest_of, tree_of
from loopback_faults import FaultyHost

from hwgpt_blackbox import cached, pull, push
from hwgpt_blackbox.errors import (
    DataError,
    HWGPTError,
    InputError,
    MissingArtifactError,
    MissingExtraError,
    TransferError,
)
from hwgpt_blackbox.storage.locations import home

ARRAYS = r"GET /.*arrays\.npz"


@pytest.fixture
def url(bucket: str, store: Any, first: Path) -> str:
    """Address of a surrogate in a bucket."""
    url = f"{bucket}/prefix/{SURROGATE}"
    put(store, first / SURROGATE, url)
    return url


@pytest.fixture
def earlier(url: str, store: Any, second: Path) -> str:
    """Digest of a version that is in use, while the bucket has another one."""
    version = pull(url, progress=False)
    put(store, second / SURROGATE, url)
    return version.digest


def put(store: Any, folder: Path, url: str) -> None:
    for path in folder.iterdir():
        store.pipe_file(f"{url}/{path.name}", path.read_bytes())


# -- S3 --------------------------------------------------------------------------------------


def test_from_a_bucket_by_url_and_by_name(
    url: str, bucket: str, s3: FaultyHost, first: Path, tmp_path: Path
) -> None:
    wanted = tree_of(first / SURROGATE)
    assert tree_of(pull(url, progress=False).path) == wanted
    version = pull(SURROGATE, repository=f"{bucket}/prefix", home=tmp_path / "home", progress=False)
    assert tree_of(version.path) == wanted
    assert version.origins[0]["source"] == url
    assert version.origins[0]["revision"] is None


def test_the_endpoint_as_an_argument(
    url: str, s3: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert pull(url, endpoint=s3.url, progress=False).active


def test_without_credentials(
    url: str, store: Any, s3: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(TransferError, match=r"no access .*NoCredentialsError.*AWS"):
        pull(url, progress=False)
    store.chmod(url, "public-read", recursive=True)
    s3.seen.clear()
    assert pull(url, anonymous=True, progress=False).active
    assert not any("authorization" in seen.headers for seen in s3.seen)


def test_a_revision_of_a_bucket_is_the_digest(url: str, earlier: str, second: Path) -> None:
    new = digest_of(second / SURROGATE)
    assert pull(url, revision=new[:12], progress=False).digest == new
    with pytest.raises(DataError, match=f"is at revision {new}, and 'abcdef01234'"):
        pull(url, revision="abcdef01234", progress=False)
    with pytest.raises(InputError, match="keeps no branches"):
        pull(url, revision="main", progress=False)
    with pytest.raises(DataError, match="it moved on"):  # the earlier one is not kept
        pull(url, revision=earlier, progress=False)
    assert_in_use(new)


def test_a_cut_connection_is_tried_again(url: str, s3: FaultyHost) -> None:
    s3.fail(ARRAYS, cut=30_000, times=2)
    assert pull(url, progress=False).active
    assert starts(s3) == sorted(starts(s3))
    assert len(starts(s3)) == 3


def starts(s3: FaultyHost) -> list[int]:
    """Where each request for the arrays began."""
    found = [re.findall(r"\d+", seen.headers.get("range", "0")) for seen in s3.requests(ARRAYS)]
    return [int(start) for start, *_ in found]


def test_what_a_store_without_ranges_makes_of_a_second_attempt_is_refused(
    url: str, s3: FaultyHost
) -> None:
    s3.fail(ARRAYS, cut=30_000, times=1)
    s3.fail(ARRAYS, no_ranges=True, times=1)
    with pytest.raises(DataError, match="goes on after"):
        pull(url, progress=False)
    assert pull(url, progress=False).active


ERROR = b"<Error><Code>%s</Code><Message>%s</Message></Error>"
XML = {"Content-Type": "application/xml"}


@pytest.mark.parametrize(
    ("status", "what"), [(429, r"manifest\.json"), (500, "list-type"), (503, "arrays")]
)
def test_a_store_that_recovers_is_asked_again(
    status: int, what: str, url: str, s3: FaultyHost
) -> None:
    s3.seen.clear()
    body = ERROR % (b"SlowDown", b"reduce your request rate")
    s3.fail(f"GET.*{what}", status=status, times=2, headers=XML | {"Retry-After": "0"}, body=body)
    assert pull(url, progress=False).active
    assert len(s3.requests(f"GET.*{what}")) == 3  # one layer of attempts, not three


@pytest.mark.parametrize(
    ("status", "code", "error", "message", "again"),
    [
        (403, b"AccessDenied", TransferError, "no access .*AWS", False),
        (404, b"NoSuchKey", MissingArtifactError, "not there", False),
        (503, b"SlowDown", TransferError, "HTTP 503.*try again later", True),
    ],
)
@pytest.mark.parametrize("what", [r"manifest\.json", "arrays"])
def test_a_store_that_refuses_leaves_the_earlier_version_in_use(
    status: int,
    code: bytes,
    error: type[HWGPTError],
    message: str,
    again: bool,
    what: str,
    url: str,
    earlier: str,
    s3: FaultyHost,
) -> None:
    s3.seen.clear()
    s3.fail(f"GET.*{what}", status=status, headers=XML, body=ERROR % (code, b"no"))
    with pytest.raises(error, match=message):
        pull(url, progress=False)
    assert_in_use(earlier)
    assert (len(s3.requests(f"GET.*{what}")) > 1) is again


@pytest.mark.parametrize("endpoint", ["zzz", "ftp://h", "http://[::bad"])
def test_an_endpoint_that_is_no_address(
    endpoint: str, s3: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=r"is no http\(s\)"):
        pull("s3://bucket/hwgpt-s", endpoint=endpoint, progress=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(TransferError) as error:
        pull("s3://bucket/hwgpt-s", progress=False)
    assert "6 times" not in str(error.value)


def test_a_bucket_that_is_not_there(s3: FaultyHost) -> None:
    with pytest.raises(MissingArtifactError, match="not there"):
        pull(f"s3://no-such-bucket-here/{SURROGATE}", progress=False)


def test_a_wrong_checksum(url: str, earlier: str, s3: FaultyHost, store: Any, second: Path) -> None:
    fault = s3.fail(ARRAYS, change=lambda content: bytes(len(content)))
    with pytest.raises(HWGPTError, match=r"checksum|sha256 differ"):  # S3 has checksums, too
        pull(url, progress=False)
    assert_in_use(earlier)
    fault.times = 0
    size = (second / SURROGATE / "arrays.npz").stat().st_size
    store.pipe_file(f"{url}/arrays.npz", bytes(size))
    with pytest.raises(DataError, match="sha256 differ"):
        pull(url, progress=False)
    assert_in_use(earlier)


def test_a_size_bomb_is_seen_in_the_listing(url: str, earlier: str, store: Any) -> None:
    store.pipe_file(f"{url}/arrays.npz", bytes(5 << 20))
    with pytest.raises(DataError, match=r"arrays.npz has 5242880 bytes, its manifest.json says"):
        pull(url, progress=False)
    assert_in_use(earlier)


@pytest.mark.parametrize("what", [ARRAYS, r"GET /.*manifest\.json"])
def test_a_file_without_end_is_cut_off(what: str, url: str, earlier: str, s3: FaultyHost) -> None:
    s3.fail(what, endless=1 << 30, no_ranges=True)
    with pytest.raises(DataError, match=r"goes on after the|is larger than"):
        pull(url, progress=False)
    assert_in_use(earlier)
    assert all(seen.sent < 128 << 20 for seen in s3.requests(what))


def test_a_file_more_than_the_manifest_lists(url: str, earlier: str, store: Any) -> None:
    store.pipe_file(f"{url}/sub/evil.so", b"x")
    with pytest.raises(DataError, match="holds 'sub', which"):
        pull(url, progress=False)
    assert_in_use(earlier)


# -- other stores ----------------------------------------------------------------------------


def test_any_store_of_fsspec(first: Path, second: Path) -> None:
    where = "memory://some/where"
    pinned = push(first / TABLE, where, progress=False)
    assert pull(TABLE, repository=where, progress=False).digest == pinned
    push(second / TABLE, where, overwrite=True, progress=False)
    version = pull(f"{where}/{TABLE}", progress=False)
    assert tree_of(version.path) == tree_of(second / TABLE)


def test_a_manifest_that_is_a_folder() -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/odd/hwgpt-s/manifest.json/x", b"{}")
    with pytest.raises(HWGPTError, match=r"manifest\.json"):
        pull("memory://odd/hwgpt-s", progress=False)


def test_a_web_server(first: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with subprocess.Popen(
        command,
        cwd=first,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as server:
        assert server.stdout is not None
        port = re.findall(r"port (\d+)", server.stdout.readline())[0]
        try:
            version = pull(f"http://127.0.0.1:{port}/{SURROGATE}", progress=False)
            with pytest.raises(MissingArtifactError, match="not there"):
                pull(f"http://127.0.0.1:{port}/nothing", progress=False)
        finally:
            server.terminate()
    assert tree_of(version.path) == tree_of(first / SURROGATE)


@pytest.mark.parametrize(
    ("what", "options", "error", "message"),
    [
        ("nonsense://a/b", {}, InputError, "Protocol not known: nonsense"),
        ("s3://", {}, InputError, "names no place"),
        ("memory://x/y", {"endpoint": "http://h"}, InputError, "an endpoint is for the hub and S3"),
        ("hf://models/me/mine/x", {}, InputError, "expected hf://datasets/owner/repo"),
        ("hf://datasets/me/../x", {}, InputError, "expected hf://datasets/owner/repo"),
        ("hf://datasets/me/mine/x\0y", {}, InputError, "is no address"),
        ("hf://datasets/me/mine/a", {"endpoint": "ftp://h"}, InputError, "is no http"),
        ("me/mine/../../x", {}, InputError, "is no address"),
        ("hwgpt-s/x y", {}, InputError, "is no address"),
        ("hwgpt-XL", {}, InputError, "is no name of an artifact; known: hwgpt-s"),
        ("", {}, InputError, "neither a name nor an address"),
        ("./no/such/folder", {}, MissingArtifactError, "is no folder on this machine"),
        ("hwgpt-s", {"jobs": 0}, InputError, "jobs is 0"),
        ("./x", {"repository": "me/mine"}, InputError, "leave out one"),
        ("hf://datasets/a/b@v1/x", {"revision": "v2"}, InputError, "names a revision"),
    ],
)
def test_addresses_that_are_none(
    what: str, options: dict[str, Any], error: type[HWGPTError], message: str
) -> None:
    with pytest.raises(error, match=message):
        pull(what, progress=False, **options)
    assert not home().exists() or cached() == []


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    find_spec = util.find_spec
    monkeypatch.setattr(
        util, "find_spec", lambda name, *a: None if name == "s3fs" else find_spec(name, *a)
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'hwgpt-blackbox\[storage\]'"):
        pull("s3://bucket/hwgpt-s", progress=False)
    with pytest.raises(MissingExtraError, match="needs a library"):
        pull("abfs://container/hwgpt-s", progress=False)


def test_a_password_in_an_address_is_neither_shown_nor_kept(first: Path) -> None:
    import fsspec

    push(first / SURROGATE, "memory://host/x", progress=False)
    with pytest.raises(HWGPTError) as error:
        pull("sftp://me:secret@127.0.0.1:9/x/hwgpt-s", progress=False)
    assert "secret" not in str(error.value)
    memory = fsspec.filesystem("memory")
    memory.copy("/host/x", "/me:secret@host/x", recursive=True)
    version = pull("memory://me:secret@host/x/hwgpt-s", progress=False)
    assert version.origins[0]["source"] == "memory://***@host/x/hwgpt-s"
    records = list((home() / ".hwgpt-blackbox").rglob("origins.json"))
    assert records
    assert not any("secret" in path.read_text() for path in records)


# -- folders ---------------------------------------------------------------------------------


def test_from_a_folder(first: Path) -> None:
    for ask in (
        {"what": str(first / SURROGATE)},
        {"what": SURROGATE, "repository": str(first)},
        {"what": f"file://{first}/{SURROGATE}"},
    ):
        version = pull(**ask, progress=False)
        assert tree_of(version.path) == tree_of(first / SURROGATE)
    assert len(cached()) == 1
    assert not any(path.is_symlink() for path in version.path.iterdir())


def test_links_in_a_folder_are_not_followed(first: Path, tmp_path: Path) -> None:
    arrays = first / SURROGATE / "arrays.npz"
    arrays.rename(tmp_path / "elsewhere")
    arrays.symlink_to(tmp_path / "elsewhere")
    for scheme in ("", "file://", "FILE://", "local://"):
        with pytest.raises(TransferError, match=r"'arrays.npz' is a symbolic link; refused"):
            pull(f"{scheme}{first / SURROGATE}", progress=False)
    manifest = first / TABLE / "manifest.json"
    manifest.rename(tmp_path / "manifest")
    manifest.symlink_to(tmp_path / "manifest")
    with pytest.raises(TransferError, match=r"symbolic link"):
        pull(str(first / TABLE), progress=False)
    assert cached() == []


def test_a_pipe_in_a_folder_does_not_hang(first: Path) -> None:
    arrays = first / SURROGATE / "arrays.npz"
    arrays.unlink()
    os.mkfifo(arrays)
    with pytest.raises(TransferError, match=r"no regular file"):
        pull(str(first / SURROGATE), progress=False)


def test_a_folder_that_is_a_link_itself_is_followed(first: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(first / SURROGATE)
    assert pull(str(tmp_path / "link"), progress=False).active


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"status": 503}, TransferError, r"failed .*HTTP 503"),
        ({"status": 403}, TransferError, r"no access .*HTTP 403"),
        ({"status": 404}, MissingArtifactError, r"not there"),
    ],
)
def test_a_web_server_that_fails(
    options: dict[str, Any], error: type[HWGPTError], message: str, faulty: FaultyHost
) -> None:
    faulty.fail("GET", **options)
    faulty.fail("HEAD", **options)
    with pytest.raises(error, match=message):
        pull(f"{faulty.url}/hwgpt-s", progress=False)


def test_a_web_server_that_is_not_there() -> None:
    with pytest.raises(TransferError, match=r"failed .*try again later"):
        pull("http://127.0.0.1:9/hwgpt-s", progress=False)
