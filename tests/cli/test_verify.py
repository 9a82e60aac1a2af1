"""``hwgpt-blackbox verify`` and ``list --report``, as typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import write_random_surrogate, write_table
from quick import quick_fit, surrogate_of
from synthetic_checkout import make_source

from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.judging import holdouts as holdout
from hwgpt_blackbox.convert.judging.cards.file import read_card
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.spaces import SPACES

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_source("s", n=120).write(tmp_path_factory.mktemp("source"))


@pytest.fixture
def artifact(root: Path, artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A surrogate of the source in ``HWGPT_BLACKBOX_HOME``; fits take no time."""
    monkeypatch.setattr(holdout, "fit_models", quick_fit)
    monkeypatch.setattr("hwgpt_blackbox.convert.judging.cards.card.DRAWS", 1)
    return surrogate_of(read_measurements(Checkout(root, SPACES["s"])), artifacts / "hwgpt-s")


def said(capsys: Captured, *words: str | Path) -> str:
    """What the command prints when it ends well."""
    assert main(["verify", *map(str, words)]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def complaint(capsys: Captured, *words: str | Path) -> str:
    """What the command complains of."""
    assert main(["verify", *map(str, words)]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


def test_a_sound_artifact_without_a_card(artifact: Path, capsys: Captured) -> None:
    for name in ("hwgpt-s", artifact):
        shown = said(capsys, name)
        assert f"{artifact}: a sound surrogate artifact of space s" in shown
        assert "no report card is stored" in shown
        assert "--against SOURCE" in shown
    assert json.loads(said(capsys, artifact, "--json"))["report"] is None


def test_store_then_show_then_list(artifact: Path, root: Path, capsys: Captured) -> None:
    shown = said(capsys, "hwgpt-s", "--against", root, "--store", "--quiet")
    assert f"made from {root}" in shown
    assert "stored the report card" in shown
    for heading in ("in sample", "random split, seed 42", "blocks split, seed 0"):
        assert f"\n{heading}" in shown
    again = said(capsys, "hwgpt-s")
    assert again.partition("\nin sample")[2].splitlines() == [
        line for line in shown.partition("\nin sample")[2].splitlines() if "stored" not in line
    ]
    write_random_surrogate(artifact.parent / "hwgpt-m", "m")
    assert main(["list", "--report"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:2] == ["hwgpt-s", "random/42"]
    assert any(line.startswith("hwgpt-m has no report card") for line in lines)
    assert main(["list", "--report", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["reports"]
    assert [row["name"] for row in rows] == ["hwgpt-s", "hwgpt-m", "hwgpt-l"]
    assert rows[0]["report"] == read_card(artifact)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["none"], []),
        (["random"], [("random", 42)]),
        (["random", "--seed", "7"], [("random", 7)]),
        (["blocks", "--seed", "3"], [("blocks", 3)]),
    ],
)
def test_any_split(
    options: list[str], expected: list[Any], artifact: Path, root: Path, capsys: Captured
) -> None:
    words = [artifact, "--against", root, "--split", *options, "--json", "--quiet"]
    answer = json.loads(said(capsys, *words))
    assert answer["made_from_this_source"] is True
    sections = answer["report"]["sections"]
    assert [(part["split"], part["seed"]) for part in sections] == [("in sample", None), *expected]
    assert read_card(artifact) is None


def test_out_holds_card_and_figures(
    artifact: Path, root: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    # Saving large figures takes long; test_card_figures.py does it.
    save = "hwgpt_blackbox.plotting.style.save"
    monkeypatch.setattr(save, lambda figure, path: path.write_text(figure.get_suptitle()))
    out = tmp_path / "new" / "report"
    words = [artifact, "--against", root, "--split", "blocks", "--out", out, "--format", "png"]
    shown = said(capsys, *words, "--quiet", "--store")
    assert json.loads((out / "report.json").read_text()) == read_card(artifact)
    assert len(list(out.glob("*.png"))) == 2 + 3 + 3 + 2
    assert all(str(path) in shown for path in out.iterdir())
    said(capsys, artifact, "--out", tmp_path / "stored")
    assert {path.name for path in (tmp_path / "stored").iterdir()} == {
        "report.json",
        "in-sample-coverage.svg",
        "blocks-0-coverage.svg",
    }


def test_families_stand_beside_it(artifact: Path, root: Path, capsys: Captured) -> None:
    pytest.importorskip("xgboost")
    words = [artifact, "--against", root, "--split", "random", "--fit", "xgboost"]
    words += ["--targets", "energy@rtx2080", "--store", "--quiet"]
    shown = said(capsys, *words)
    (table,) = (part for part in shown.split("\n\n") if "xgboost" in part)
    assert table.startswith("random split, seed 42: fitted on the same")
    lines = [line.split() for line in table.splitlines()[2:]]
    assert [line[2] for line in lines] == ["structured", "least", "xgboost"]
    card = read_card(artifact)
    assert card is not None
    rows = card["comparison"]["rows"]
    assert rows[0]["mae"] == card["sections"][1]["targets"]["energy@rtx2080"]["mae"]
    assert table in said(capsys, artifact)  # stored
    assert json.loads(said(capsys, artifact, "--json"))["report"] == card


def test_a_table(root: Path, artifacts: Path, capsys: Captured) -> None:
    assert main(["convert", str(root), "--space", "s", "--only", "tabular", "--quiet"]) == 0
    capsys.readouterr()
    shown = said(capsys, "hwgpt-s-tabular", "--against", root, "--quiet")
    assert "energy: 0 values differ from the source" in shown
    assert "a sound tabular artifact" in said(capsys, "hwgpt-s-tabular")
    for option in (["--store"], ["--out", "x"]):
        assert "has no report card" in complaint(capsys, "hwgpt-s-tabular", *option)
    write_table(artifacts / "other")
    assert "of another source" in complaint(capsys, artifacts / "other", "--against", root)


def test_what_cannot_be_done_is_said_at_once(
    artifact: Path, root: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*args: Any, **kwargs: Any) -> Any:
        pytest.fail("too late")

    monkeypatch.setattr("hwgpt_blackbox.convert.judging.cards.card.judge", late)
    monkeypatch.setattr("hwgpt_blackbox.convert.judging.cards.card.refit", late)
    against = ["--against", root]
    assert "'hwgpt-XL' is no artifact" in complaint(capsys, "hwgpt-XL")
    assert "--store needs --against" in complaint(capsys, artifact, "--store")
    assert "one that the package ships" in complaint(capsys, "hwgpt-m", *against, "--store")
    assert "holds no report card" in complaint(capsys, artifact, "--out", tmp_path)
    assert "--seed 3 needs --split" in complaint(capsys, artifact, *against, "--seed", "3")
    words = [*against, "--split", "blocks", "--seed", "5"]
    assert "'blocks' has 0 to 4" in complaint(capsys, artifact, *words)
    for words in (["--fit", "mlp"], [*against, "--fit", "mlp", "--split", "blocks"]):
        assert "--fit" in complaint(capsys, artifact, *words)
    words = [*against, "--fit", "mlp", "--targets", "latency@tpu"]
    assert "unknown target 'latency@tpu'" in complaint(capsys, artifact, *words)
    assert "is no folder" in complaint(
        capsys, artifact, "--against", tmp_path / "absent", "--quiet"
    )


def test_a_changed_file(artifact: Path, capsys: Captured) -> None:
    (artifact / "note.txt").write_text("")
    assert "note.txt" in complaint(capsys, "hwgpt-s")
    (artifact / "note.txt").unlink()
    write_random_surrogate(other := artifact.parent / "other")
    (artifact / "arrays.npz").write_bytes((other / "arrays.npz").read_bytes())
    assert "is not the file of its manifest" in complaint(capsys, "hwgpt-s")


def test_progress_is_shown_on_the_other_stream(
    artifact: Path, root: Path, capsys: Captured
) -> None:
    words = ["verify", str(artifact), "--against", str(root), "--split", "none"]
    assert main(words) == 0
    assert "step" in capsys.readouterr().err
