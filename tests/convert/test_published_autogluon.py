from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import embedded, rewrite_manifest
from synthetic_checkout import make_source

import hwgpt_blackbox
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert import autogluon as module
from hwgpt_blackbox.convert.autogluon import convert_autogluon, distil
from hwgpt_blackbox.convert.judging.cards import card as report_card
from hwgpt_blackbox.convert.judging.cards.file import read_card
from hwgpt_blackbox.convert.source.autogluon_predictors import (
    BELOW_ROOT,
    feature_frame,
    find_predictors,
    natural_features,
)
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, MissingExtraError
from hwgpt_blackbox.models.prediction import Predictor

SPACE, TARGET = SPACES["s"], "latency@a100"


def expected(matrix: np.ndarray, target: str = TARGET) -> np.ndarray:
    """Expected values of the surrogate that the package ships: a stand-in for measurements."""
    return Predictor(embedded("s"), [Column(*target.split("@"))]).expected(matrix)[:, 0]


def folders(root: Path, *names: str) -> None:
    for name in names:
        for label in ("Target_Avg", "Target_Std"):
            (root / name / f"Predictor_{label}").mkdir(parents=True)


# -- without AutoGluon -----------------------------------------------------------------------


@pytest.mark.parametrize("consent", [False, None, 1, "yes"])
def test_nothing_is_loaded_without_consent(
    consent: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders(tmp_path, "gpt_latencies_s_a100_log")
    monkeypatch.setattr(module, "load_predictor", lambda *_: pytest.fail("it was loaded"))
    with pytest.raises(InputError, match=r"executes whatever code.*--trust-pickles"):
        convert_autogluon(tmp_path, "s", tmp_path / "out", trust_pickles=consent, progress=False)
    assert not (tmp_path / "out").exists()


def test_the_command_asks_for_consent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders(tmp_path, "gpt_latencies_s_a100_log")
    assert main(["convert", str(tmp_path), "--space", "s", "--only", "autogluon", "--quiet"]) == 2
    assert "--trust-pickles" in capsys.readouterr().err


def test_without_autogluon_the_message_holds_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    folders(tmp_path, "gpt_latencies_s_a100_log")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hwgpt-blackbox\[autogluon\]'"):
        convert_autogluon(tmp_path, "s", tmp_path / "out", trust_pickles=True, progress=False)


def test_predictors_are_found_by_their_names(tmp_path: Path) -> None:
    folders(
        tmp_path,
        "gpt_latencies_s_a100",
        "gpt_latencies_s_a100_log",
        "gpt_latencies_s_cpu_amd_7502",
        "gpt_energies_s_P100_log",
        "gpt_energies_m_P100_log",
        "gpt_energies_s_tpu_log",
        "other",
    )
    found = {p.target: (p.path.name, p.logarithmic) for p in find_predictors(tmp_path, SPACE)}
    assert found == {
        "latency@a100": ("gpt_latencies_s_a100_log", True),
        "latency@cpu_amd_7502": ("gpt_latencies_s_cpu_amd_7502", False),
        "energy@P100": ("gpt_energies_s_P100_log", True),
    }
    with pytest.raises(DataError, match="no folder gpt_<latencies"):
        find_predictors(tmp_path, SPACES["l"])
    with pytest.raises(DataError, match="no folder gpt_<latencies"):
        find_predictors(tmp_path / "missing", SPACE)


@pytest.mark.parametrize("name", ["arch_feature_{}", "arch_feature{}"])
def test_features_under_both_published_names(name: str) -> None:
    matrix = Encoding(SPACE).sample(5, np.random.default_rng(0))
    names = [name.format(i) for i in range(27)]
    frame = feature_frame(SPACE, matrix, names, "it")
    np.testing.assert_array_equal(frame.to_numpy(), natural_features(SPACE, matrix))
    configurations = Encoding(SPACE).decode(matrix)
    assert frame[names[0]].tolist() == [c["embed_dim"] for c in configurations]
    assert frame[names[26]].tolist() == [int(c["bias"]) for c in configurations]
    last = [-1 if c["num_layers"] < 12 else c["num_heads_11"] for c in configurations]
    assert frame[names[25]].tolist() == last
    by_name = feature_frame(SPACE, matrix, list(configurations[0]), "it")
    assert by_name["embed_dim"].tolist() == frame[names[0]].tolist()
    for strange in (name.format(27), "depth"):
        with pytest.raises(DataError, match=f"it has the feature '{strange}'"):
            feature_frame(SPACE, matrix, [strange], "it")


def make_small(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(module, "SAMPLE_SIZE", 600)
    patch.setattr(module, "TEST_SIZE", 200)
    patch.setattr(report_card, "DRAWS", 1)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


@pytest.mark.parametrize("unit", [3600.0, 3.6e6, 1 / 3600.0])
def test_predictions_in_joules_are_not_taken_for_a_power_of_1000(unit: float) -> None:
    def predict(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = 1.1 * unit * expected(matrix)
        return mean, 0.02 * mean

    with pytest.raises(DataError, match=r"the median prediction is .*; expected about .* ms"):
        distil(predict, embedded("s"), TARGET)


@pytest.mark.parametrize("unit", [1.0, 1e3, 1e-3])
@pytest.mark.parametrize("logarithmic", [True, False])
def test_distilling_finds_unit_and_kind_of_deviation(unit: float, logarithmic: bool) -> None:
    def predict(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = 1.1 * unit * expected(matrix)
        deviation = 0.02 * mean
        return mean, np.log(deviation) if logarithmic else deviation

    model, report = distil(predict, embedded("s"), TARGET)
    assert report["unit_factor"] == pytest.approx(1.0 / unit)
    assert report["deviation_is_logarithmic"] is logarithmic
    assert report["fidelity"]["r2"] > 0.9999
    assert report["fidelity_of_deviation"]["median_variation"] == pytest.approx(0.02)
    levels, tables = embedded("s").levels, np.asarray(model.ratio)
    middle = tables[0, 0, 0, np.searchsorted(levels, 0.5)]
    wide = tables[0, 0, 0, np.searchsorted(levels, 0.84134)]
    assert middle == pytest.approx(1.0, abs=1e-3)
    assert wide - middle == pytest.approx(0.02, rel=0.05)
    assert (tables > 0).all()


def test_fidelity_tells_what_a_sum_over_layers_cannot_follow() -> None:
    rng = np.random.default_rng(0)

    def predict(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = expected(matrix) * np.exp(0.3 * rng.standard_normal(len(matrix)))
        return mean, np.log(0.02 * mean)

    _, report = distil(predict, embedded("s"), TARGET)
    assert report["fidelity"]["r2"] < 0.95


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_impossible_predictions_are_refused(value: float) -> None:
    def predict(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = expected(matrix)
        mean[3] = value
        return mean, np.zeros(len(matrix))

    with pytest.raises(DataError, match="latency@a100: predictions are not positive and finite"):
        distil(predict, embedded("s"), TARGET)


def test_the_artifact_answers_for_its_targets_and_leaves_the_others(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders(tmp_path, "gpt_latencies_s_a100_log")

    def load(predictor: Any, space: Any) -> Any:
        return lambda matrix: (1300.0 * expected(matrix), np.log(13.0 * expected(matrix)))

    monkeypatch.setattr(module, "load_predictor", load)
    monkeypatch.setattr(module, "require_autogluon", lambda: "1.6.3")
    folder = convert_autogluon(tmp_path, "s", trust_pickles=True, progress=False)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert list(manifest["distilled"]) == ["latency@a100"]
    source = manifest["source"]
    assert source["predictors"]["latency@a100"]["folder"] == "gpt_latencies_s_a100_log"
    assert source["autogluon"] == "1.6.3"
    assert "HW-GPT-Bench" in source["data"]
    matrix = Encoding(SPACE).sample(50, np.random.default_rng(1))
    mine, plain = (
        hwgpt_blackbox.load("s", "all", models=m).expected_values(matrix)
        for m in ("autogluon", "default")
    )
    names = hwgpt_blackbox.load("s", "all").objectives_names
    changed = {name for j, name in enumerate(names) if not (mine[:, j] == plain[:, j]).all()}
    assert "metric_latency_a100" in changed
    assert changed <= {"metric_latency_a100", "metric_elapsed_time_a100", "metric_elapsed_time"}
    column = names.index("metric_latency_a100")
    np.testing.assert_allclose(mine[:, column], 1.3 * plain[:, column], rtol=0.01)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact, from a predictor 30 % above the embedded models."""
    root = tmp_path_factory.mktemp("distilled")
    folders(root, "gpt_latencies_s_a100_log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWGPT_BLACKBOX_HOME", str(root / "artifacts"))
        make_small(patch)
        patch.setattr(
            module,
            "load_predictor",
            lambda *_: lambda matrix: (1300.0 * expected(matrix), np.log(13.0 * expected(matrix))),
        )
        patch.setattr(module, "require_autogluon", lambda: "1.6.3")
        return convert_autogluon(root, "s", trust_pickles=True, progress=False)


@pytest.fixture
def distilled(made: Path, artifacts: Path) -> Path:
    """A copy of it, where it is found by name."""
    return Path(shutil.copytree(made, artifacts / made.name))


def test_list_and_verify_know_it(
    distilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "other models" in x)
    assert f"hwgpt-s-autogluon  {distilled}" in line
    assert 'models="autogluon"' in line
    assert main(["verify", "hwgpt-s-autogluon"]) == 0
    assert "no report card is stored" in capsys.readouterr().out
    make_source("s", n=96).write(root := tmp_path / "source")
    words = ["verify", "hwgpt-s-autogluon", "--against", str(root), "--store", "--quiet"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "latency@a100" in shown
    assert "energy" not in shown.partition("held out")[0]  # of the targets that are theirs
    card = read_card(distilled)
    assert card is not None
    assert [(part["split"], part["fitted"]) for part in card["sections"]] == [
        ("in sample", 0),
        ("random", 0),
        ("blocks", 0),
    ]
    assert set(card["sections"][1]["targets"]) == {"latency@a100"}
    assert main(["list", "--report"]) == 0
    assert "hwgpt-s-autogluon  random/42" in capsys.readouterr().out


def test_a_checkout_gives_it_a_card_at_once(
    artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_source("s", n=96).write(tmp_path)
    folders(tmp_path / BELOW_ROOT, "gpt_energies_s_a40")
    target = "energy@a40"
    monkeypatch.setattr(
        module,
        "load_predictor",
        lambda *_: lambda m: (expected(m, target), np.log(0.02 * expected(m, target))),
    )
    monkeypatch.setattr(module, "require_autogluon", lambda: "1.6.3")
    options: dict[str, Any] = {"trust_pickles": True, "progress": False, "report": True}
    card = read_card(convert_autogluon(tmp_path, "s", **options))
    assert card is not None
    assert set(card["sections"][0]["targets"]) == {target}
    with pytest.raises(DataError, match=r"has no .*stats\.pkl"):
        convert_autogluon(tmp_path / BELOW_ROOT, "s", overwrite=True, **options)


def test_a_manifest_that_states_no_target_of_theirs(
    distilled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_source("s", n=96).write(tmp_path / "source")
    for stated in ({}, ["latency@a100"][:0], {"latency@tpu": {}}, 3):
        rewrite_manifest(distilled, distilled=stated)
        words = ["verify", str(distilled), "--against", str(tmp_path / "source"), "--quiet"]
        assert main(words) == 2
        assert "states no target as distilled" in capsys.readouterr().err


def test_it_can_take_the_place_of_the_surrogate(
    distilled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then everything searches, draws and knows the optimum of it."""
    place = tmp_path / "place"
    shutil.copytree(distilled, place / "hwgpt-s")
    target = ("perplexity", "latency@a100")
    plain = hwgpt_blackbox.reference_front("s", target)
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(place))
    front = hwgpt_blackbox.reference_front("s", target)
    assert front.exact
    assert front.objectives[:, 1].min() == pytest.approx(1.3 * plain.objectives[:, 1].min(), 0.01)
    problems = json.loads((place / "hwgpt-s" / "manifest.json").read_text())["problems"]["problems"]
    assert problems["perplexity latency@a100"]["hypervolume"] == front.hypervolume()
    assert problems["perplexity latency@a100"]["front_size"] == len(front)
    run = ["run", "--space", "s", "--objectives", *target, "--trials", "8"]
    assert main([*run, "--out", str(tmp_path / "results")]) == 0


def test_a_missing_artifact_names_the_command() -> None:
    with pytest.raises(MissingArtifactError, match="--only autogluon --trust-pickles"):
        hwgpt_blackbox.load("s", "a100", models="autogluon")


# -- with AutoGluon --------------------------------------------------------------------------


def test_a_predictor_trained_here_is_loaded_and_distilled(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tabular = pytest.importorskip("autogluon.tabular", reason="AutoGluon is not installed")
    matrix = Encoding(SPACE).sample(400, np.random.default_rng(2))
    names = [f"arch_feature_{i}" for i in range(27)]
    data = feature_frame(SPACE, matrix, names, "it")
    root = tmp_path / "gpt_latencies_s_a100_log"
    data["Target_Avg"] = 1000.0 * expected(matrix)  # µs, as published
    data["Target_Std"] = np.log(0.01 * data["Target_Avg"])
    for label, dropped in (("Target_Avg", ["Target_Std"]), ("Target_Std", [])):
        tabular.TabularPredictor(
            label=label,
            problem_type="regression",
            path=str(root / f"Predictor_{label}"),
            verbosity=0,
        ).fit(data.drop(columns=dropped), hyperparameters={"LR": {}}, time_limit=30)
    command = ["convert", str(tmp_path), "--space", "s", "--only", "autogluon", "--quiet"]
    assert main([*command, "--trust-pickles"]) == 0
    assert 'models="autogluon"' in capsys.readouterr().out
    manifest = json.loads((artifacts / "hwgpt-s-autogluon" / "manifest.json").read_text())
    report = manifest["distilled"]["latency@a100"]
    assert report["unit_factor"] == pytest.approx(1e-3)
    assert report["deviation_is_logarithmic"] is True
    assert report["fidelity"]["r2"] > 0.99
    box = hwgpt_blackbox.load("s", "a100", models="autogluon")
    found = box.expected_values(matrix)[:, box.objectives_names.index("metric_latency")]
    assert np.corrcoef(found, expected(matrix))[0, 1] > 0.97


def test_a_predictor_that_cannot_predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For instance because the library of a model of the stack is missing."""
    tabular = pytest.importorskip("autogluon.tabular", reason="AutoGluon is not installed")
    folders(tmp_path, "gpt_latencies_s_a100_log")

    class Broken:
        def features(self) -> list[str]:
            return ["embed_dim"]

        def predict(self, data: Any) -> Any:
            raise ImportError("`import catboost` failed.\nmore")

    monkeypatch.setattr(tabular.TabularPredictor, "load", lambda *_, **__: Broken())
    with pytest.raises(DataError, match=r"Target_Avg cannot predict .*catboost.*libraries of"):
        convert_autogluon(tmp_path, "s", tmp_path / "out", trust_pickles=True, progress=False)


def test_a_predictor_that_cannot_be_loaded(tmp_path: Path) -> None:
    pytest.importorskip("autogluon.tabular", reason="AutoGluon is not installed")
    folders(tmp_path, "gpt_latencies_s_a100_log")
    with pytest.raises(DataError, match="Predictor_Target_Avg cannot be loaded"):
        convert_autogluon(tmp_path, "s", tmp_path / "out", trust_pickles=True, progress=False)
    assert not (tmp_path / "out").exists()
