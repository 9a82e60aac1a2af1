"""The benchmarks of accuracy and outliers run on a small source, and say what is so."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from synthetic_checkout import make_source

FOLDER = Path(__file__).parents[2] / "benchmarking"


def load(name: str) -> ModuleType:
    """A benchmark as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source("s", n=240).write(tmp_path_factory.mktemp("source"))


def run(name: str, root: Path, *options: str) -> dict[str, object]:
    """What a benchmark writes, run as a user does."""
    out = root / f"{name}.json"
    command = [sys.executable, str(FOLDER / f"{name}.py"), str(root), "--spaces", "s"]
    subprocess.run([*command, *options, "--out", str(out)], check=True, capture_output=True)
    found: dict[str, object] = json.loads(out.read_text())
    return found


@pytest.mark.slow
def test_accuracy_takes_any_source_and_split(root: Path) -> None:
    rows = root / "held.txt"
    rows.write_text("\n".join(map(str, range(0, 240, 4))))
    found = run("accuracy", root, "--rows", str(rows), "--without-drift")
    section = found["s/held.txt/0"]
    assert isinstance(section, dict) and len(section) > 26
    row = section["energy@rtx2080"]
    assert (
        row["mae"] > 0 and row["mae_over_floor"] > 0 and row["mae_effects_over_drift_left_in"] > 0
    )
    assert section["energy@cpu_amd_7513"]["rmse_repeats"] == 0.0
    summary = found["summary"]
    assert isinstance(summary, dict) and summary["targets"] == 26


@pytest.mark.slow
def test_outliers_are_judged_on_what_was_held_out(root: Path) -> None:
    found = run("outliers", root, "--held-out", "0", "--sessions", "1", "--warm-up")
    section, summary = found["s"], found["summary"]
    assert isinstance(section, dict) and isinstance(summary, dict)
    predicted, own = (section[kind] for kind in summary)
    assert len(predicted) == 26 and set(own) < set(predicted)
    assert len(section["repeats over their median"]["energy@rtx2080"]) == 50
    for rows in predicted.values():
        assert all(0.0 <= row["drawn"] <= 1.0 for row in rows)
