from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.experiments.store import read

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
        ({"trials": "0"}, "trials is 0"),
        ({"workers": "-4"}, "workers is -4"),
        ({"seeds": "1 1"}, "RS-seed1 is asked for twice"),
        ({"jobs": "0"}, "jobs is 0"),
        ({"device": "a100"}, "leave the device out"),
    ],
)
def test_bad_input(tmp_path, capsys, changes, message):
    assert main(short(tmp_path / "results", **changes)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.parquet"))


def test_clash_names_both_values(tmp_path, capsys):
    assert main(short(tmp_path)) == 0
    assert main(short(tmp_path, trials="30")) == 2
    assert "with trials 20, but 30 is asked for" in capsys.readouterr().err


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
    )
    deadline = time.monotonic() + 60
    while not list(out.glob("runs/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr is not None
    assert "interrupted" in process.stderr.read()
    found = list((out / "runs").iterdir())
    assert 0 < len(found) < 60
    for path in found:
        assert len(read(path).frame) == 400
