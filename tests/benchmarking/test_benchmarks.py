"""The benchmarks of accuracy, outliers and perplexity run on a small source, and say what is so."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from synthetic_checkout import make_source

from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.fitting.whole_space import perplexity_weights
from hwgpt_blackbox.convert.judging.measures import location_measures
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES

FOLDER = Path(__file__).parents[2] / "benchmarking"


def load(name: str) -> ModuleType:
    """A benchmark as a module."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("strength", [0.0, 0.05])
def test_neighbouring_layers_matter_where_they_interact(strength: float) -> None:
    benchmark = load("perplexity_interactions")
    rng = np.random.default_rng(0)
    sample = Architectures(SPACES["s"], Encoding(SPACES["s"]).sample(3000, rng))
    mlp, heads, active = sample.layers
    logs = 3.0 - 0.3 * sample.embed - 0.02 * np.where(active, mlp + heads, 0).sum(axis=1)
    pairs = np.where(active[:, 1:], (mlp[:, :-1] - 1.0) * (heads[:, 1:] - 1.0), 0.0)
    values = np.exp(logs + strength * pairs.sum(axis=1) + 0.005 * rng.standard_normal(3000))
    learn, held = sample.take(np.arange(2400)), sample.take(np.arange(2400, 3000))
    tau = {}
    for name, features in benchmark.MODELS.items():
        weights = perplexity_weights(learn, values[:2400], features)
        predicted = benchmark.predict(held, weights, features)
        tau[name] = location_measures(values[2400:], predicted)["kendall_tau"]
    gain = tau["with neighbouring layers"] - tau["additive"]
    assert gain > 0.02 if strength else abs(gain) < 0.002


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
