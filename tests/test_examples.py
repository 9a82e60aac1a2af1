"""Every example runs, in an empty home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
