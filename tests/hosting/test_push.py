"""Publishing: what arrives is what was sent, and nothing of others is overwritten unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hosted import SURROGATE, TABLE, digest_of, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import pull, push
from hwgpt_blackbox.errors import (
    DataError,
    HWGPTError,
    InputError,
    MissingArtifactError,
    OutputError,
    TransferError,
)
from hwgpt_blackbox.places import EMBEDDED, home

REPO = "me/mine"


# -- the hub ---------------------------------------------------------------------------------


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
    stale = {f"{SURROGATE}/old.npz": b"x", f"{SURROGATE}/sub/older": b"x"}
    before = repository.commit({**tree_of(first), **stale})
    push(second / SURROGATE, f"hf://datasets/{REPO}/{SURROGATE}", progress=False)
    assert repository.head == tree_of(first / TABLE, f"{TABLE}/") | tree_of(
        second / SURROGATE, f"{SURROGATE}/"
    )
    repository.commits[before] = tree_of(first)  # as it was but for what pull would refuse
    old = pull(SURROGATE, repository=REPO, revision=before, progress=False)
    assert old.digest == digest_of(first / SURROGATE)


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


@pytest.mark.parametrize("what", ["preupload", "objects/batch", "/commit/"])
def test_a_hub_that_recovers_is_asked_again(
    what: str, hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    hub.repository(REPO).commit({})
    faulty.fail(f"POST .*{what}", status=503, times=1, headers={"Retry-After": "0"})
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


# -- stores and folders ----------------------------------------------------------------------


@pytest.fixture(params=["s3", "memory", "folder"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of an empty place."""
    if request.param == "s3":
        return f"{request.getfixturevalue('bucket')}/prefix"
    if request.param == "memory":
        return f"memory://{tmp_path.name}"
    return str(tmp_path / "new" / "repository")


def test_another_version_is_replaced_when_asked_and_nothing_stale_stays(
    target: str, first: Path, second: Path
) -> None:
    old, new = (digest_of(folder / SURROGATE) for folder in (first, second))
    assert push(first / SURROGATE, target, progress=False) == old
    assert push(first / SURROGATE, f"{target}/{SURROGATE}", progress=False) == old
    with pytest.raises(OutputError, match=f"holds another version, {old}; .*--overwrite"):
        push(second / SURROGATE, target, progress=False)
    assert pull(SURROGATE, repository=target, progress=False).digest == old
    assert push(second / SURROGATE, target, overwrite=True, progress=False) == new
    version = pull(SURROGATE, repository=target, progress=False)
    assert tree_of(version.path) == tree_of(second / SURROGATE)


def test_what_is_shipped_and_what_was_pulled_can_be_pushed(tmp_path: Path, first: Path) -> None:
    push("hwgpt-m", str(tmp_path / "a"), progress=False)
    assert tree_of(tmp_path / "a" / "hwgpt-m") == tree_of(EMBEDDED / "hwgpt-m")
    pull(str(first / SURROGATE), progress=False)
    push("hwgpt-s-repeats", str(tmp_path / "a"), progress=False)
    assert tree_of(tmp_path / "a" / SURROGATE) == tree_of(first / SURROGATE)
    assert not (tmp_path / "a" / SURROGATE).is_symlink()
    assert not any(path.is_symlink() for path in (tmp_path / "a" / SURROGATE).iterdir())


def test_a_push_to_s3_that_is_cut_leaves_no_artifact(
    bucket: str, s3: FaultyHost, first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(first / SURROGATE, bucket, progress=False)
    s3.fail(
        r"PUT /.*arrays\.npz",
        status=403,
        headers={"Content-Type": "application/xml"},
        body=b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>",
    )
    with pytest.raises(TransferError, match="no access"):
        push(second / SURROGATE, bucket, overwrite=True, progress=False)
    with pytest.raises(MissingArtifactError):  # neither the one nor a mixture of both
        pull(SURROGATE, repository=bucket, progress=False)
    s3.faults.clear()
    push(second / SURROGATE, bucket, progress=False)
    assert pull(SURROGATE, repository=bucket, progress=False).active


def test_a_folder_that_is_no_artifact_is_not_replaced(first: Path, tmp_path: Path) -> None:
    (tmp_path / "a" / SURROGATE).mkdir(parents=True)
    (tmp_path / "a" / SURROGATE / "thesis.tex").write_text("x")
    with pytest.raises(OutputError, match="is no artifact"):
        push(first / SURROGATE, str(tmp_path / "a"), overwrite=True, progress=False)
    assert (tmp_path / "a" / SURROGATE / "thesis.tex").exists()


def test_files_of_others_in_a_store_are_not_removed_unasked(first: Path, tmp_path: Path) -> None:
    import fsspec

    store, place = fsspec.filesystem("memory"), f"/{tmp_path.name}/{SURROGATE}"
    store.pipe_file(f"{place}/thesis.tex", b"x")
    with pytest.raises(OutputError, match=r"'thesis\.tex' first; .*--overwrite"):
        push(first / SURROGATE, f"memory:/{place}", progress=False)
    assert store.ls(place, detail=False) == [f"{place}/thesis.tex"]
    push(first / SURROGATE, f"memory:/{place}", overwrite=True, progress=False)
    assert not store.exists(f"{place}/thesis.tex")


@pytest.mark.parametrize(
    ("artifact", "url", "options", "error", "message"),
    [
        ("hwgpt-s-tabular", "memory://x", {}, MissingArtifactError, "hwgpt-blackbox convert"),
        ("hwgpt-xl", "memory://x", {}, InputError, "is no name of an artifact"),
        ("./nothing", "memory://x", {}, MissingArtifactError, "has no manifest.json"),
        ("hwgpt-s", "nothing-here", {}, InputError, "is no address"),
        ("hwgpt-s", "memory://x", {"create": True}, InputError, "are for the hub"),
        ("hwgpt-s", "hf://datasets/me/mine@v1", {}, InputError, "name the branch with --branch"),
        ("hwgpt-s", "http://127.0.0.1:9/x", {}, TransferError, "failed 6 times"),
    ],
)
def test_what_cannot_be_pushed(
    artifact: str,
    url: str,
    options: dict[str, Any],
    error: type[HWGPTError],
    message: str,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    with pytest.raises(error, match=message):
        push(artifact, url, progress=False, **options)
    assert not home().exists()


def test_a_web_server_takes_no_files(faulty: FaultyHost) -> None:
    with pytest.raises(InputError, match="web servers take no files"):
        push("hwgpt-s", f"{faulty.url}/x", progress=False)
