"""Publishing to a hub: what arrives is what was sent, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import rewrite_manifest
from hosted import REPO, SURROGATE, TABLE, digest_of, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import pull, push
from hwgpt_blackbox.errors import (
    DataError,
    MissingArtifactError,
    OutputError,
    TransferError,
)


def test_a_push_to_the_hub_is_one_commit_that_pull_finds(
    hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    repository = hub.repository(REPO)
    repository.commit({"README.md": b"mine", "hwgpt-m/manifest.json": b"{}"})
    commit = push(first / TABLE, REPO, message="A table", progress=False)
    assert commit == repository.names["main"]
    assert len(repository.commits) == 2
    assert repository.head == {
        "README.md": b"mine",
        "hwgpt-m/manifest.json": b"{}",
        **tree_of(first / TABLE, f"{TABLE}/"),
    }
    version = pull(TABLE, repository=REPO, revision=commit, progress=False)
    assert tree_of(version.path) == tree_of(first / TABLE)


def test_files_of_an_earlier_version_go_in_the_same_commit(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    repository = hub.repository(REPO)
    (first / SURROGATE / "old.npz").write_bytes(b"x")
    rewrite_manifest(first / SURROGATE)
    before = repository.commit(tree_of(first))
    push(second / SURROGATE, f"hf://datasets/{REPO}/{SURROGATE}", progress=False)
    assert repository.head == tree_of(first / TABLE, f"{TABLE}/") | tree_of(
        second / SURROGATE, f"{SURROGATE}/"
    )
    old = pull(SURROGATE, repository=REPO, revision=before, progress=False)
    assert old.digest == digest_of(first / SURROGATE)


def test_files_of_others_in_the_folder_are_not_removed_unasked(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    repository = hub.repository(REPO)
    others = {f"{SURROGATE}/notes.txt": b"mine", f"{SURROGATE}/sub/deep.txt": b"mine"}
    repository.commit({**tree_of(first), **others})
    before = repository.head
    with pytest.raises(OutputError, match=r"'notes\.txt' first; .*--overwrite"):
        push(second / SURROGATE, REPO, progress=False)
    del before[f"{SURROGATE}/notes.txt"]
    repository.commit(before)
    with pytest.raises(OutputError, match=r"'sub' first; .*--overwrite"):
        push(second / SURROGATE, REPO, progress=False)
    assert repository.head == before
    push(second / SURROGATE, REPO, overwrite=True, progress=False)
    assert not set(others) & set(repository.head)
    assert pull(SURROGATE, repository=REPO, progress=False).active


def test_a_repository_of_the_name_of_the_artifact_keeps_all_that_is_in_it(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    address = f"me/{SURROGATE}"
    repository = hub.repository(address)
    others = {
        ".gitattributes": b"*.npz filter=lfs",
        "README.md": b"my card",
        "notebooks/a.txt": b"mine",
        "hwgpt-m/manifest.json": b"{}",
    }
    repository.commit(others)
    for folder in (first, second):
        push(folder / SURROGATE, address, overwrite=True, progress=False)
        assert repository.head == others | tree_of(folder / SURROGATE, f"{SURROGATE}/")
    push(first / TABLE, address, progress=False)
    for name, folder in ((SURROGATE, second), (TABLE, first)):
        version = pull(name, repository=address, progress=False)
        assert version.digest == digest_of(folder / name)


def test_a_branch_that_is_not_there_is_told_from_a_repository_that_is_not(
    hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    for create in (False, True):
        with pytest.raises(MissingArtifactError) as error:
            push(first / TABLE, "me/none", branch="nope", create=create, progress=False)
        assert ("--create" in str(error.value)) is not create
        assert ("no branch 'nope': make it" in str(error.value)) is create
    with pytest.raises(MissingArtifactError, match="no branch 'nope': make it") as error:
        push(first / TABLE, "me/none", branch="nope", progress=False)
    assert "--create" not in str(error.value)


def test_a_repository_is_made_when_asked_and_is_private(
    hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    with pytest.raises(MissingArtifactError, match=r"--create \(create=True\) makes"):
        push(first / TABLE, REPO, progress=False)
    assert hub.repositories == {}
    for _ in range(2):
        push(first / TABLE, REPO, create=True, progress=False)
    assert hub.repositories[REPO].private
    with pytest.raises(TransferError, match="no access"):
        pull(TABLE, repository=REPO, anonymous=True, progress=False)
    assert pull(TABLE, repository=REPO, progress=False).active


def test_a_quiet_push_shows_no_bars_and_leaves_the_library_as_it_was(
    hub: Hub,
    faulty: FaultyHost,
    first: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from huggingface_hub.utils import are_progress_bars_disabled

    monkeypatch.setenv("TQDM_POSITION", "-1")  # bars without a terminal
    hub.repository(REPO).commit({})
    for progress in (False, True):
        hub.blobs.clear()
        push(first / SURROGATE, REPO, progress=progress, overwrite=True)
        assert ("B/s" in capfd.readouterr().err) is progress
        assert not are_progress_bars_disabled()


def test_a_branch(hub: Hub, faulty: FaultyHost, first: Path) -> None:
    repository = hub.repository(REPO)
    repository.names["draft"] = repository.commit({"README.md": b""})
    push(first / TABLE, REPO, branch="draft", progress=False)
    assert repository.head == {"README.md": b""}
    assert pull(TABLE, repository=REPO, revision="draft", progress=False).active


def test_no_right_to_write(hub: Hub, faulty: FaultyHost, first: Path) -> None:
    repository = hub.repository(REPO)
    repository.commit({})
    with pytest.raises(TransferError, match=r"no access .*HF_TOKEN"):
        push(first / TABLE, REPO, token="hf_somebody_else", progress=False)
    assert repository.head == {}


@pytest.mark.parametrize("what", ["preupload", "objects/batch"])
def test_a_hub_that_recovers_is_asked_again(
    what: str, hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    hub.repository(REPO).commit({})
    faulty.fail(f"POST .*{what}", status=503, times=1, headers={"Retry-After": "0"})
    push(first / SURROGATE, REPO, progress=False)
    assert hub.repositories[REPO].head == tree_of(first / SURROGATE, f"{SURROGATE}/")


def test_a_hub_that_fails_to_commit_changes_nothing(
    hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    hub.repository(REPO).commit({})
    faulty.fail("POST .*/commit/", status=503, times=1)
    with pytest.raises(TransferError, match=r"HTTP 503.*try again later"):
        push(first / SURROGATE, REPO, progress=False)
    assert hub.repositories[REPO].head == {}
    push(first / SURROGATE, REPO, progress=False)
    assert hub.repositories[REPO].head == tree_of(first / SURROGATE, f"{SURROGATE}/")


@pytest.mark.parametrize("answer", [b"<html>Login</html>", b"{}", b"[]"])
def test_a_hub_that_answers_nonsense(
    answer: bytes, hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    hub.repository(REPO).commit({})
    faulty.fail("POST .*/commit/", change=lambda _: answer)
    with pytest.raises(TransferError, match="unexpected answer"):
        push(first / SURROGATE, REPO, progress=False)


def test_what_arrived_and_is_another_thing_is_an_error(
    hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    hub.repository(REPO).commit({})
    faulty.fail("GET .*resolve/.*manifest.json", change=lambda content: content[:-1] + b" ")
    with pytest.raises(DataError, match=r"is not what was sent .*push again"):
        push(first / SURROGATE, REPO, progress=False)
