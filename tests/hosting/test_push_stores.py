"""Publishing to stores and folders: nothing of others is overwritten unasked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hosted import SURROGATE, digest_of, tree_of
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
from hwgpt_blackbox.storage.locations import EMBEDDED, home


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


def damage(target: str, how: str, store: Any) -> None:
    """Change the file of a pushed surrogate, in a store or a folder."""
    if "://" not in target:
        path = Path(target) / SURROGATE / "arrays.npz"
        path.unlink() if how == "gone" else path.write_bytes(b"x")
        return
    import fsspec

    path_in_store = f"{target.partition('://')[2]}/{SURROGATE}/arrays.npz"
    found = store if target.startswith("s3") else fsspec.filesystem("memory")
    found.rm(path_in_store) if how == "gone" else found.pipe_file(path_in_store, b"x")


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_what_is_damaged_there_is_mended_by_pushing_it_again(
    how: str, target: str, store: Any, first: Path
) -> None:
    digest = push(first / SURROGATE, target, progress=False)
    damage(target, how, store)
    with pytest.raises(DataError):
        pull(SURROGATE, repository=target, progress=False)
    assert push(first / SURROGATE, target, progress=False) == digest
    assert pull(SURROGATE, repository=target, progress=False).digest == digest


def test_damage_that_sizes_do_not_tell_is_mended_when_asked(target: str, first: Path) -> None:
    import fsspec

    digest = push(first / SURROGATE, target, progress=False)
    arrays = first / SURROGATE / "arrays.npz"
    with fsspec.open(f"{target}/{SURROGATE}/arrays.npz", "wb") as file:
        file.write(bytes(arrays.stat().st_size))
    push(first / SURROGATE, target, overwrite=True, progress=False)
    assert pull(SURROGATE, repository=target, progress=False).digest == digest


def test_a_folder_is_not_mended_over_files_of_others(first: Path, tmp_path: Path) -> None:
    target = tmp_path / "a" / SURROGATE
    push(first / SURROGATE, str(target), progress=False)
    (target / "thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"'thesis\.tex' first; .*--overwrite"):
        push(first / SURROGATE, str(target), progress=False)
    assert (target / "thesis.tex").read_text() == "mine"
    push(first / SURROGATE, str(target), overwrite=True, progress=False)
    assert not (target / "thesis.tex").exists()


def test_a_manifest_that_cannot_be_read_is_not_replaced_unasked(
    first: Path, tmp_path: Path
) -> None:
    import fsspec

    store, place = fsspec.filesystem("memory"), f"/{tmp_path.name}/{SURROGATE}/manifest.json"
    store.pipe_file(place, bytes(5 << 20))
    with pytest.raises(DataError, match="is larger than"):
        push(first / SURROGATE, f"memory://{tmp_path.name}", progress=False)
    assert store.size(place) == 5 << 20


def test_what_is_there_whole_is_not_sent_again(bucket: str, s3: FaultyHost, first: Path) -> None:
    push(first / SURROGATE, bucket, progress=False)
    s3.seen.clear()
    push(first / SURROGATE, bucket, progress=False)
    assert not s3.requests("^(PUT|DELETE|POST)")


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
        ("hwgpt-XL", "memory://x", {}, InputError, "is no artifact: .*known: hwgpt-s"),
        ("./nothing", "memory://x", {}, InputError, "is no artifact: no folder with a manifest"),
        ("hwgpt-s", "nothing-here", {}, InputError, "is no address"),
        ("hwgpt-s", "memory://x", {"create": True}, InputError, "are for the hub"),
        ("hwgpt-s", "hf://datasets/me/mine@v1", {}, InputError, "name the branch with --branch"),
        ("hwgpt-s", "http://127.0.0.1:9/x", {}, TransferError, "failed .*try again later"),
        ("hwgpt-s", "hf://datasets/x", {}, InputError, "expected hf://datasets/owner/repo"),
        ("hwgpt-s", 5, {}, InputError, "5 is no address"),
        ("hwgpt-s", "me/mine", {"branch": 5}, InputError, "branch is 5"),
        ("hwgpt-s", "me/mine", {"message": 5}, InputError, "message is 5"),
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


@pytest.mark.parametrize("scheme", ["memory", "s3"])
def test_a_bucket_of_the_name_of_the_artifact_keeps_all_that_is_in_it(
    scheme: str, first: Path, request: pytest.FixtureRequest
) -> None:
    import fsspec

    if scheme == "s3":
        request.getfixturevalue("s3")
    store = request.getfixturevalue("store") if scheme == "s3" else fsspec.filesystem(scheme)
    store.makedirs(SURROGATE, exist_ok=True)
    store.pipe_file(f"{SURROGATE}/thesis.tex", b"mine")
    push(first / SURROGATE, f"{scheme}://{SURROGATE}", overwrite=True, progress=False)
    assert store.cat_file(f"{SURROGATE}/thesis.tex") == b"mine"
    assert store.exists(f"{SURROGATE}/{SURROGATE}/manifest.json")
    store.rm(SURROGATE, recursive=True)
