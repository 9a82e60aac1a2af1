from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers import interruptible

from hwgpt_blackbox import optimizers
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.experiments.results.store import read
from hwgpt_blackbox.experiments.runs import execute

ISSUE = (
    "run --space s --objectives perplexity energy@rtx2080 --methods RS --trials 1000 "
    "--workers 4 --seeds 0 1 2 --out DIR"
)


def command(out, words: str = ISSUE) -> list[str]:
    return words.replace("DIR", str(out)).split()


def short(out, **changes: str) -> list[str]:
    options = {
        "--space": "s",
        "--objectives": "perplexity energy@rtx2080",
        "--trials": "20",
        "--out": str(out),
    }
    options |= {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    return ["run", *(word for pair in options.items() for part in pair for word in part.split())]


def test_the_command_of_the_issue(tmp_path, isolated_home, capsys, monkeypatch):
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))  # its font cache, not ours
    out = tmp_path / "results"
    assert main(command(out)) == 0
    printed = capsys.readouterr().out
    for seed in range(3):
        stored = read(out / "runs" / f"s-perplexity-energy@rtx2080-RS-seed{seed}.parquet")
        assert len(stored.frame) == 1000
    table = pd.read_csv(out / "summary.csv")
    assert table["hypervolume"].between(0.87, 0.92).all()
    for value in table["hypervolume"]:
        assert f"{value:.4f}" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert [row["seed"] for row in summary["runs"]] == [0, 1, 2]
    for suffix in ("svg", "pdf", "png"):
        path = out / f"front-s-perplexity-energy@rtx2080.{suffix}"
        assert path.stat().st_size > 10_000
        assert str(path) in printed
    assert list(isolated_home.rglob("*")) == []


def test_again_adds_what_is_missing(tmp_path, capsys):
    out = tmp_path / "results"
    assert main(short(out, seeds="0")) == 0
    assert main(short(out, seeds="0 1", methods="RS LS", jobs="2")) == 0
    assert "1 of 4 runs were complete already" in capsys.readouterr().out
    assert main(short(out, objectives="latency@rtx2080 energy@a6000 perplexity")) == 0
    assert len(pd.read_csv(out / "summary.csv")) == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "xl"}, "unknown space 'xl'; known: s, m, l"),
        ({"objectives": "perplexity"}, "two or more"),
        ({"objectives": "perplexity energy"}, "needs a device"),
        ({"objectives": "perplexity energy@gtx"}, "unknown device 'gtx'"),
        ({"methods": "RS SOTA"}, "unknown method 'SOTA'; known: RS, "),
        ({"methods": "nsga2"}, "did you mean 'NSGA2'?"),
        ({"objectives": "perplexity energy@RTX2080"}, "did you mean 'rtx2080'?"),
        ({"trials": "0"}, "trials is 0"),
        ({"workers": "-4"}, "workers is -4"),
        ({"seeds": "1 1"}, "seeds are 1 1; name each once"),
        ({"methods": "LS LS"}, "methods are LS LS; name each once"),
        ({"cluster": "10.0.0.1"}, "is no address"),
        ({"jobs": "0"}, "jobs is 0"),
        ({"device": "a100"}, "leave the device out"),
    ],
)
def test_bad_input(tmp_path, capsys, changes, message):
    assert main(short(tmp_path / "results", **changes)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())  # a mistake leaves no folder behind


def test_clash_names_both_values(tmp_path, capsys):
    assert main(short(tmp_path)) == 0
    assert main(short(tmp_path, trials="30")) == 2
    error = capsys.readouterr().err
    assert "with trials 20, but 30 is asked for" in error
    assert "have shorter runs made anew in full: run --extend" in error
    assert main(short(tmp_path, trials="10")) == 2
    assert "--extend" not in capsys.readouterr().err


