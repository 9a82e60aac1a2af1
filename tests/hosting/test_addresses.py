"""What users write for a place, and what it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.hosting.addresses import Address, parse, parse_hub
from hwgpt_blackbox.storage.remote import is_web_address


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("file:///a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("FILE:///a/b/", "/a/b"),
        ("local:///a/b", "/a/b"),
        ("file:///a%20b/%23c%3Fd+e", "/a b/#c?d+e"),
        ("file:///", "/"),
        ("file:///a#b/c?d", "/a#b/c?d"),
        ("/a#b/c?d", "/a#b/c?d"),
    ],
)
def test_folders(text: str, folder: str) -> None:
    assert parse(text) == Address("file", folder)


@pytest.mark.parametrize(
    "text",
    [
        "file://x/y",
        "file://",
        "file://localhost",
        "file:///a%00b",
        "file:///a%0Ab",
        "file://[::bad/x",
        "local://a/b",
    ],
)
def test_a_file_url_that_is_no_folder_of_this_machine_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected file:///folder"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "hf://datasets/x",
        "hf://owner/repo",
        "HF://models/a/b",
        "hf://datasets/a/b/../c",
        "hf://datasets/a/b@v1@v2",
        "hf://me:secret@datasets/a/b",
    ],
)
def test_an_address_on_the_hub_names_owner_and_repository(text: str) -> None:
    with pytest.raises(InputError, match="expected hf://datasets/owner/repo") as error:
        parse(text)
    assert "secret" not in str(error.value)


def test_parts_of_an_address_on_the_hub() -> None:
    where = parse_hub(parse("me/mine/a/b").url)
    assert (where.repo, where.path, where.revision) == ("me/mine", "a/b", None)
    where = parse_hub("hf://datasets/me/mine@refs%2Fpr%2F1")
    assert (where.repo, where.path, where.revision) == ("me/mine", "", "refs/pr/1")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("hf://datasets/me/mine", "hf://datasets/me/mine/hwgpt-s"),
        ("hf://datasets/me/hwgpt-s", "hf://datasets/me/hwgpt-s/hwgpt-s"),
        ("hf://datasets/me/mine@hwgpt-s", "hf://datasets/me/mine@hwgpt-s/hwgpt-s"),
        ("hf://datasets/me/mine/hwgpt-s", "hf://datasets/me/mine/hwgpt-s"),
        ("hf://datasets/me/hwgpt-s/hwgpt-s", "hf://datasets/me/hwgpt-s/hwgpt-s"),
        ("s3://hwgpt-s", "s3://hwgpt-s/hwgpt-s"),
        ("s3a://bucket/x/hwgpt-s/", "s3a://bucket/x/hwgpt-s"),
        ("https://hwgpt-s", "https://hwgpt-s/hwgpt-s"),
        ("S3://bucket", "s3://bucket/hwgpt-s"),
        ("/hwgpt-s", "/hwgpt-s"),
        ("/", "/hwgpt-s"),
    ],
)
def test_an_artifact_has_the_folder_of_its_name(address: str, expected: str) -> None:
    assert parse(address).below("hwgpt-s").url == expected


def test_what_is_reached_over_the_network(tmp_path: Path) -> None:
    here = [str(tmp_path), "file:///x", "local:///x", "memory://x"]
    assert not any(parse(text).is_remote for text in here)
    there = ["me/mine", "s3://x", "https://x/y", "simplecache::s3://x"]
    assert all(parse(text).is_remote for text in there)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://127.0.0.1:9", True),
        ("https://host/x", True),
        ("ftp://host", False),
        ("zzz", False),
        ("http://", False),
        ("http://:80", False),
        ("http://[::bad", False),
        ("http://host:x", False),
        ("http://host:99999", False),
    ],
)
def test_addresses_of_the_web(text: str, expected: bool) -> None:
    assert is_web_address(text) is expected
