"""Versions side by side: listed, removed, and never lost to a process that dies or another one."""

from __future__ import annotations

import contextlib
import json
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
from hosted import SURROGATE, TABLE, digest_of, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import cached, load, pull, remove
from hwgpt_blackbox.errors import InputError, MissingArtifactError, OutputError, TransferError
from hwgpt_blackbox.hosting.shelf import Shelf
from hwgpt_blackbox.output import Outputs
from hwgpt_blackbox.places import find, home


def get(folder: Path) -> str:
    return pull(str(folder), progress=False).digest


def in_use() -> list[str]:
    return [version.digest for version in cached() if version.active]


def shelf() -> Path:
    return home() / ".hwgpt-blackbox" / SURROGATE


# -- side by side ----------------------------------------------------------------------------


def test_versions_stay_side_by_side_and_one_is_in_use(first: Path, second: Path) -> None:
    assert cached() == []
    old, new = get(first / SURROGATE), get(second / SURROGATE)
    table = get(first / TABLE)
    assert [(v.name, v.digest, v.active) for v in cached()] == [
        (SURROGATE, old, False),
        (SURROGATE, new, True),
        (TABLE, table, True),
    ]
    assert tree_of(cached()[0].path) == tree_of(first / SURROGATE)
    assert digest_of(find(SURROGATE).path) == new
    assert pull(SURROGATE, revision=old[:10], offline=True, progress=False).digest == old
    assert in_use() == [old, table]
    size = sum(path.stat().st_size for path in (first / SURROGATE).iterdir())
    assert cached()[0].size == size


def test_a_version_can_be_fetched_without_being_used(first: Path, second: Path) -> None:
    old = get(first / SURROGATE)
    version = pull(str(second / SURROGATE), activate=False, progress=False)
    assert not version.active
    assert in_use() == [old]


def test_a_home_may_be_moved(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = get(first / SURROGATE)
    shutil.move(home(), tmp_path / "moved")
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path / "moved"))
    assert digest_of(find(SURROGATE).path) == digest
    assert in_use() == [digest]


def test_rights_are_those_of_any_new_file(first: Path) -> None:
    get(first / SURROGATE)
    mask = os.umask(0o022)
    os.umask(mask)
    for path in (shelf() / "versions").rglob("*"):
        expected = (0o777 if path.is_dir() else 0o666) & ~mask
        assert path.stat().st_mode & 0o777 == expected, path


# -- what was converted here -----------------------------------------------------------------


@pytest.fixture
def converted(second: Path) -> Path:
    """An artifact that was not pulled, in the home."""
    home().mkdir()
    return Path(shutil.copytree(second / SURROGATE, home() / SURROGATE))


def test_what_was_converted_here_is_not_replaced_unasked(converted: Path, first: Path) -> None:
    before = tree_of(converted)
    with pytest.raises(OutputError, match=r"was not pulled .*--overwrite.*keeps it as a version"):
        get(first / SURROGATE)
    assert tree_of(converted) == before
    assert cached() == []


def test_what_was_converted_here_becomes_a_version_when_asked(
    converted: Path, first: Path, second: Path
) -> None:
    new = pull(str(first / SURROGATE), overwrite=True, progress=False).digest
    old = digest_of(second / SURROGATE)
    assert {(v.digest, v.active) for v in cached()} == {(old, False), (new, True)}
    assert remove(SURROGATE, new)[0].digest == new
    assert in_use() == [old]
    assert tree_of(find(SURROGATE).path) == tree_of(second / SURROGATE)


@pytest.mark.parametrize("what", ["folder", "file", "broken link", "link elsewhere"])
def test_what_is_no_artifact_is_never_replaced(what: str, first: Path, tmp_path: Path) -> None:
    home().mkdir()
    target = home() / SURROGATE
    if what == "folder":
        target.mkdir()
        (target / "thesis.tex").write_text("x")
    elif what == "file":
        target.write_text("x")
    elif what == "broken link":
        target.symlink_to(tmp_path / "nothing")
    else:
        shutil.copytree(first / SURROGATE, tmp_path / "elsewhere")
        target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is no artifact, so it is not replaced"):
        pull(str(first / SURROGATE), overwrite=True, progress=False)
    assert os.path.lexists(target)
    assert cached() == []
    assert what != "link elsewhere" or (tmp_path / "elsewhere" / "manifest.json").exists()


def test_a_conversion_over_a_pulled_artifact_leaves_the_version(first: Path, second: Path) -> None:
    old = get(first / SURROGATE)
    with Outputs(home(), [SURROGATE], overwrite=True) as outputs:
        shutil.copytree(second / SURROGATE, outputs.build(SURROGATE), dirs_exist_ok=True)
        outputs.publish()
    assert digest_of(find(SURROGATE).path) == digest_of(second / SURROGATE)
    assert [(v.digest, v.active) for v in cached()] == [(old, False)]
    assert tree_of(cached()[0].path) == tree_of(first / SURROGATE)