def test_extended_runs_equal_those_made_at_once(tmp_path, capsys):
    out, once = tmp_path / "results", tmp_path / "once"
    assert main(short(out, seeds="0 1", methods="RS LS")) == 0
    assert main([*short(out, trials="35", seeds="1 2", methods="RS LS"), "--extend"]) == 0
    assert main(short(once, trials="35", seeds="1 2", methods="RS LS")) == 0
    names = sorted(path.name for path in (once / "runs").iterdir())
    assert len(names) == 4
    for name in names:
        assert (out / "runs" / name).read_bytes() == (once / "runs" / name).read_bytes()
    assert len(list((out / "runs").iterdir())) == 6  # seed 0 is not asked for and stays as it was
    capsys.readouterr()
    assert main([*short(out, trials="35", seeds="1 2", methods="RS LS"), "--extend"]) == 0
    assert "4 of 4 runs were complete already" in capsys.readouterr().out
    assert main([*short(out, trials="20", seeds="1", methods="RS"), "--extend"]) == 2  # no cut
    assert "with trials 35, but 20 is asked for" in capsys.readouterr().err
    assert main([*short(out, trials="40", seeds="1", workers="2"), "--extend"]) == 2
    assert "with workers 4, but 2 is asked for" in capsys.readouterr().err


BASE_INSTALL = """
import sys
for name in ("moocore", "matplotlib", "pymoo"):
    sys.modules[name] = None  # as if not installed
from hwgpt_blackbox.cli import main
sys.exit(main({words!r}))
"""


def test_without_extras_a_run_ends_well_and_says_what_is_missing(tmp_path, run_python):
    out = tmp_path / "results"
    done = run_python(BASE_INSTALL.format(words=short(out, seeds="0 1", methods="RS RE")))
    assert done.returncode == 0, done.stderr
    assert "4 result files in" in done.stdout
    assert "pip install 'hwgpt-blackbox[analysis]', then run the same command" in done.stdout
    assert len(list(out.glob("runs/*.parquet"))) == 4
    words = short(tmp_path / "other", methods="NSGA2")
    done = run_python(BASE_INSTALL.format(words=words), check=False)
    assert done.returncode == 2
    assert not (tmp_path / "other").exists()  # nothing was computed
    assert main(short(out, seeds="0 1", methods="RS RE")) == 0
    assert len(pd.read_csv(out / "summary.csv")) == 4


def test_the_help_names_every_method(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    assert ", ".join(optimizers.METHODS) in " ".join(capsys.readouterr().out.split())


def test_control_characters_of_file_names_do_not_reach_the_terminal(tmp_path, capsys):
    assert main(short(tmp_path)) == 0
    (tmp_path / "runs" / "\x1b]0;mine\x07.parquet").write_bytes(b"PAR1")
    assert main(short(tmp_path)) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert r"\x1b]0;mine\x07.parquet is no sound result file" in printed.err
    assert r"broken and set aside: " in printed.out


def test_a_folder_of_somebody_else(tmp_path, capsys):
    (tmp_path / "summary.csv").write_text("mine")
    assert main(short(tmp_path)) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "summary.csv").read_text() == "mine"


def test_interrupt_of_the_process_leaves_complete_files(tmp_path):
    out = tmp_path / "results"
    words = short(out, trials="400", seeds=" ".join(map(str, range(60))))
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgpt_blackbox", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("runs/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None
    error = process.stderr.read()
    assert "interrupted" in error
    assert "complete runs are kept, and the same command goes on" in error
    found = list((out / "runs").glob("[!.]*"))  # a hidden temporary folder is no result
    assert 0 < len(found) < 60
    for path in found:
        assert len(read(path).frame) == 400


def test_termination_says_so(tmp_path):
    out = tmp_path / "results"
    words = short(out, trials="400", seeds=" ".join(map(str, range(60))), jobs="2")
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgpt_blackbox", *words], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("runs/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert error.count("terminated; complete runs are kept, and the same command goes on") == 1
    assert "Traceback" not in error
    assert [path for path in (out / "runs").iterdir() if path.suffix != ".parquet"] == []


