"""Artifacts are there entirely or not at all, and nothing of the user's is lost."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import embedded, random_surrogate, write_random_surrogate, write_table

from hwgpt_blackbox.convert.fitting.whole_space import write_surrogate
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import OutputError
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage import atomic_writes as output
from hwgpt_blackbox.storage.atomic_writes import Outputs, write_file, writing
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.measured_table import Table
from hwgpt_blackbox.storage.surrogates import read_surrogate, with_own_devices


def make(outputs: Outputs, name: str, content: str) -> None:
    folder = outputs.build(name)
    (folder / "manifest.json").write_text(content)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.fixture
def _no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot exchange two folders, as NFS."""

    def refuse(one: Path, two: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(output, "_exchange", refuse)


OLD_MANIFEST = '{"schema_version": 1, "files": {"stale": {}}}'


def existing(folder: Path, name: str = "a") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "manifest.json").write_text(OLD_MANIFEST)
    return folder


def test_artifacts_appear_together_at_the_end(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with Outputs(out, ["a", "b"], overwrite=False) as outputs:
        make(outputs, "a", "1")
        make(outputs, "b", "2")
        assert not (out / "a").exists()
        assert outputs.publish() == [out / "a", out / "b"]
    assert files(out) == ["a", "a/manifest.json", "b", "b/manifest.json"]
    (tmp_path / "any other").mkdir()
    assert (out / "a").stat().st_mode == (tmp_path / "any other").stat().st_mode


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
    assert (tmp_path / "a" / "manifest.json").read_text() == OLD_MANIFEST


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
        assert (tmp_path / "a" / "manifest.json").read_text() == OLD_MANIFEST
        outputs.publish()
    assert files(tmp_path) == ["a", "a/manifest.json"]
    assert (tmp_path / "a" / "manifest.json").read_text() == "new"


@pytest.mark.parametrize(
    ("manifest", "others"),
    [
        (OLD_MANIFEST, "notes.txt"),
        ('{"name": "browser extension"}', ""),
        ("half a manif", ""),
        ("[]", ""),
    ],
)
def test_overwrite_keeps_files_of_others_beside_a_manifest(
    manifest: str, others: str, tmp_path: Path
) -> None:
    (existing(tmp_path) / "a" / "manifest.json").write_text(manifest)
    (tmp_path / "a" / "notes.txt").write_text("years of work")
    expected = rf"does not list \({others}\), so it is not" if others else "is not the manifest of"
    with pytest.raises(OutputError, match=expected):
        Outputs(tmp_path, ["a"], overwrite=True)
    assert (tmp_path / "a" / "notes.txt").read_text() == "years of work"


def test_what_comes_into_the_folder_while_an_artifact_is_built_is_kept(tmp_path: Path) -> None:
    existing(tmp_path)
    with (
        pytest.raises(OutputError, match=r"does not list \(stale\)"),
        Outputs(tmp_path, ["a"], overwrite=True) as outputs,
    ):
        make(outputs, "a", "new")
        (tmp_path / "a" / "stale").mkdir()  # a folder of the name of a listed file
        (tmp_path / "a" / "stale" / "thesis.txt").write_text("years of work")
        outputs.publish()
    assert (tmp_path / "a" / "stale" / "thesis.txt").read_text() == "years of work"


def test_a_writer_that_ends_is_not_taken_for_a_killed_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with output.temporary_folder(tmp_path, "a") as folder:
        mark = (folder / "mark").read_bytes()
    folder.mkdir()  # empty and its lock free: the moment before its writer removes it
    (folder / "mark").write_bytes(mark)
    assert output.clean_up(tmp_path) == 1
    assert not caplog.records


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


@pytest.mark.parametrize("exchange", [True, False])
def test_overwrite_of_a_link_keeps_what_it_points_to(
    exchange: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not exchange:
        request.getfixturevalue("_no_exchange")
    existing(tmp_path / "elsewhere")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a").symlink_to(tmp_path / "elsewhere" / "a")
    with Outputs(out, ["a"], overwrite=True) as outputs:
        make(outputs, "a", "new")
        outputs.publish()
    assert (out / "a" / "manifest.json").read_text() == "new"
    assert not (out / "a").is_symlink()
    assert (tmp_path / "elsewhere" / "a" / "manifest.json").read_text() == OLD_MANIFEST


@pytest.mark.usefixtures("_no_exchange")
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
    assert (tmp_path / "a" / "manifest.json").read_text() == OLD_MANIFEST


@pytest.mark.usefixtures("_no_exchange")
def test_an_interrupt_right_after_the_swap_leaves_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    existing(tmp_path)
    rename = Path.rename

    def interrupt(self: Path, target: Path) -> Path:
        result = rename(self, target)
        if self.parent.name == "new":
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


# -- what killed processes left ----------------------------------------------------------------

KILLED = """
import errno, os, signal, sys
from pathlib import Path
from hwgpt_blackbox.storage import atomic_writes as output

def die(*ignored):
    os.kill(os.getpid(), signal.SIGKILL)

where, how = Path(sys.argv[1]), sys.argv[2]
if how == "file":
    output.write_file(where / "figure.svg", lambda path: path.write_text("half") and die())
with output.Outputs(where, ["hwgpt-s"], overwrite=True) as outputs:
    (outputs.build("hwgpt-s") / "manifest.json").write_text("new")
    if how == "set aside":  # a file system that cannot exchange, and death between two renames
        def refuse(one, two):
            raise OSError(errno.EINVAL, "")
        output._exchange, rename = refuse, Path.rename
        Path.rename = lambda path, to: die() if path.parent.name == "new" else rename(path, to)
        outputs.publish()
    if how == "living":
        print("built", flush=True)
        sys.stdin.read()
    die()
"""


def killed(folder: Path, how: str) -> Path:
    """Have a process killed while it writes in a folder; return what it left."""
    before = set(folder.iterdir())
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), how], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = set(folder.iterdir()) - before
    return left