# -- removal ---------------------------------------------------------------------------------


def test_removing_one_version_and_all(first: Path, second: Path) -> None:
    old, new = get(first / SURROGATE), get(second / SURROGATE)
    assert [v.digest for v in remove(SURROGATE, old[:12])] == [old]
    assert in_use() == [new]
    get(first / SURROGATE)
    assert [v.digest for v in remove(SURROGATE, old)] == [old]  # the one in use
    assert in_use() == [new]
    get(first / SURROGATE)
    assert {v.digest for v in remove("hwgpt-s-repeats")} == {old, new}
    assert cached() == []
    assert find(SURROGATE).embedded
    assert not os.path.lexists(home() / SURROGATE)


def test_removing_what_is_not_there(first: Path) -> None:
    with pytest.raises(MissingArtifactError, match="no version of hwgpt-s was pulled; see"):
        remove(SURROGATE)
    digest = get(first / SURROGATE)
    with pytest.raises(MissingArtifactError, match=f"'abcdef0'.*here are: {digest[:16]}"):
        remove(SURROGATE, "abcdef0")
    for name in ("../x", "hwgpt-s/..", "hwgpt-xl", ".", ""):
        with pytest.raises(InputError, match="is no name of an artifact"):
            remove(name)
    assert in_use() == [digest]


def test_removing_leaves_what_was_converted_here(converted: Path) -> None:
    with pytest.raises(MissingArtifactError, match="remove that folder yourself"):
        remove(SURROGATE)
    assert (converted / "manifest.json").exists()


def test_records_of_origin_that_somebody_broke_count_as_nothing_known(first: Path) -> None:
    digest = get(first / SURROGATE)
    (record,) = shelf().glob("versions/*/origin.json")
    for content in ("", "{", "[1, null]", "{}", '[{"source": 1, "revision": {}}]', "[" * 10_000):
        record.write_text(content)
        assert [v.digest for v in cached()] == [digest]
        assert pull(SURROGATE, revision=digest, offline=True, progress=False).active
    assert get(first / SURROGATE) == digest
    assert json.loads(record.read_text())[-1]["source"] == str(first / SURROGATE)


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

    def stall(content: bytes) -> bytes:
        gate.wait(60)
        return content

    hub.repository("me/mine").commit(tree_of(second))
    faulty.fail("GET /cdn/", cut=30_000, times=1)
    faulty.fail("GET /cdn/", change=stall, times=1)
    yield f"hf://datasets/me/mine/{SURROGATE}"
    gate.set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_pull_that_is_killed_is_gone_on_with(
    number: int, slow: str, faulty: FaultyHost, first: Path, second: Path
) -> None:
    old = get(first / SURROGATE)
    process = start(slow)
    wait_until(lambda: len(faulty.requests("GET /cdn/")) == 2)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert in_use() == [old]
    (kept,) = (shelf() / "partial").glob("*arrays.npz")
    have = kept.stat().st_size
    assert have > 0
    faulty.seen.clear()
    assert pull(slow, progress=False).digest == digest_of(second / SURROGATE)
    (rest,) = faulty.requests("GET /cdn/")
    assert rest.headers["range"].startswith(f"bytes={have}-")
    assert sorted(path.name for path in shelf().iterdir()) == ["lock", "versions"]


def test_what_killed_processes_left_is_tidied(first: Path, second: Path) -> None:
    old = get(first / SURROGATE)
    (shelf() / "tmp-dead" / SURROGATE).mkdir(parents=True)
    (shelf() / "next-1").symlink_to(f".hwgpt-blackbox/{SURROGATE}/versions/gone/{SURROGATE}")
    assert in_use() == [old]
    new = get(second / SURROGATE)
    assert in_use() == [new]
    assert sorted(path.name for path in shelf().iterdir()) == ["lock", "versions"]


def test_a_process_that_died_between_setting_aside_and_the_link_is_made_good(
    first: Path, second: Path
) -> None:
    digest = get(first / SURROGATE)
    (home() / SURROGATE).rename(shelf() / "next-1")
    assert find(SURROGATE).embedded
    with Shelf(SURROGATE, home()).lock():
        pass
    assert in_use() == [digest]
    assert digest_of(find(SURROGATE).path) == digest


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
    assert sorted(path.name for path in shelf().iterdir()) == ["lock", "versions"]


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
    assert sorted(path.name for path in shelf().iterdir()) == ["lock", "versions"]


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
        finally:
            stop.set()
        writer.result()
    assert load("s", "a100")


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
    assert not faulty.requests("resolve/.*extra")
