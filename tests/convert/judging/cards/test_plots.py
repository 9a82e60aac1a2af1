"""Figures of a report card: what they show, and that they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from quick import quick_fit
from synthetic_checkout import make_source

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.judging import holdouts as holdout
from hwgpt_blackbox.convert.judging.cards import plots as module
from hwgpt_blackbox.convert.judging.cards.card import measure, section
from hwgpt_blackbox.convert.judging.cards.plot_data import (
    calibration_table,
    coverage_table,
    distribution_table,
    families_table,
    groups,
    predicted_table,
)
from hwgpt_blackbox.convert.judging.cards.plots import make_figures
from hwgpt_blackbox.convert.judging.holdouts import Evaluation, Split, in_sample, refit
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.encoding import FIRST_LAYER
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import MissingExtraError, OutputError
from hwgpt_blackbox.plotting.style import save

KINDS = ("exact", "latency", "energy")


@pytest.fixture(scope="module")
def evaluations(tmp_path_factory: pytest.TempPathFactory) -> list[Evaluation]:
    """In sample, and one hold-out."""
    root = make_source("s", n=120).write(tmp_path_factory.mktemp("source"))
    data = read_measurements(Checkout(root, SPACES["s"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holdout, "fit_models", quick_fit)
        held = refit(data, Split("random", 42))
    return [in_sample(data, quick_fit(data)[0]), held]


def test_predicted_and_measured_are_of_the_same_architecture(evaluations: list[Evaluation]) -> None:
    evaluation = evaluations[1]
    table = predicted_table(evaluation, ["energy@P100", "perplexity"])
    mine = table[table["target"] == "energy@P100"]
    expected = evaluation.expected(["energy@P100"])[:, 0]
    pairs = {
        *zip(evaluation.noisy["energy@P100"].mean(axis=1).tolist(), expected.tolist(), strict=True)
    }
    assert {*zip(mine["measured"].tolist(), mine["predicted"].tolist(), strict=True)} == pairs


def test_levels_of_a_model_on_its_own_data_are_uniform(evaluations: list[Evaluation]) -> None:
    table = calibration_table(evaluations[0], ["energy@a100"])
    assert np.abs(table["measured"] - table["level"]).max() < 0.02


def test_coverage_is_that_of_the_card(evaluations: list[Evaluation]) -> None:
    part = section(evaluations[1], measure(evaluations[1], draws=1))
    table = coverage_table(part).set_index(["target", "level"])["measured"]
    assert table["latency@h100", 0.9] == part["targets"]["latency@h100"]["coverage_90"]
    assert len(table) == 3 * 26


def test_distributions_are_those_of_the_groups(evaluations: list[Evaluation]) -> None:
    evaluation = evaluations[0]
    table = distribution_table(evaluation, ["latency@a100", "params"])
    assert set(table["factor"]) == {"embed_dim", "num_layers", "mean mlp_ratio"}
    mine = table[(table["target"] == "latency@a100") & (table["group"] == "768")]
    values = evaluation.noisy["latency@a100"][evaluation.sample.embed == 2]
    assert mine["measured"].tolist() == np.quantile(values, mine["level"]).tolist()
    params = table[(table["target"] == "params") & (table["group"] == "12")]
    assert (params["measured"] == params["predicted"]).all()  # exact, by formula


def test_groups_look_at_active_layers_only(evaluations: list[Evaluation]) -> None:
    evaluation = evaluations[0]
    before = groups(evaluation)
    shallow = np.flatnonzero(evaluation.sample.matrix[:, 0] == 0)
    matrix = evaluation.sample.matrix.copy()
    matrix[shallow, FIRST_LAYER + 11] = 2  # the twelfth layer of ten
    from dataclasses import replace

    from hwgpt_blackbox.convert.fitting.features import Architectures

    after = groups(replace(evaluation, sample=Architectures(evaluation.sample.space, matrix)))
    for factor, labels in before.items():
        assert list(labels) == list(after[factor])
        for label, mask in labels.items():
            np.testing.assert_array_equal(mask, after[factor][label])
        assert np.sum(list(labels.values()), axis=0).tolist() == [1] * len(matrix)


def test_every_figure_is_named_and_the_same_again(
    evaluations: list[Evaluation], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    sections = [section(evaluation, measure(evaluation, draws=1)) for evaluation in evaluations]
    figures = make_figures({"space": "s", "sections": sections}, evaluations)
    assert set(figures) == {
        "in-sample-coverage",
        "random-42-coverage",
        *(f"distribution-{kind}" for kind in KINDS),
        *(f"random-42-predicted-{kind}" for kind in KINDS),
        "random-42-calibration-latency",
        "random-42-calibration-energy",
    }
    for name in ("random-42-coverage", "random-42-predicted-exact"):
        content = []
        for number in (1, 2):
            path = tmp_path / f"{name}-{number}.svg"
            save(figures[name](), path)
            content.append(path.read_bytes())
        assert content[0] == content[1]
        assert content[0].startswith(b"<?xml")
    for name in ("distribution-exact", "random-42-calibration-latency"):
        save(figures[name](), tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob(".tmp*"))


def test_a_stored_card_alone_has_its_coverage(evaluations: list[Evaluation]) -> None:
    pytest.importorskip("matplotlib")
    part = section(evaluations[1], measure(evaluations[1], draws=1))
    assert list(make_figures({"space": "s", "sections": [part]}, [])) == ["random-42-coverage"]


def test_families_side_by_side(evaluations: list[Evaluation], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    part = section(evaluations[1], measure(evaluations[1], draws=1))
    rows = [
        {"target": "energy@a40", "family": "ours", "mae": 1.0, "rmse": 2.0, "crps_over_mean": 0.1},
        {"target": "energy@a40", "family": "mlp", "mae": 3.0, "rmse": None, "seconds": 1.0},
    ]
    comparison = {"split": "random", "seed": 42, "rows": rows}
    table = families_table(comparison)
    assert table[["family", "measure", "value"]].to_numpy().tolist() == [
        ["ours", "MAE", 1.0],
        ["ours", "RMSE", 2.0],
        ["ours", "CRPS over mean", 0.1],
        ["mlp", "MAE", 3.0],
    ]
    card = {"space": "s", "sections": [part], "comparison": comparison}
    figures = make_figures(card, [])
    assert list(figures) == ["random-42-coverage", "random-42-families"]
    figure = figures["random-42-families"]()
    assert [axes.get_title() for axes in figure.axes] == ["MAE", "RMSE", "CRPS over mean"]
    (line,) = figure.axes[0].get_lines()
    assert line.get_xdata().tolist() == [1.0, 3.0]
    assert line.get_ydata().tolist() == [2, 1]  # the first on top
    save(figure, tmp_path / "families.svg")


def test_a_figure_that_cannot_be_written(tmp_path: Path) -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    with pytest.raises(OutputError, match="could not be written"):
        save(figure, tmp_path / "absent" / "figure.svg")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str, *, extra: str) -> None:
        raise MissingExtraError(f"{name}: pip install 'hwgpt-blackbox[{extra}]'")

    monkeypatch.setattr(module, "require", absent)
    with pytest.raises(MissingExtraError, match=r"matplotlib.*\[analysis\]"):
        make_figures({"space": "s", "sections": []}, [])
