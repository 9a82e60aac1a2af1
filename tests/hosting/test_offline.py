"""Offline mode opens no socket, and says what it would have needed one for."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hosted import SURROGATE, TABLE, digest_of, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import pull, push
from hwgpt_blackbox.errors import MissingArtifactError, TransferError
from hwgpt_blackbox.storage.locations import offline

REPO = "me/mine"
URL = f"hf://datasets/{REPO}/{SURROGATE}"


@pytest.fixture
def pulled(hub: Hub, faulty: FaultyHost, first: Path, second: Path) -> list[str]:
    """Commits of two versions that were pulled, the second one in use."""
    repository = hub.repository(REPO)
    commits = [repository.commit(tree_of(folder)) for folder in (first, second)]
    repository.names["v1"] = commits[0]
    pull(URL, revision="v1", progress=False)
    pull(URL, progress=False)
    pull(TABLE, repository=REPO, progress=False)
    return commits


@pytest.fixture
def no_sockets(pulled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails when a socket is made."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(f"a socket {args} {kwargs}")

    for name in ("socket", "create_connection", "getaddrinfo", "socketpair"):
        monkeypatch.setattr(socket, name, refuse)


@pytest.mark.parametrize("how", ["argument", "HWGPT_BLACKBOX_OFFLINE", "HF_HUB_OFFLINE"])
def test_what_is_here_is_found_without_a_socket(
    how: str,
    pulled: list[str],
    no_sockets: None,
    first: Path,
    second: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {"progress": False}
    if how == "argument":
        asked["offline"] = True
    else:
        monkeypatch.setenv(how, "1")
    old, new = (digest_of(folder / SURROGATE) for folder in (first, second))
    for what, options, expected in [
        (SURROGATE, {}, new),
        (URL, {}, new),
        (SURROGATE, {"repository": REPO}, new),
        (URL, {"revision": pulled[0]}, old),
        (SURROGATE, {"revision": pulled[1][:8]}, new),
        (SURROGATE, {"revision": old[:9]}, old),
    ]:
        assert pull(what, **options, **asked).digest == expected


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("hwgpt-m", {}),
        (SURROGATE, {"revision": "v1"}),
        (SURROGATE, {"repository": "me/other"}),
        ("s3://bucket/hwgpt-s", {}),
        ("https://host/hwgpt-s", {}),
    ],
)
def test_what_is_not_here_is_named(
    what: str, options: dict[str, Any], pulled: list[str], no_sockets: None
) -> None:
    with pytest.raises(MissingArtifactError, match="offline mode does not touch the network"):
        pull(what, **options, offline=True, progress=False)


def test_folders_work_offline_and_pushing_elsewhere_does_not(
    no_sockets: None, first: Path, tmp_path: Path
) -> None:
    assert push(first / TABLE, str(tmp_path / "x"), offline=True) == digest_of(first / TABLE)
    assert pull(str(tmp_path / "x" / TABLE), offline=True, progress=False).active
    for url in (REPO, "s3://bucket/x", "https://host/x"):
        with pytest.raises(TransferError, match="offline mode does not touch"):
            push(first / TABLE, url, offline=True)


def test_memory_is_no_network(no_sockets: None, second: Path) -> None:
    digest = push(second / TABLE, "memory://offline", offline=True)
    version = pull(TABLE, repository="memory://offline", offline=True, progress=False)
    assert version.digest == digest


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("TRUE", True), ("yes", True), ("On", True), ("0", False), ("", False)],
)
def test_values_of_the_variables(
    value: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HWGPT_BLACKBOX_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, value)
        assert offline() is expected
        monkeypatch.delenv(name)


LOADED = """
import socket
class Refused(socket.socket):
    def __init__(self, *args, **kwargs):
        raise AssertionError("a socket")
socket.socket = Refused
socket.create_connection = socket.getaddrinfo = socket.socketpair = Refused
import hwgpt_blackbox, json
from syne_tune.blackbox_repository import load_blackbox
boxes = load_blackbox("hwgpt-s-tabular")
box = boxes["a100"]
print(json.dumps([len(box.hyperparameters), type(box).__name__, len(load_blackbox("hwgpt-s"))]))
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("variable", ["1", "0"])
def test_a_pulled_table_is_found_by_syne_tune_in_a_new_process_without_network(
    variable: str, pulled: list[str], run_python: Run
) -> None:
    done = run_python(LOADED, HWGPT_BLACKBOX_OFFLINE=variable, HF_HUB_OFFLINE=variable)
    assert json.loads(done.stdout) == [12, "TabularBlackbox", 14]