@pytest.mark.parametrize("how", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_by_the_next(how: str, tmp_path: Path) -> None:
    # figures/.….tmp of a killed report stayed for ever.
    killed(tmp_path, how)
    write_file(tmp_path / "figure.svg", "whole")
    assert files(tmp_path) == ["figure.svg"]
    left = killed(tmp_path, how)
    Outputs(tmp_path, ["hwgpt-s"], overwrite=False)
    assert not left.exists()


def test_what_a_killed_process_had_set_aside_is_put_back(tmp_path: Path) -> None:
    existing(tmp_path, "hwgpt-s")
    killed_at = tmp_path / "hwgpt-s"
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), "set aside"], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not killed_at.exists()
    with pytest.raises(OutputError, match="hwgpt-s exists"):
        Outputs(tmp_path, ["hwgpt-s"], overwrite=False)
    assert files(tmp_path) == ["hwgpt-s", "hwgpt-s/manifest.json"]
    assert (killed_at / "manifest.json").read_text() == OLD_MANIFEST


def test_what_a_living_process_builds_stays(tmp_path: Path) -> None:
    with Outputs(tmp_path, ["a"], overwrite=False) as outputs:
        make(outputs, "a", "mine")
        other = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), "living"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"built\n"
            assert output.clean_up(tmp_path) == 0
            assert len(list(tmp_path.iterdir())) == 2
        assert output.clean_up(tmp_path) == 1  # of the other: it has died
        outputs.publish()
    assert files(tmp_path) == ["a", "a/manifest.json"]


