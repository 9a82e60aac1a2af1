from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from synthetic_checkout import make_source

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.cli.convert import FAMILIES as OFFERED
from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.judging import families
from hwgpt_blackbox.convert.judging.cards.text import comparison_table
from hwgpt_blackbox.convert.judging.families import FAMILIES, Prediction, RegressionTask
from hwgpt_blackbox.convert.judging.family_comparison import (
    FLOOR,
    OURS,
    ComparisonSettings,
    compare,
    compare_on_section,
    prediction_measures,
)
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError, MissingExtraError

LIBRARIES = {
    "xgboost": "xgboost",
    "lightgbm": "lightgbm",
    "mlp": "sklearn",
    "conformal-quantile": "sklearn",
    "autogluon": "autogluon",
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source("s", n=240).write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def data(root: Path) -> Measurements:
    return read_measurements(Checkout(root, SPACES["s"]))


def task(n: int = 300, repeats: int = 5) -> RegressionTask:
    """A task in which the first feature is all that matters."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 5, size=(n + 100, 6))
    y = (10.0 * x[:, :1]) * np.exp(0.05 * rng.standard_normal((n + 100, repeats)))
    return RegressionTask(x[:n], y[:n], x[n:], time_limit=20.0)


def test_the_command_offers_every_family() -> None:
    assert set(OFFERED) == set(FAMILIES) == set(LIBRARIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = LIBRARIES[family]
    monkeypatch.setattr(families, "TREES", 40)
    pytest.importorskip(library, reason=f"{library} is not installed")
    options = task()
    found = FAMILIES[family](options)
    np.testing.assert_allclose(found.mean, 10.0 * options.test_x[:, 0], rtol=0.25)
    if found.quantiles is not None and found.levels is not None:
        assert found.quantiles.shape == (100, len(found.levels))
        assert (np.diff(found.quantiles, axis=1) >= 0).all()
        rng = np.random.default_rng(1)
        y = found.mean[:, None] * np.exp(0.05 * rng.standard_normal((100, 20)))
        assert prediction_measures(y, found)["miscalibration_area"] < 0.12


@pytest.mark.parametrize("family", FAMILIES)
def test_without_its_library_the_message_holds_the_command(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    extra = "autogluon" if family == "autogluon" else "comparison"
    with pytest.raises(MissingExtraError, match=rf"hwgpt-blackbox\[{extra}\]"):
        FAMILIES[family](task(30))


def test_the_table_sets_them_beside_ours(data: Measurements) -> None:
    pytest.importorskip("xgboost")
    rows = compare(data, ComparisonSettings(["xgboost"], ["latency@a100", "energy@rtx2080"]))
    assert [row["family"] for row in rows] == [OURS, FLOOR, "xgboost"] * 2
    assert all(row["mae"] > 0 and row["seconds"] >= 0 for row in rows)
    assert {"crps_over_mean", "miscalibration_area"} <= set(rows[0])
    assert "crps_over_mean" not in rows[2]
    text = comparison_table({"split": "random", "seed": 42, "rows": rows}).splitlines()
    assert len(text) == 1 + 1 + 6
    assert text[1].split()[:3] == ["target", "unit", "family"]
    assert "Wh" in text[5]
    assert len(text[4].split()) < len(text[2].split())  # no distribution, no measures of it


def test_point_and_distribution_measures_by_hand() -> None:
    measured = np.array([[1.0, 3.0], [4.0, 4.0]])
    point = prediction_measures(measured, Prediction(np.array([2.0, 5.0])))
    assert point["mae"] == pytest.approx(0.5)
    assert point["rmse"] == pytest.approx(np.sqrt(0.5))
    uniform = Prediction(
        np.array([2.0, 4.0]),
        np.array([0.0, 0.5, 1.0]),
        np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0]]),
    )
    found = prediction_measures(measured, uniform)
    # CRPS of a uniform on an interval of width 2: 2/3 at an end, 1/6 in the middle.
    assert found["crps_over_mean"] == pytest.approx((2 / 3 + 2 / 3 + 1 / 6 + 1 / 6) / 4 / 3.0)
    assert found["medae"] == 0.0
    assert (found["coverage_50"], found["coverage_90"]) == (0.5, 0.5)
    assert found["share_non_positive"] == 0.0
    below = Prediction(uniform.mean, uniform.levels, np.array([[-1.0, 2.0, 5.0], [3.0, 4.0, 5.0]]))
    assert prediction_measures(measured, below)["share_non_positive"] == pytest.approx(
        (0.5 / 3 + 0.0) / 2
    )


def test_the_command_writes_a_table(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xgboost")
    command = ["convert", str(root), "--space", "s", "--fit", "xgboost", "--quiet"]
    command += ["--targets", "latency@h100", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert "xgboost" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "comparison-s.json").read_text())
    assert [row["family"] for row in report["rows"]] == [OURS, FLOOR, "xgboost"]
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_a_contest_that_cannot_be_held(monkeypatch: pytest.MonkeyPatch) -> None:
    for target in ("perplexity", "latency@gtx", "latency"):
        with pytest.raises(InputError, match=f"unknown target '{target}'"):
            ComparisonSettings([], [target])
    with pytest.raises(InputError, match="unknown family 'oracle'; known: xgboost"):
        ComparisonSettings(["oracle"], ["latency@a100"])
    for limit in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="time limit is"):
            ComparisonSettings([], ["latency@a100"], limit)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"hwgpt-blackbox\[comparison\]"):
        ComparisonSettings(["mlp"], ["latency@a100"])


def test_families_beside_a_section_of_a_card(data: Measurements) -> None:
    pytest.importorskip("xgboost")
    known = {"mae": 1.5, "mae_least_squares": 2.5, "crps_over_mean": 0.1, "mae_ratio": 0.6}
    part = {"split": "random", "seed": 1, "targets": {"latency@a100": known}}
    comparison = ComparisonSettings(["xgboost"], ["latency@a100", "energy@a40"])
    found = compare_on_section(part, OURS, data, comparison, lambda step: None)
    assert (found["split"], found["seed"]) == ("random", 1)
    names = [(row["target"], row["family"]) for row in found["rows"]]
    three = [("latency@a100", family) for family in (OURS, FLOOR, "xgboost")]
    assert names == [*three, ("energy@a40", "xgboost")]  # of what the card has no row is none
    assert found["rows"][0]["mae"] == 1.5
    assert found["rows"][0]["crps_over_mean"] == 0.1
    assert found["rows"][1]["mae"] == 2.5
    on_another = compare(data, ComparisonSettings(["xgboost"], ["latency@a100"]))[2]
    assert found["rows"][2]["mae"] != on_another["mae"]  # another split


def test_a_conformal_quantile_covers_what_is_new() -> None:
    """Of nine scores, nine tenths of new ones are below the largest, not the eighth or so."""
    assert families.conformal_quantile(np.arange(1.0, 10.0)[::-1], 0.9) == 9.0
    assert families.conformal_quantile(np.arange(1.0, 10.0), 0.5) == 5.0
    assert families.conformal_quantile(np.arange(1.0, 10.0), 0.99) == 9.0
    draws = np.random.default_rng(0).standard_normal((20_000, 10))
    limits = np.array([families.conformal_quantile(row[:-1], 0.8) for row in draws])
    assert (draws[:, -1] <= limits).mean() == pytest.approx(0.8, abs=0.01)
    plain = np.quantile(draws[:, :-1], 0.8, axis=1)
    assert (draws[:, -1] <= plain).mean() < 0.77
