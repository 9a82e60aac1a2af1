"""Artifacts are there entirely or not at all, and nothing of the user's is lost."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwgpt_blackbox import output
from hwgpt_blackbox.errors import OutputError
from hwgpt_blackbox.output import Outputs, writing


def make(outputs: Outputs, name: str, content: str) -> None:
    folder = outputs.build(name)
    (folder / "manifest.json").write_text(content)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def existing(folder: Path, name: str = "a") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "manifest.json").write_text("old")
    return folder


def test_artifacts_appear_together_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with Outputs(out, ["a", "b"], overwrite=False) as outputs:
        make(outputs, "a", "1")
        make(outputs, "b", "2")
        assert not (out / "a").exists()
        assert outputs.publish() == [out / "a", out / "b"]
    assert files(out) == ["a", "a/manifest.json", "b", "b/manifest.json"]
    assert (out / "a").stat().st_mode & 0o777 == 0o777 & ~output._umask()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_whatever_ends_it_nothing_stays(error: type[BaseException], tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with pytest.raises(error), Outputs(out, ["a"], overwrite=False) as outputs:
        make(outputs, "a", "1")
        raise error
    assert files(tmp_path) == []


def test_folders_that_hold_something_stay(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ValueError), Outputs(tmp_path, ["a"], overwrite=False) as outputs:
        make(outputs, "a", "1")
        raise ValueError
    assert files(tmp_path) == ["mine"]


def test_an_artifact_that_exists_is_refused_before_any_work(tmp_path: Path) -> None:
    existing(tmp_path)
    with pytest.raises(OutputError, match=r"a exists; replace it with --overwrite"):
        Outputs(tmp_path, ["b", "a"], overwrite=False)
    assert (tmp_path / "a" / "manifest.json").read_text() == "old"


def test_an_artifact_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="b exists"),
        Outputs(tmp_path, ["a", "b"], overwrite=False) as outputs,
    ):
        make(outputs, "a", "1")
        make(outputs, "b", "1")
        existing(tmp_path, "b")
        outputs.publish()
    assert files(tmp_path) == ["b", "b/manifest.json"]


def test_overwrite_replaces(tmp_path: Path) -> None:
    existing(tmp_path)
    (tmp_path / "a" / "stale").write_text("x")
    with Outputs(tmp_path, ["a"], overwrite=True) as outputs:
        make(outputs, "a", "new")
        assert (tmp_path / "a" / "manifest.json").read_text() == "old"
        outputs.publish()
    assert files(tmp_path) == ["a", "a/manifest.json"]
    assert (tmp_path / "a" / "manifest.json").read_text() == "new"


@pytest.mark.parametrize("content", ["folder", "file", "broken link"])
def test_overwrite_leaves_what_is_no_artifact(content: str, tmp_path: Path) -> None:
    target = tmp_path / "a"
    if content == "folder":
        target.mkdir()
        (target / "thesis.tex").write_text("x")
    elif content == "file":
        target.write_text("x")
    else:
        target.symlink_to(tmp_path / "none")
    before = files(tmp_path)
    with pytest.raises(OutputError, match="is no artifact"):
        Outputs(tmp_path, ["a"], overwrite=True)
    assert files(tmp_path) == before


def test_overwrite_of_a_link_keeps_what_it_points_to(tmp_path: Path) -> None:
    existing(tmp_path / "elsewhere")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").symlink_to(tmp_path / "elsewhere" / "a")
    with Outputs(out, ["a"], overwrite=True) as outputs:
        make(outputs, "a", "new")
        outputs.publish()
    assert (out / "a" / "manifest.json").read_text() == "new"
    assert not (out / "a").is_symlink()
    assert (tmp_path / "elsewhere" / "a" / "manifest.json").read_text() == "old"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize("failing", [1, 2])
def test_a_swap_that_fails_puts_the_old_one_back(
    error: BaseException, failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing(tmp_path)
    calls = 0
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == failing:
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    expected = OutputError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected), Outputs(tmp_path, ["a"], overwrite=True) as outputs:
        make(outputs, "a", "new")
        outputs.publish()
    assert files(tmp_path) == ["a", "a/manifest.json"]
    assert (tmp_path / "a" / "manifest.json").read_text() == "old"


def test_an_interrupt_right_after_the_swap_leaves_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing(tmp_path)
    rename = Path.rename

    def interrupt(self: Path, target: Path) -> Path:
        result = rename(self, target)
        if self.name.startswith(f".tmp-{os.getpid()}-a-"):
            raise KeyboardInterrupt
        return result

    monkeypatch.setattr(Path, "rename", interrupt)
    with pytest.raises(KeyboardInterrupt), Outputs(tmp_path, ["a"], overwrite=True) as outputs:
        make(outputs, "a", "new")
        outputs.publish()
    assert files(tmp_path) == ["a", "a/manifest.json"]
    assert (tmp_path / "a" / "manifest.json").read_text() == "new"


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(OutputError, match=r"could not be written .*another folder with --out"),
            Outputs(out, ["a"], overwrite=False),
        ):
            pass
    assert files(tmp_path) == ["file"]


def test_a_disk_that_is_too_small_is_an_error_early(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"MB are needed, \d+ MB are free; make room"),
        Outputs(tmp_path, ["a"], overwrite=False) as outputs,
    ):
        outputs.need(1 << 60)


@pytest.mark.parametrize(
    ("number", "cure"), [(errno.ENOSPC, "make room"), (errno.EACCES, "check the path")]
)
def test_errors_of_the_system_say_what_to_do(number: int, cure: str) -> None:
    with (
        pytest.raises(OutputError, match=rf"out could not be written \(.*\); {cure}"),
        writing(Path("out")),
    ):
        raise OSError(number, os.strerror(number))


def test_what_a_killed_conversion_left_is_removed_or_put_back(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    left = tmp_path / f".tmp-{dead.pid}-hwgpt-s-x"
    aside = tmp_path / f".tmp-{dead.pid}-old-hwgpt-m-x"
    living = tmp_path / f".tmp-{os.getpid()}-hwgpt-l-x"
    foreign = tmp_path / ".tmp-of-somebody"
    for folder in (left, aside / "hwgpt-m", living, foreign):
        folder.mkdir(parents=True)
    (aside / "hwgpt-m" / "arrays.npz").write_bytes(b"the user's")
    Outputs(tmp_path, ["hwgpt-s"], overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["hwgpt-m", living.name, foreign.name]
    )
    assert (tmp_path / "hwgpt-m" / "arrays.npz").read_bytes() == b"the user's"