def test_folders_of_others_are_never_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder of a user that was named like ours was deleted, and the live build of a container.
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    left = killed(out, "folder")
    content = {path.name: path.read_bytes() for path in left.iterdir() if path.is_file()}
    beside = left.name[:-5]

    def theirs(folder: Path, **files: bytes) -> None:
        folder.mkdir()
        (folder / "thesis.txt").write_text("years of work")
        for name, data in files.items():
            (folder / name).write_bytes(data)

    theirs(out / ".tmp-999999-mydata")
    theirs(out / f"{beside}.none.tmp")
    theirs(out / f"{beside}.copy.tmp", **content)  # the mark is of another name
    theirs(out / f"{beside}.text.tmp", mark=b"mine", lock=b"")
    theirs(elsewhere, **content)
    left.rename(tmp_path / "set aside")
    left.symlink_to(elsewhere)
    before = files(tmp_path)
    for _ in range(2):
        Outputs(out, ["hwgpt-s"], overwrite=False)
        write_file(out / "a.txt", "a")
        (out / "a.txt").unlink()
        assert files(tmp_path) == before
    left.unlink()
    (tmp_path / "set aside").rename(left)
    before = files(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "another")
        assert output.clean_up(out) == 0
    with monkeypatch.context() as patch:  # a container with the same name, on the same disk
        patch.setattr(Path, "readlink", lambda path: Path("pid:[1]"))
        assert output.clean_up(out) == 0
    assert files(tmp_path) == before
    assert output.clean_up(out) == 1
    assert not left.exists()


def test_links_in_what_was_left_are_not_followed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (existing(tmp_path / "elsewhere") / "thesis.txt").write_text("years of work")
    left = killed(out, "folder")
    (left / "old").rmdir()
    (left / "old").symlink_to(tmp_path / "elsewhere")
    (left / "new" / "link").symlink_to(tmp_path / "elsewhere")
    before = files(tmp_path / "elsewhere")
    assert output.clean_up(out) == 1
    assert files(out) == []
    assert files(tmp_path / "elsewhere") == before


# -- files -------------------------------------------------------------------------------------


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    write_file(path, "text")
    assert path.read_bytes() == b"text"
    write_file(path, b"bytes")
    write_file(path, lambda new: new.write_text(f"{new.suffix}, {path.read_text()}"))
    assert path.read_text() == ".svg, bytes"

    def fail(new: Path) -> None:
        new.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(path, fail)
    assert path.read_text() == ".svg, bytes"
    write_file(tmp_path / "lock", "a name that we use ourselves")
    write_file(tmp_path / ("ü" * 125), "a long name")
    assert files(tmp_path) == ["a.svg", "lock", "ü" * 125]


def test_the_umask_is_never_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # For a moment files of other threads had other rights.
    def fail(mask: int) -> int:
        raise AssertionError

    monkeypatch.setattr(os, "umask", fail)
    with Outputs(tmp_path, ["a"], overwrite=False) as outputs:
        make(outputs, "a", "1")
        outputs.publish()
    write_file(tmp_path / "file", "x")
    (tmp_path / "new").mkdir()
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "new").stat().st_mode


# -- while an artifact is replaced -------------------------------------------------------------


def test_a_writer_waits_for_what_another_writer_has_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It said that there is no artifact: the other had set it aside between two looks.
    with Outputs(tmp_path, ["a"], overwrite=False) as outputs:
        make(outputs, "a", OLD_MANIFEST)
        outputs.publish()
    aside = tmp_path / f".a{output.TEMPORARY}other.0.tmp" / output.OLD / "a"
    aside.parent.mkdir(parents=True)
    exists = os.path.lexists

    def move_after_the_first_look(path: Path) -> bool:
        found = exists(path)
        monkeypatch.setattr(os.path, "lexists", exists)
        path.rename(aside)
        threading.Timer(0.1, lambda: aside.rename(path)).start()
        return found

    monkeypatch.setattr(os.path, "lexists", move_after_the_first_look)
    with Outputs(tmp_path, ["a"], overwrite=True) as outputs:
        make(outputs, "a", "2")
        outputs.publish()
    assert (tmp_path / "a" / "manifest.json").read_text() == "2"


