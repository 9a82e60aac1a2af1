"""Pulling from a hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from hosted import REPO, SURROGATE, TABLE, URL, assert_in_use, digest_of, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub, Repository

from hwgpt_blackbox import cached, pull
from hwgpt_blackbox.errors import (
    MissingArtifactError,
)

# -- what works ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [SURROGATE, TABLE])
def test_by_name_by_url_and_by_owner_and_repo(
    name: str, repository: Repository, faulty: FaultyHost, first: Path, tmp_path: Path
) -> None:
    wanted = tree_of(first / name)
    for i, ask in enumerate(
        [
            {"what": name, "repository": REPO},
            {"what": name, "repository": f"hf://datasets/{REPO}"},
            {"what": name, "repository": f"hf://datasets/{REPO}/{name}"},
            {"what": f"hf://datasets/{REPO}/{name}"},
            {"what": f"{REPO}/{name}"},
            {"what": f"hf://datasets/{REPO}@main/{name}"},
        ]
    ):
        version = pull(**ask, home=tmp_path / str(i), progress=False)
        assert tree_of(version.path) == wanted
        assert (tmp_path / str(i) / name).samefile(version.path)
        assert version.digest == digest_of(first / name)
        (origin,) = version.origins
        assert origin["source"] == f"hf://datasets/{REPO}/{name}"
        assert origin["revision"] == repository.names["main"]


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    repository: Repository, hub: Hub, faulty: FaultyHost
) -> None:
    repository.private = True
    pull(URL, progress=False)
    redirected = faulty.requests("/cdn/")
    assert redirected
    assert not any("authorization" in seen.headers for seen in redirected)
    resolved = faulty.requests("/resolve/")
    assert all(seen.headers.get("authorization", "").endswith("loopback") for seen in resolved)


def test_a_version_that_is_here_is_not_fetched_again(
    repository: Repository, faulty: FaultyHost
) -> None:
    version = pull(URL, progress=False)
    faulty.seen.clear()
    again = pull(URL, progress=False)
    assert again.digest == version.digest
    assert not faulty.requests("arrays|cdn")
    faulty.seen.clear()
    pinned = pull(URL, revision=repository.names["main"], progress=False)
    assert pinned.digest == version.digest
    assert faulty.seen == []  # a commit never changes: nobody need be asked


def test_a_damaged_version_is_fetched_again(
    repository: Repository, faulty: FaultyHost, caplog: pytest.LogCaptureFixture
) -> None:
    version = pull(URL, progress=False)
    (version.path / "arrays.npz").write_bytes(b"bit rot")
    again = pull(URL, progress=False)
    assert "damaged" in caplog.text
    assert_in_use(again.digest)


# -- revisions -------------------------------------------------------------------------------


def test_a_branch_moves_and_a_pinned_revision_stays(
    repository: Repository, faulty: FaultyHost, first: Path, second: Path
) -> None:
    pinned = repository.names["main"]
    repository.names["v1"] = pinned
    old, new = digest_of(first / SURROGATE), digest_of(second / SURROGATE)
    assert pull(URL, revision="v1", progress=False).digest == old
    moved = repository.commit(tree_of(second))
    assert pull(URL, progress=False).digest == new
    assert_in_use(new)
    assert pull(URL, revision=pinned, progress=False).digest == old
    assert_in_use(old)
    assert pull(URL, revision=moved, progress=False).digest == new
    assert {v.digest for v in cached()} == {old, new}


def test_a_branch_that_moves_during_a_pull_gives_one_commit(
    repository: Repository, faulty: FaultyHost, first: Path, second: Path
) -> None:
    def move(content: bytes) -> bytes:
        repository.commit(tree_of(second))
        return content

    faulty.fail("GET .*/resolve/.*manifest.json", change=move, times=1)
    version = pull(URL, progress=False)
    assert version.digest == digest_of(first / SURROGATE)
    assert version.origins[-1]["revision"] != repository.names["main"]


def test_a_tag_with_slashes_is_asked_for_whole(repository: Repository, faulty: FaultyHost) -> None:
    repository.names["refs/pr/1"] = repository.names["main"]
    assert pull(URL, revision="refs/pr/1", progress=False).active
    assert faulty.requests("/revision/refs%2Fpr%2F1")


# -- where nothing is ------------------------------------------------------------------------


def test_the_default_repository_is_named_honestly(hub: Hub, faulty: FaultyHost) -> None:
    hub.repository("synetune/blackbox-repository").commit({"fcnet/metadata.json": b"{}"})
    with pytest.raises(MissingArtifactError) as error:
        pull(TABLE, progress=False)
    for text in ("synetune/blackbox-repository", "HWGPT_BLACKBOX_REPOSITORY", "--from", "convert"):
        assert text in str(error.value)


def test_the_environment_names_the_repository(
    repository: Repository, faulty: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWGPT_BLACKBOX_REPOSITORY", REPO)
    assert pull(TABLE, progress=False).active


def test_a_repository_itself_is_no_artifact_and_says_what_it_holds(
    repository: Repository, faulty: FaultyHost
) -> None:
    with pytest.raises(MissingArtifactError, match=f"holds {SURROGATE}, {TABLE}: add one"):
        pull(f"hf://datasets/{REPO}", progress=False)


def test_no_such_revision_or_repository(repository: Repository, faulty: FaultyHost) -> None:
    with pytest.raises(MissingArtifactError, match=r"at revision 'v9'.*RevisionNotFound"):
        pull(URL, revision="v9", progress=False)
    with pytest.raises(MissingArtifactError, match="RepoNotFound"):
        pull(SURROGATE, repository="me/other", progress=False)


def test_a_repository_that_is_an_artifact_itself_is_read_by_its_address(
    hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    tree = tree_of(first / SURROGATE) | {".gitattributes": b"", "README.md": b"card"}
    hub.repository(f"me/{SURROGATE}").commit(tree)
    version = pull(f"me/{SURROGATE}", progress=False)
    assert version.digest == digest_of(first / SURROGATE)
