"""Hosts: what their failures mean, how they are opened, and what is never shown of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwgpt_blackbox.errors import HWGPTError, InputError, MissingArtifactError, TransferError
from hwgpt_blackbox.hosting.addresses import Address
from hwgpt_blackbox.storage.remote import TIMEOUT, Access, failures, open_store, redact


class Answered(Exception):  # noqa: N818
    """An exception of a library behind which a host's answer is."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status}")
        self.response = {
            "ResponseMetadata": {"HTTPStatusCode": status},
            "Error": {"Message": reason},
        }


@pytest.mark.parametrize(
    ("status", "later", "error"),
    [
        (400, False, TransferError),
        (401, False, TransferError),
        (403, False, TransferError),
        (404, False, MissingArtifactError),
        (408, True, TransferError),
        (416, False, TransferError),
        (429, True, TransferError),
        (500, True, TransferError),
        (599, True, TransferError),
    ],
)
def test_what_a_status_means(status: int, later: bool, error: type[HWGPTError]) -> None:
    with pytest.raises(error, match=f"^it.*HTTP {status}") as raised, failures("it"):
        raise OSError("cut") from Answered(status, "x" * 1000 + "\x1b[2J")
    assert ("try again later" in str(raised.value)) is later
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("raised", "error"),
    [
        (FileNotFoundError("x"), MissingArtifactError),
        (PermissionError("x"), TransferError),
        (KeyError("x"), TransferError),
        (Answered(404, "\x1b[31mred"), MissingArtifactError),
        (MissingArtifactError("ours"), MissingArtifactError),
    ],
)
def test_every_exception_becomes_one_of_ours(raised: Exception, error: type[HWGPTError]) -> None:
    with pytest.raises(error) as found, failures("https://me:SECRET@host"):
        raise raised
    assert str(found.value).isprintable()


def test_a_file_that_is_not_there_since_the_host_is_not_is_no_missing_file() -> None:
    with pytest.raises(TransferError, match="try again later"), failures("it"):
        raise FileNotFoundError("x") from ConnectionRefusedError()


def test_a_full_disk_is_no_fault_of_the_host() -> None:
    import errno

    with pytest.raises(OSError, match="full") as raised, failures("it"):
        raise OSError(errno.ENOSPC, "full")
    assert not isinstance(raised.value, HWGPTError)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://hf_SECRET@host/x", "https://***@host/x"),
        ("sftp://me:p@SECRET@host", "sftp://***@host"),
        ("sftp://me:SECRET%40@host/a@b failed", "sftp://***@host/a@b failed"),
        ("sftp://me:SEC?RET@host/x", "sftp://***@host/x"),
        ("https://h/x?X-Amz-Signature=SECRET&token=SECRET", "https://h/x?***"),
        ("https://h/x?SECRET then http://SECRET@h", "https://h/x?*** then http://***@h"),
        ("URL('https://h/x?a=SECRET#SECRET')", "URL('https://h/x?***"),
        ("s3://bucket/x@y is it there? who@where", "s3://bucket/x@y is it there? who@where"),
    ],
)
def test_secrets_in_urls_are_left_out(text: str, expected: str) -> None:
    assert redact(text) == expected
    with pytest.raises(TransferError) as error, failures("it"):
        raise OSError(text)
    assert "SECRET" not in str(error.value)
    assert Address("x", expected).shown == expected


def test_stores_are_opened_with_one_policy() -> None:
    pytest.importorskip("s3fs")
    store, path = open_store("s3://bucket/x/", Access("http://host:1", None, True))
    assert path == "bucket/x"
    assert (store.anon, store.endpoint_url) == (True, "http://host:1")
    assert store.config_kwargs["read_timeout"] == store.config_kwargs["connect_timeout"] == TIMEOUT


def test_options_that_a_store_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        open_store(f"file://{tmp_path}", Access(options={"nonsense": object(), "protocol": 5}))
