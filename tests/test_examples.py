"""Every example runs, in an empty home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import own_space, write_own_space

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={**os.environ, "HOME": str(home), "OMP_NUM_THREADS": "1"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_best_architecture_under_a_budget_becomes_a_model(isolated_home: Path):
    pytest.importorskip("torch")
    done = run("best_under_budget.py", isolated_home, "--space", "s", "--latency", "20")
    assert done.returncode == 0, done.stderr
    lines = dict(line.partition(": ")[::2] for line in done.stdout.splitlines() if line[0] != "{")
    (shown,) = (line for line in done.stdout.splitlines() if line[0] == "{")
    assert float(lines["latency@a40"]) <= 20
    assert lines["parameters by formula"] == lines["parameters of the model"]
    assert lines["logits"] == "(1, 16, 50254)"
    assert len(json.loads(shown)["mlp_ratios"]) == json.loads(shown)["num_layers"]


def test_a_budget_below_all_says_what_can_be_attained(isolated_home: Path):
    done = run("best_under_budget.py", isolated_home, "--space", "l", "--latency", "1")
    assert done.returncode == 1
    assert "the smallest value that one attains is" in done.stderr


@pytest.mark.slow
def test_a_live_search_is_compared_with_what_the_blackbox_promised(
    isolated_home: Path, artifacts: Path
):
    for module in ("torch", "safetensors", "lightning_fabric"):
        pytest.importorskip(module)
    from hwgpt_blackbox.network.text import read_text
    from hwgpt_blackbox.network.training import Settings, train

    space = own_space(vocabulary=256, sequence_length=16)
    write_own_space(artifacts, space)
    text = isolated_home / "text.txt"
    text.write_text("A class can be made of other classes. " * 40)
    stream = read_text([text], vocabulary=256)
    train(space, stream, isolated_home / "net", Settings(steps=2), accelerator="cpu")
    words = ["net", "--text", "text.txt", "--space", space.name, "--device", "laptop"]
    done = run(
        "live_search.py", isolated_home, *words, "--methods", "RE", "--trials", "2", "--batch", "1"
    )
    assert done.returncode == 0, done.stderr
    assert "metric_latency: measured / promised" in done.stdout
    assert "lowest perplexity" in done.stdout