REPLACE = """
import errno, shutil, sys
from pathlib import Path
from hwgpt_blackbox.storage import atomic_writes as output

home, exchange, versions = Path(sys.argv[1]), sys.argv[2], [Path(path) for path in sys.argv[3:]]
def refuse(one, two):
    raise OSError(errno.EINVAL, "")
if exchange == "no":
    output._exchange = refuse
print("ready", flush=True)
sys.stdin.readline()
for turn in range(50):
    version = versions[turn % 2]
    with output.Outputs(home, [version.name], overwrite=True) as outputs:
        built = outputs.build(version.name)
        for path in version.iterdir():
            shutil.copyfile(path, built / path.name)
        outputs.publish()
"""


PARTS = ("effect", "intercept")


def write_device(folder: Path, seed: int) -> None:
    """An artifact of a device of a user's own, with random models."""
    drawn = random_surrogate(SPACES["s"], seed)
    models = {"latency@mine": drawn.models["latency@a100"]}
    folder.mkdir(parents=True)
    stated = {
        "kind": "device",
        "name": folder.name,
        "space": "s",
        "device": "mine",
        "metrics": ["latency"],
        "links": {target: model.link for target, model in models.items()},
        "bounds": {"objectives": {"latency@mine": [1.0, 1000.0]}},
    }
    write_surrogate(Surrogate(drawn.space, models, drawn.levels, {}), folder, stated)


@pytest.mark.parametrize("exchange", ["yes", "no"])
@pytest.mark.parametrize("kind", ["surrogate", "table", "device"])
def test_readers_see_the_old_or_the_new_while_writers_replace(
    kind: str, exchange: str, artifacts: Path, tmp_path: Path
) -> None:
    # A reader found none once in 300 turns, and a second writer failed: directory not empty.
    name = {"surrogate": "hwgpt-s", "table": "hwgpt-s-tabular", "device": "hwgpt-s-device-mine"}[
        kind
    ]
    folders = [tmp_path / str(i) / name for i in range(2)]
    for seed, folder in enumerate(folders):
        if kind == "table":
            write_table(folder, size=6 + seed, repeats=2, seed=seed)
        elif kind == "surrogate":
            write_random_surrogate(folder, seed=seed)
        else:
            write_device(folder, seed)

    def read() -> tuple[float, float]:
        path = find(name).path
        if kind == "table":
            table = Table.read(path)
            assert len(table.matrix) == table.objectives.shape[1]
            return float(table.matrix.sum()), float(table.objectives.sum())
        if kind == "device":  # it is never left out
            models = [with_own_devices(embedded("s")).models["latency@mine"]]
        else:
            models = list(read_surrogate(path).models.values())
        effects, starts = ([getattr(m, what).sum() for m in models] for what in PARTS)
        return float(sum(effects)), float(sum(starts))

    shutil.copytree(folders[1], artifacts / name)
    known = [read()]
    shutil.rmtree(artifacts / name)
    shutil.copytree(folders[0], artifacts / name)
    known.append(read())
    assert known[0] != known[1]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", REPLACE, artifacts, exchange, *order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for order in (folders, folders[::-1])
    ]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(b"\n")
        writer.stdin.close()
    turns = 0
    while turns < 30 or any(writer.poll() is None for writer in writers):
        assert read() in known
        turns += 1
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [path.name for path in artifacts.iterdir()] == [name]


def test_a_second_writer_that_may_not_replace_is_told(tmp_path: Path) -> None:
    with (
        Outputs(tmp_path, ["a"], overwrite=False) as first,
        Outputs(tmp_path, ["a"], overwrite=False) as second,
    ):
        make(first, "a", "1")
        make(second, "a", "2")
        first.publish()
        with pytest.raises(OutputError, match="a exists; replace it with --overwrite"):
            second._put(second._work / "new" / "a", tmp_path / "a")
        with pytest.raises(OutputError, match="a exists; replace it with --overwrite"):
            second.publish()
    assert (tmp_path / "a" / "manifest.json").read_text() == "1"
