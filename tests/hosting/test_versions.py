"""Versions side by side: listed, put in use, and removed."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers import rewrite_manifest
from hosted import SURROGATE, TABLE, digest_of, get, in_use, pull_from, shelf, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import cached, pull, remove
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.errors import InputError, MissingArtifactError, OutputError
from hwgpt_blackbox.storage.atomic_writes import Outputs
from hwgpt_blackbox.storage.locations import find, home

# -- side by side ----------------------------------------------------------------------------


def test_versions_of_the_hub_stay_side_by_side_and_one_is_in_use(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    assert cached() == []
    old, new = (pull_from(hub, folder) for folder in (first, second))
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
    assert {v.size for v in cached() if v.digest == old} == {size}


def test_elsewhere_the_version_pulled_last_is_the_only_one(first: Path, second: Path) -> None:
    get(first / SURROGATE)
    new = get(second / SURROGATE)
    assert [(v.digest, v.active) for v in cached()] == [(new, True)]
    assert tree_of(home() / SURROGATE) == tree_of(second / SURROGATE)


def test_files_of_others_beside_a_pulled_artifact_stay(first: Path, second: Path) -> None:
    get(first / SURROGATE)
    notes = home() / SURROGATE / "thesis.txt"
    notes.write_text("years of work")
    for change in (lambda: get(second / SURROGATE), lambda: remove(SURROGATE)):
        with pytest.raises(OutputError, match=r"does not list \(thesis\.txt\)"):
            change()
    assert notes.read_text() == "years of work"


def test_a_version_of_the_hub_can_be_fetched_without_being_used(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    old = get(first / SURROGATE)
    hub.repository("me/mine").commit(tree_of(second))
    version = pull(SURROGATE, repository="me/mine", activate=False, progress=False)
    assert not version.active
    assert tree_of(version.path) == tree_of(second / SURROGATE)
    assert in_use() == [old]
    with pytest.raises(InputError, match=r"activate=False is for the hub: .*home="):
        pull(str(second / SURROGATE), activate=False, progress=False)


def test_a_damaged_copy_in_the_cache_is_fetched_again(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    old, new = (pull_from(hub, folder) for folder in (first, second))
    (version,) = (v for v in cached() if v.digest == old)
    (version.path / "arrays.npz").resolve().write_bytes(b"bit rot")
    with pytest.raises(MissingArtifactError, match="offline"):
        pull(SURROGATE, revision=old, offline=True, progress=False)
    assert in_use() == [new]
    commit = version.origins[-1]["revision"]
    assert pull(SURROGATE, repository="me/mine", revision=commit, progress=False).digest == old


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
    for path in (home() / SURROGATE, *(home() / SURROGATE).iterdir()):
        expected = (0o777 if path.is_dir() else 0o666) & ~mask
        assert path.stat().st_mode & 0o777 == expected, path


def test_what_the_release_before_pulled_is_found_listed_replaced_and_removed(
    first: Path, second: Path
) -> None:
    old, hidden = digest_of(first / SURROGATE), Path(".hwgpt-blackbox", SURROGATE)
    place = home() / hidden / "versions" / old[:16]
    for act in ("replaced", "removed"):
        shutil.copytree(first / SURROGATE, place / SURROGATE)
        (home() / hidden / "lock").touch()
        (home() / hidden / "partial").mkdir()
        (home() / hidden / "partial" / "0123456789abcdef-arrays.npz").write_bytes(b"half")
        (home() / SURROGATE).symlink_to(hidden / "versions" / old[:16] / SURROGATE)
        assert digest_of(find(SURROGATE).path) == old
        assert [(v.digest, v.active) for v in cached()] == [(old, True)]
        if act == "replaced":
            new = get(second / SURROGATE)
            assert [(v.digest, v.active) for v in cached()] == [(new, True)]
            assert tree_of(place / SURROGATE) == tree_of(first / SURROGATE)
        assert {v.digest for v in remove(SURROGATE)} == {new if act == "replaced" else old}
        assert [path.name for path in shelf().iterdir()] == ["lock"]
        assert find(SURROGATE).embedded


# -- what was converted here -----------------------------------------------------------------


@pytest.fixture
def converted(second: Path) -> Path:
    """An artifact that was not pulled, in the home."""
    home().mkdir()
    return Path(shutil.copytree(second / SURROGATE, home() / SURROGATE))


def test_what_was_converted_here_is_not_replaced_unasked(converted: Path, first: Path) -> None:
    before = tree_of(converted)
    with pytest.raises(OutputError, match=r"was not pulled .*--overwrite.*removes it for good"):
        get(first / SURROGATE)
    assert tree_of(converted) == before
    assert cached() == []


def test_what_was_converted_here_is_replaced_when_asked(converted: Path, first: Path) -> None:
    new = pull(str(first / SURROGATE), overwrite=True, progress=False).digest
    assert [(v.digest, v.active) for v in cached()] == [(new, True)]
    assert tree_of(find(SURROGATE).path) == tree_of(first / SURROGATE)


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


def test_a_conversion_over_a_pulled_artifact_leaves_the_version_of_the_hub(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    old = pull_from(hub, first)
    with Outputs(home(), [SURROGATE], overwrite=True) as outputs:
        shutil.copytree(second / SURROGATE, outputs.build(SURROGATE), dirs_exist_ok=True)
        outputs.publish()
    assert digest_of(find(SURROGATE).path) == digest_of(second / SURROGATE)
    assert [(v.digest, v.active) for v in cached()] == [(old, False)]
    assert tree_of(cached()[0].path) == tree_of(first / SURROGATE)


# -- removal ---------------------------------------------------------------------------------


def test_removing_one_version_and_all(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    old, new = (pull_from(hub, folder) for folder in (first, second))
    assert [v.digest for v in remove(SURROGATE, old[:12])] == [old]
    assert in_use() == [new]
    pull_from(hub, first)
    assert [v.digest for v in remove(SURROGATE, old)] == [old]  # the one in use
    assert in_use() == [new]
    pull_from(hub, first)
    assert {v.digest for v in remove("hwgpt-s-repeats")} == {old, new}
    assert cached() == []
    assert find(SURROGATE).embedded
    assert not os.path.lexists(home() / SURROGATE)
    assert not (shelf() / "hub").exists()


def test_what_is_copied_here_after_a_removal_was_not_pulled(first: Path, second: Path) -> None:
    get(first / SURROGATE)
    remove(SURROGATE)
    shutil.copytree(first / SURROGATE, home() / SURROGATE)
    assert cached() == []
    with pytest.raises(OutputError, match="was not pulled"):
        get(second / SURROGATE)


def test_removing_a_version_leaves_what_others_share_with_it(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    old = pull_from(hub, first)
    rewrite_manifest(first / SURROGATE, made_for="the same arrays")
    new = pull_from(hub, first)
    remove(SURROGATE, old)
    assert [v.digest for v in cached()] == [new]
    assert pull(SURROGATE, revision=new, offline=True, progress=False).active


def test_removing_by_a_start_that_several_versions_have(
    hub: Hub, faulty: FaultyHost, first: Path, second: Path
) -> None:
    for folder in (first, second):
        pull_from(hub, folder)
    paths = sorted(shelf().glob("hub/*/snapshots/*"), key=lambda path: path.stat().st_mtime)
    log = shelf() / "origins.json"
    for path, commit in zip(paths, ("a" * 39 + "b", "a" * 40), strict=True):
        log.write_text(log.read_text().replace(path.name, commit))
        path.rename(path.with_name(commit))
    for action in (
        lambda: remove(SURROGATE, "aaaaaaa"),
        lambda: pull(SURROGATE, revision="aaaaaaa", offline=True, progress=False),
    ):
        with pytest.raises(InputError, match=r"names several versions: .*give more digits"):
            action()
    assert len(cached()) == 2
    assert len(remove(SURROGATE, "a" * 40)) == 1


@pytest.mark.parametrize("revision", [5, "", b"main", "a\nb"])
def test_removing_a_revision_that_is_none(revision: Any, first: Path) -> None:
    get(first / SURROGATE)
    with pytest.raises(InputError, match="expected a branch, tag, commit or digest") as error:
        remove(SURROGATE, revision)
    assert repr(revision) in str(error.value)
    assert len(cached()) == 1


def test_removing_what_is_not_there(first: Path) -> None:
    with pytest.raises(MissingArtifactError, match="no version of hwgpt-s was pulled; see"):
        remove(SURROGATE)
    digest = get(first / SURROGATE)
    with pytest.raises(MissingArtifactError, match=f"'abcdef0'.*here are: {digest[:16]}"):
        remove(SURROGATE, "abcdef0")
    for name in ("../x", "hwgpt-s/..", "hwgpt-XL", ".", ""):
        with pytest.raises(InputError, match="is no name of an artifact"):
            remove(name)
    assert in_use() == [digest]


def test_removing_leaves_what_was_converted_here(converted: Path) -> None:
    with pytest.raises(MissingArtifactError, match="remove that folder yourself"):
        remove(SURROGATE)
    assert (converted / "manifest.json").exists()


def test_records_of_origin_that_somebody_broke_count_as_nothing_known(
    hub: Hub, faulty: FaultyHost, first: Path
) -> None:
    digest = pull_from(hub, first)
    record = shelf() / "origins.json"
    (row,) = json.loads(record.read_text())[digest]
    rows = [1, None, {"source": 1, "revision": {}}]
    rows += [{**row, key: 7} for key in row]
    rows += [{k: v for k, v in row.items() if k != key} for key in row]
    broken = ["", "{", "[1, null]", "{}", "[" * 10_000, f'{{"{digest}": 1}}']
    for content in [*broken, *(json.dumps({digest: [row]}) for row in rows)]:
        record.write_text(content)
        assert main(["list", "--cached"]) == 0
        with pytest.raises(MissingArtifactError, match="was pulled; here are"):
            remove(SURROGATE, "v1")
        assert [v.digest for v in cached()] == [digest]
        with pytest.raises(OutputError, match="was not pulled"):
            get(first / SURROGATE)
        version = pull(SURROGATE, revision=digest, offline=True, overwrite=True, progress=False)
        assert version.active
    assert get(first / SURROGATE) == digest
    assert json.loads(record.read_text())[digest][-1]["source"] == str(first / SURROGATE)


def test_a_record_of_origin_that_cannot_be_written_leaves_the_former_one(
    first: Path, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = get(first / SURROGATE)
    record = shelf() / "origins.json"
    before = record.read_text()
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if "origins" not in str(self.parent):
            return write(self, data)
        write(self, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        for folder in (first, second):
            with pytest.raises(OutputError, match="make room"):
                get(folder / SURROGATE)
    assert record.read_text() == before
    assert in_use() == [digest]
    assert {path.name for path in record.parent.iterdir()} == {"lock", "origins.json"}


def test_odd_things_in_the_folder_of_versions_are_passed_over(first: Path, tmp_path: Path) -> None:
    digest = get(first / SURROGATE)
    versions = shelf() / "versions"
    (versions / "empty").mkdir(parents=True)
    (versions / "file").write_text("x")
    (versions / "odd").mkdir()
    (versions / "odd" / SURROGATE).write_text("x")
    (versions / "odder" / SURROGATE / "manifest.json").mkdir(parents=True)
    (shelf() / "hub" / "file").mkdir(parents=True)
    (shelf() / "hub" / "file" / "snapshots").write_text("x")
    assert [v.digest for v in cached()] == [digest]
    assert get(first / SURROGATE) == digest