def test_kill_9_resumes_where_it_was(tmp_path):
    out = tmp_path / "results"
    words = short(out, trials="150", seeds=" ".join(map(str, range(16))), methods="RS LS")
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgpt_blackbox", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while len(list(out.glob("runs/*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    done = {path: path.stat().st_mtime_ns for path in out.glob("runs/*.parquet")}
    assert 3 <= len(done) < 32
    assert main(words) == 0
    found = sorted((out / "runs").iterdir())
    assert len(found) == 32
    assert all(path.suffix == ".parquet" for path in found)  # no temporary files
    assert {path: path.stat().st_mtime_ns for path in done} == done
    run = read(found[0]).run
    pd.testing.assert_frame_equal(read(found[0]).frame, execute(run), rtol=0, atol=0)


KILLED_WHILE_WRITING = """
import os, signal, sys
from hwgpt_blackbox.cli import main
real, calls = os.fsync, []
def fsync(descriptor):
    calls.append(descriptor)
    if len(calls) == 3:  # the marker, a run, then in the middle of the second run's file
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
main(sys.argv[1:])
"""


def test_kill_9_while_writing_leaves_nothing_half_written(tmp_path, capsys):
    out = tmp_path / "results"
    words = short(out, seeds="0 1 2")
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, *words])
    assert done.returncode == -signal.SIGKILL
    left = [path.name for path in (out / "runs").iterdir() if path.name.startswith(".")]
    assert len(left) == 1
    assert left[0].endswith(".tmp")
    assert main(words) == 0
    assert "1 of 3 runs were complete already" in capsys.readouterr().out
    assert all(path.suffix == ".parquet" for path in (out / "runs").iterdir())
    assert len(pd.read_csv(out / "summary.csv")) == 3


def test_a_broken_file_is_named_at_the_end_and_fatal_to_nothing(tmp_path, capsys):
    out = tmp_path / "results"
    assert main(short(out, seeds="0 1 2")) == 0
    first, _, other = sorted(out.glob("runs/*.parquet"))
    first.write_bytes(first.read_bytes()[:500])
    other.write_bytes(b"")
    capsys.readouterr()
    assert main(short(out, seeds="0 1")) == 0  # the third is not asked for
    printed, logged = capsys.readouterr()
    assert logged.count(f"WARNING: {first} is no sound result file") == 1
    assert f"broken and set aside: {first}.broken" in printed
    assert f"broken and set aside: {other}.broken" in printed
    assert "1 of 2 runs were complete already" in printed
    assert len(pd.read_csv(out / "summary.csv")) == 2


def test_several_spaces_devices_and_sets_of_objectives(tmp_path, capsys):
    out = tmp_path / "results"
    words = short(out, space="s m", devices="a100 h100", objectives="perplexity latency")
    assert main([*words, "--objectives", "perplexity", "flops", "--seeds", "0"]) == 0
    names = sorted(path.name for path in out.glob("runs/*"))
    assert names == sorted(
        f"{space}-{problem}-RS-seed0.parquet"
        for space in ("s", "m")
        for problem in (
            "perplexity-latency@a100",
            "perplexity-latency@h100",
            "perplexity-flops",
        )
    )
    printed = capsys.readouterr().out
    assert "hwgpt-blackbox report" in printed  # too many problems to draw
    assert "one seed only" in printed


def test_suites_and_experiment_files(tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["run", "--list-suites"])
    assert done.value.code == 0
    assert "paper-two-objectives-s\n" in capsys.readouterr().out
    out = tmp_path / "results"
    changes = ["--methods", "RS", "--seeds", "0", "--trials", "5", "--out", str(out)]
    assert main(["run", "--suite", "paper-device-agnostic-s", *changes]) == 0
    assert len(list(out.glob("runs/*.parquet"))) == 4
    file = tmp_path / "mine.toml"
    file.write_text('spaces = ["s"]\nobjectives = ["perplexity", "params"]\ntrials = 9\n')
    assert main(["run", "--experiment", str(file), "--out", str(tmp_path / "file")]) == 0
    (path,) = (tmp_path / "file").glob("runs/*.parquet")
    assert len(read(path).frame) == 9
    for words, message in (
        (["--suite", "x"], "unknown suite 'x'; known: quickstart"),
        (["--suite", "x", "--experiment", str(file)], "name one of them"),
        ([], "there is nothing to run"),
    ):
        assert main(["run", *words, "--out", str(out)]) == 2
        assert message in capsys.readouterr().err


def test_methods_of_a_user(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "experiments"))
    out = tmp_path / "results"
    own = "own_methods:random_search own_methods:halving"
    assert main(short(out, methods=f"RS {own}", trials="30", seeds="0 1")) == 0
    stem = "s-perplexity-energy@rtx2080-"
    mine = read(out / "runs" / f"{stem}own_methods+random_search-seed1.parquet")
    assert mine.run.method == "own_methods:random_search"
    ours = read(out / "runs" / f"{stem}RS-seed1.parquet")
    pd.testing.assert_frame_equal(mine.frame, ours.frame, rtol=0, atol=0)
    capsys.readouterr()
    assert main(short(out, methods="own_methods:fails RS", trials="30", seeds="0 1 2")) == 2
    error = capsys.readouterr().err
    assert "3 runs failed, all others are kept" in error
    assert "RuntimeError: no luck with seed 0" in error
    assert (out / "runs" / f"{stem}RS-seed2.parquet").exists()


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("own_methods:absent", "cannot be imported (AttributeError"),
        ("no_such_module:x", "cannot be imported (ModuleNotFoundError"),
        ("own_methods:another_signature", "cannot be called as factory(config_space, metrics"),
        ("own_methods:NOT_A_FUNCTION", "cannot be called as factory"),
        ("own_methods:returns_nothing", "returned a NoneType; expected a syne_tune"),
        ("../own_methods:fails", "unknown method '../own_methods:fails'; known: RS"),
        ("own_methods.fails", "or an import path such as"),
    ],
)
def test_bad_import_paths(tmp_path, capsys, monkeypatch, method, message):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "experiments"))
    assert main(short(tmp_path / "results", methods=method)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.parquet"))


def test_results_at_a_url(capsys):
    from hwgpt_blackbox.experiments.grid_execution import read_all
    from hwgpt_blackbox.experiments.results.store import ResultStore

    url = "memory://run-command/mine"
    assert main(short(url, seeds="0 1")) == 0
    assert main(short(url, seeds="0 1 2")) == 0
    assert "2 of 3 runs were complete already" in capsys.readouterr().out
    store = ResultStore(url)
    assert len(read_all(store)) == 3
    (store.paths()[0]).write_bytes(b"half")
    assert main(short(url, seeds="0 1 2")) == 0
    assert f"broken and set aside: {url}/runs/" in capsys.readouterr().out
    names = [path.name for path in store.folder.iterdir()]
    assert {"summary.csv", "front-s-perplexity-energy@rtx2080.svg", "runs"} <= set(names)
    assert main(short("nofs://bucket/x")) == 2
    assert "nofs://bucket/x cannot be opened" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_a_killed_report_left_is_removed_by_the_next(tmp_path, monkeypatch):
    # figures/.….tmp stayed for ever.
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    assert main(short(tmp_path / "results", methods="RS", seeds="0")) == 0
    words = ["report", str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--no-spaces"]
    words += ["--formats", "svg"]
    code = KILLED_WHILE_WRITING.replace(
        "if len(calls) == 3:",
        "if os.readlink(f'/proc/self/fd/{descriptor}').endswith('.svg'):",
    )
    assert code != KILLED_WHILE_WRITING
    done = subprocess.run([sys.executable, "-c", code, *words], check=False)
    assert done.returncode == -signal.SIGKILL

    def hidden() -> list[str]:
        return [path.name for path in (tmp_path / "out").rglob(".*")]

    assert len(hidden()) == 1
    assert main(words) == 0
    assert hidden() == []
