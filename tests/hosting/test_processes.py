"""No version is lost to a process that dies, or to others that are at work at the same time."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers import rewrite_manifest
from hosted import SURROGATE, digest_of, get, in_use, pull_from, shelf, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import cached, load, pull, remove
from hwgpt_blackbox.errors import MissingArtifactError, OutputError, TransferError
from hwgpt_blackbox.hosting import versions as versions_module
from hwgpt_blackbox.storage.locations import find, home

# -- processes that die ----------------------------------------------------------------------

PULL = """
import sys
import hwgpt_blackbox
print(hwgpt_blackbox.pull(sys.argv[1], progress=False).digest)
"""


def start(source: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-c", PULL, source],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(done: object, seconds: float = 60.0) -> None:
    assert callable(done)
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def slow(hub: Hub, faulty: FaultyHost, second: Path) -> Iterator[str]:
    """Address of an artifact whose arrays come to half and then not, until the test ends."""
    gate = threading.Event()
    hub.repository("me/mine").commit(tree_of(second))
    faulty.fail("GET /cdn/", cut=30_000, hold=gate, times=1)
    yield f"hf://datasets/me/mine/{SURROGATE}"
    gate.set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_pull_that_is_killed_is_made_good_by_the_next(
    number: int, slow: str, faulty: FaultyHost, first: Path, second: Path
) -> None:
    old = get(first / SURROGATE)
    process = start(slow)
    wait_until(lambda: [seen.sent for seen in faulty.requests("GET /cdn/")] == [30_000])
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert in_use() == [old]
    assert pull(slow, progress=False).digest == digest_of(second / SURROGATE)
    assert sorted(path.name for path in shelf().iterdir()) == ["hub", "lock", "origins.json"]
    assert not list(shelf().rglob("*.incomplete"))
    assert [path.name for path in home().glob(".*")] == [".hwgpt-blackbox"]


def test_what_killed_processes_left_is_tidied(first: Path, second: Path, tmp_path: Path) -> None:
    old = get(first / SURROGATE)
    blobs = shelf() / "hub" / "datasets--me--mine" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "0123.incomplete").write_bytes(b"half")
    (blobs / "4567.incomplete").symlink_to(tmp_path / "nowhere")
    assert in_use() == [old]
    new = get(second / SURROGATE)
    assert in_use() == [new]
    assert sorted(path.name for path in shelf().iterdir()) == ["hub", "lock", "origins.json"]
    assert not list(blobs.iterdir())
    assert not (tmp_path / "nowhere").exists()


def test_a_link_that_points_to_itself_is_no_version(first: Path) -> None:
    (home() / SURROGATE).parent.mkdir()
    (home() / SURROGATE).symlink_to(SURROGATE)
    assert cached() == []
    assert find(SURROGATE).embedded
    with pytest.raises(OutputError, match="is no artifact"):
        get(first / SURROGATE)


# -- at once ---------------------------------------------------------------------------------


def test_two_processes_at_once_end_with_one_good_copy(
    hub: Hub, faulty: FaultyHost, second: Path
) -> None:
    hub.repository("me/mine").commit(tree_of(second))
    url = f"hf://datasets/me/mine/{SURROGATE}"
    processes = [start(url) for _ in range(3)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], answers
    assert {out.strip() for out, _ in answers} == {digest_of(second / SURROGATE)}
    assert len(faulty.requests("GET /cdn/")) == 1
    (version,) = cached()
    assert tree_of(version.path) == tree_of(second / SURROGATE)
    assert sorted(path.name for path in shelf().iterdir()) == ["hub", "lock", "origins.json"]


def test_threads_that_pull_and_remove_at_once_leave_a_sound_home(first: Path, second: Path) -> None:
    def work(i: int) -> None:
        for _ in range(3):
            if i % 4 == 3:
                with contextlib.suppress(MissingArtifactError):
                    remove(SURROGATE)
            else:
                get((first, second)[i % 2] / SURROGATE)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, i) for i in range(4)]:
            done.result()
    for version in cached():
        assert tree_of(version.path) in (tree_of(first / SURROGATE), tree_of(second / SURROGATE))
    digest = get(first / SURROGATE)
    assert in_use() == [digest]
    assert sorted(path.name for path in shelf().iterdir()) == ["lock", "origins.json"]


def test_a_reader_never_sees_half_a_version(first: Path, second: Path) -> None:
    get(first / SURROGATE)
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            for folder in (second, first):
                get(folder / SURROGATE)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(change)
        try:
            for _ in range(40):
                assert not find(SURROGATE).embedded
                assert load("s", "a100")
        finally:
            stop.set()
        writer.result()


def test_listing_while_others_pull_and_remove(first: Path, second: Path) -> None:
    get(first / SURROGATE)
    stop = threading.Event()

    def listing() -> None:
        while not stop.is_set():
            assert len(cached()) <= 2

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(listing) for _ in range(2)]
        try:
            for i in range(15):
                get((first, second)[i % 2] / SURROGATE)
                remove(SURROGATE)
        finally:
            stop.set()
        for reader in readers:
            reader.result()


def test_a_version_that_goes_while_it_is_listed_is_passed_over(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = (pull_from(hub, folder) for folder in (first, second))
    real = versions_module.sha256

    def removed_first(path: Path) -> str:
        digest = real(path)
        if digest == gone:
            shutil.rmtree(path.parent)
        return digest

    monkeypatch.setattr(versions_module, "sha256", removed_first)
    assert [v.digest for v in cached()] == [stays]


def test_of_several_that_remove_at_once_one_does_and_the_others_say_that_nothing_is_there(
    first: Path,
) -> None:
    def work() -> str:
        try:
            return ", ".join(v.digest for v in remove(SURROGATE))
        except MissingArtifactError as error:
            assert "no version of hwgpt-s was pulled" in str(error)
            return "missing"

    for _ in range(5):
        digest = get(first / SURROGATE)
        with ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(work) for _ in range(4)]
        assert sorted(answer.result() for answer in answers) == sorted([digest, *["missing"] * 3])


def test_a_host_that_fails_in_one_file_stops_the_others(
    hub: Hub, faulty: FaultyHost, second: Path
) -> None:
    for i in range(6):
        (second / SURROGATE / f"extra{i}.npz").write_bytes(bytes(1000) + bytes([i]))
    rewrite_manifest(second / SURROGATE)
    hub.repository("me/mine").commit(tree_of(second))
    faulty.fail("resolve/.*arrays.npz", status=403)
    with pytest.raises(TransferError, match=r"arrays.npz: no access"):
        pull(f"hf://datasets/me/mine/{SURROGATE}", jobs=1, progress=False)
    assert len(faulty.requests("HEAD .*resolve/.*extra")) < 6
