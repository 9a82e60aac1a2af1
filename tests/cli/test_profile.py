"""The command ``profile``: from a tiny space to a search, with a kill in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fakes import TINY
from helpers import ROOT

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.domain.encoding import Encoding

pytest.importorskip("torch")


@pytest.fixture
def space_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.as_toml())
    return path


def words(space_file: Path, *more: str) -> list[str]:
    """The command that measures 48 architectures into the folder ``m`` beside the space file."""
    out = space_file.parent / "m"
    fixed = ["--architectures", "48", "--threads", "1", "--repeats", "3", "--quiet"]
    return [
        "profile",
        "--space",
        str(space_file),
        "--device",
        "mine",
        "--out",
        str(out),
        *fixed,
        *more,
    ]


def write_quality(folder: Path) -> None:
    """Perplexities of the architectures of a set."""
    table = pd.read_csv(folder / "mine.csv").query("reference == 0")
    quality = table[list(TINY.choices)].copy()
    encoding = Encoding(TINY)
    matrix = encoding.as_matrix(quality.astype(object).to_dict("records"))
    mlp, heads = encoding.layer_choices(matrix)
    sums = np.where(encoding.active(matrix), mlp + heads, 0).sum(axis=1)
    quality["perplexity"] = 60.0 * np.exp(-0.02 * sums - 0.1 * matrix[:, 1])
    quality.to_csv(folder / "quality.csv", index=False)
    (folder / "quality.json").write_text("{}")  # as the evaluation of a supernet leaves it


def test_profile_kill_go_on_convert_load_search_and_check(
    space_file: Path, artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = space_file.parent / "m"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgpt_blackbox", *words(space_file)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    table = folder / "mine.csv"
    end = time.monotonic() + 100
    while not (table.exists() and table.read_bytes().count(b"\n") > 5):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = table.read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]

    assert main(words(space_file)) == 0
    said = capsys.readouterr().out
    assert "48 architectures" in said and f"next: hwgpt-blackbox convert {folder}" in said
    assert table.read_bytes().startswith(kept)
    rows = pd.read_csv(table).query("reference == 0")[list(TINY.choices)]
    assert len(rows) == len(rows.drop_duplicates()) == 48

    write_quality(folder)
    assert main(words(space_file, "--convert")) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1].startswith("best perplexity under ")
    assert "the median latency of the space: gpt-tiny-" in said

    from syne_tune.blackbox_repository import load_blackbox

    blackbox = load_blackbox("hwgpt-tiny")["mine"]
    configuration = {name: values[0] for name, values in TINY.choices.items()}
    values = blackbox.expected_values([configuration])[0]
    assert values[blackbox.objectives_names.index("metric_latency")] > 0.0
    search = ["run", "--space", "tiny", "--objectives", "perplexity", "latency@mine"]
    search += ["--methods", "RS", "--trials", "10", "--out", str(space_file.parent / "results")]
    assert main(search) == 0
    capsys.readouterr()

    said = failed(capsys, ["profile", "--check", str(folder), "--minutes", "1e-6", "--quiet"])
    assert "holds none of the architectures yet; give more time" in said
    assert main(["profile", "--check", str(folder), "--architectures", "8", "--quiet"]) == 0
    said = capsys.readouterr().out
    assert "points of the predicted front of perplexity and latency are dominated" in said
    assert (folder / "check" / "mine.svg").exists()
    conditions = (folder / "mine.json").read_text()
    (folder / "mine.json").write_text(conditions.replace('"torch": "', '"torch": "0.'))
    said = failed(capsys, ["profile", "--check", str(folder), "--architectures", "8"])
    assert "measured with torch 0." in said
    (folder / "mine.json").write_text(conditions)
    checked = (folder / "check" / "mine.csv").read_bytes()
    assert main(["profile", "--check", str(folder), "--architectures", "8", "--quiet"]) == 0
    assert (folder / "check" / "mine.csv").read_bytes() == checked


def failed(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    """What a command that fails says."""
    assert main(arguments) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--device", "a100"], "taken by HW-GPT-Bench"),
        (["--device", "a\x1b[2Jb"], "letters, digits"),
        (["--on", "cuda:99"], "use --on cpu"),
        (["--dtype", "int8"], "unknown dtype"),
        (["--space", "none.toml"], "cannot be read"),
        (["--space", "nothing"], "unknown space 'nothing'"),
        (["--overwrite"], "--overwrite goes with --convert"),
        (["--architectures", "47", "--convert"], "47; the fit of --convert needs 48 or more"),
    ],
)
def test_what_does_not_fit_is_named(
    space_file: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert message in failed(capsys, words(space_file, *more))
    assert not (space_file.parent / "m").exists()


def test_what_is_missing_is_named(capsys: pytest.CaptureFixture[str], space_file: Path) -> None:
    assert "--space is missing" in failed(capsys, ["profile"])
    assert "--device is missing" in failed(capsys, ["profile", "--space", "s"])
    assert "--out is missing" in failed(capsys, ["profile", "--space", "s", "--device", "mine"])


def test_an_artifact_that_exists_is_named_before_anything_is_measured(
    space_file: Path, artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (artifacts / "hwgpt-tiny").mkdir()
    assert "replace it with --overwrite" in failed(capsys, words(space_file, "--convert"))
    assert not (space_file.parent / "m").exists()


def test_an_interrupt_says_how_to_go_on(
    space_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwgpt_blackbox.profiling.visits.Visits.visit", interrupt)
    assert main(words(space_file)) == 130
    assert "go on by the same command" in capsys.readouterr().err


def test_a_check_of_no_set_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = failed(capsys, ["profile", "--check", str(tmp_path)])
    assert "give the folder of a measurement set" in said
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert "name one with --device" in failed(capsys, ["profile", "--check", str(tmp_path)])
    for word in ("--batch", "--repeats"):
        said = failed(capsys, ["profile", "--check", str(tmp_path), word, "2"])
        assert f"leave {word} out" in said
