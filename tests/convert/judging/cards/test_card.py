"""Report cards: what is held out, what is measured, and how a card is kept in an artifact."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import random_surrogate, write_random_surrogate
from quick import quick_fit, quick_surrogate, surrogate_of
from synthetic_checkout import make_source

from hwgpt_blackbox.convert import convert, read_measurements
from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.fitting.whole_space import fit_models
from hwgpt_blackbox.convert.judging import holdouts as holdout
from hwgpt_blackbox.convert.judging.cards import card as module
from hwgpt_blackbox.convert.judging.cards import file as card_store
from hwgpt_blackbox.convert.judging.cards.card import judge, measure, section, summary
from hwgpt_blackbox.convert.judging.cards.file import (
    REPORT,
    add_card,
    read_card,
    store_card,
    to_json,
)
from hwgpt_blackbox.convert.judging.cards.text import LIST_HEADINGS, list_row, section_table
from hwgpt_blackbox.convert.judging.holdouts import (
    IN_SAMPLE,
    SPLIT_KINDS,
    Evaluation,
    Split,
    pit_levels,
    predictor_of,
    published_for,
    refit,
)
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError, MissingExtraError, OutputError
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.manifest import write_manifest
from hwgpt_blackbox.storage.surrogates import read_surrogate

SPACE = SPACES["s"]
NOISY = [f"{metric}@{device}" for metric in ("latency", "energy") for device in DEVICES]
DRAWS = 20_000


# -- which architectures are held out --------------------------------------------------------


def test_a_random_split_is_that_of_the_paper() -> None:
    selection = pytest.importorskip("sklearn.model_selection")
    for seed in (42, 0):
        train, test = Split("random", seed).rows(501)
        expected = selection.train_test_split(np.arange(501), test_size=0.2, random_state=seed)
        np.testing.assert_array_equal(train, np.sort(expected[0]))
        np.testing.assert_array_equal(test, np.sort(expected[1]))


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_splits_part_the_architectures(kind: str) -> None:
    held = []
    for seed in range(SPLIT_KINDS[kind].default, SPLIT_KINDS[kind].default + 5):
        train, test = Split(kind, seed).rows(100)
        assert sorted([*train, *test]) == list(range(100))
        assert len(test) == 20
        held.append(set(test.tolist()))
    if kind == "blocks":
        assert set.union(*held) == set(range(100))
        assert all((np.diff(sorted(part)) == 1).sum() == 18 for part in held)


@pytest.mark.parametrize(("kind", "seed"), [("blocks", 5), ("random", -1), ("random", 2**32)])
def test_a_seed_that_a_split_does_not_have(kind: str, seed: int) -> None:
    with pytest.raises(InputError, match=f"seed is {seed}"):
        Split(kind, seed)
    with pytest.raises(InputError, match="unknown split 'halves'"):
        Split("halves", 0)


# -- a source and a fit that takes no time ---------------------------------------------------


SOURCE = make_source("s", n=120)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SOURCE.write(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def checkout(root: Path) -> Checkout:
    return Checkout(root, SPACE)


@pytest.fixture(scope="module")
def data(checkout: Checkout) -> Measurements:
    return read_measurements(checkout)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdout, "fit_models", quick_fit)


@pytest.fixture(scope="module")
def made(
    data: Measurements, checkout: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], list[Evaluation]]:
    """An artifact without a card, its card against its source, and the trials."""
    folder = surrogate_of(data, tmp_path_factory.mktemp("made") / "hwgpt-s")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holdout, "fit_models", quick_fit)
        card, evaluations = judge(checkout, data, read_surrogate(folder), draws=DRAWS)
    return folder, card, evaluations


@pytest.fixture
def artifact(made: tuple[Path, dict[str, Any], list[Evaluation]], tmp_path: Path) -> Path:
    """A copy of the artifact that a test may change."""
    folder = tmp_path / "place" / "hwgpt-s"
    folder.mkdir(parents=True)
    for path in made[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


# -- what is held out is not seen ------------------------------------------------------------


def spoiled(data: Measurements, rows: np.ndarray) -> Measurements:
    """The data with other values in some rows."""
    changed: dict[str, Any] = {}
    for name in ("latency", "energy"):
        values = getattr(data, name).copy()
        values[:, rows] *= 7.0
        changed[name] = values
    for name in ("perplexity", "memory_float16", "memory_bfloat16"):
        values = getattr(data, name).copy()
        values[rows] *= 3.0
        changed[name] = values
    return dataclasses.replace(data, **changed)


def same_models(one: Evaluation, other: Evaluation) -> bool:
    return all(
        np.array_equal(model.intercept, other.surrogate.models[name].intercept)
        and np.array_equal(model.effect, other.surrogate.models[name].effect)
        for name, model in one.surrogate.models.items()
    ) and all(
        np.array_equal(model.effect, other.floor[name].effect) for name, model in one.floor.items()
    )


@pytest.mark.parametrize("split", [Split("random", 1), Split("blocks", 2)], ids=str)
def test_models_and_floor_do_not_see_what_is_held_out(data: Measurements, split: Split) -> None:
    train, test = split.rows(len(data))
    evaluation = refit(data, split)
    again = refit(spoiled(data, test), split)
    assert same_models(evaluation, again)
    assert not same_models(evaluation, refit(spoiled(data, train[:1]), split))
    assert evaluation.fitted == len(train)
    np.testing.assert_array_equal(evaluation.sample.matrix, data.matrix[test])
    np.testing.assert_array_equal(again.noisy["energy@a100"], 7.0 * evaluation.noisy["energy@a100"])
    assert set(evaluation.floor) == {"perplexity", *NOISY}


@pytest.mark.slow
def test_the_real_fit_does_not_see_what_is_held_out(
    data: Measurements, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holdout, "fit_models", fit_models)
    split = Split("random", 42)
    _, test = split.rows(len(data))
    assert same_models(refit(data, split), refit(spoiled(data, test), split))


def test_the_offset_of_the_published_network_does_not_see_what_is_held_out(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    checkout = Checkout(make_source("s", n=120, missing=0.4).write(tmp_path), SPACE)
    data = read_measurements(checkout)
    train, test = Split("random", 42).rows(len(data))
    network = published_for(checkout, data)(train)
    other = published_for(checkout, spoiled(data, test))(train)
    assert network is not None
    assert other is not None
    np.testing.assert_array_equal(network(data.matrix), other(data.matrix))
    evaluation = refit(data, Split("random", 42), published=published_for(checkout, data))
    assert evaluation.notes["perplexity"] == {"fitted_on": "network"}


def test_no_network_where_everything_was_measured(checkout: Checkout, data: Measurements) -> None:
    assert published_for(checkout, data)(np.arange(90)) is None


# -- measures --------------------------------------------------------------------------------


def drawn_trial(shift: float = 1.0, n: int = 400, repeats: int = 25) -> Evaluation:
    """A surrogate, and architectures whose measurements are its own draws times ``shift``."""
    surrogate = random_surrogate(SPACE, seed=5)
    matrix = Encoding(SPACE).sample(n, np.random.default_rng(0))
    targets = ["latency@a100", "energy@cpu_amd_7502"]
    predictor = predictor_of(surrogate, targets)
    drawn = np.stack(
        [predictor.measurements(matrix, np.array([k], dtype=np.uint64)) for k in range(repeats)],
        axis=-1,
    )
    exact = predictor_of(surrogate, ["perplexity"]).expected(matrix)[:, 0]
    exact[::7] = np.nan
    noisy = {name: shift * drawn[:, j] for j, name in enumerate(targets)}
    sample = Architectures(SPACE, matrix)
    return Evaluation(
        Split("random", 0), surrogate, sample, {"perplexity": exact}, noisy, {}, n, {}
    )


def test_measures_of_a_model_that_is_right() -> None:
    evaluation = drawn_trial()
    found = measure(evaluation, draws=DRAWS)
    assert found["perplexity"]["mae"] == 0.0
    assert found["perplexity"]["kendall_tau"] == pytest.approx(1.0)
    for name in evaluation.noisy:
        row = found[name]
        assert row["kendall_tau"] > 0.4
        assert row["miscalibration_area"] < 0.01
        assert row["share_non_positive"] == 0.0
        for level in (50, 90, 99):
            assert row[f"coverage_{level}"] == pytest.approx(level / 100, abs=0.015)
        levels = pit_levels(evaluation, name)
        assert levels.shape == evaluation.noisy[name].shape
        assert levels.mean() == pytest.approx(0.5, abs=0.01)


def test_measures_of_a_model_that_is_wrong() -> None:
    right, wrong = (measure(drawn_trial(shift), draws=DRAWS) for shift in (1.0, 1.5))
    for name in drawn_trial().noisy:
        assert wrong[name]["miscalibration_area"] > 0.1
        assert wrong[name]["coverage_50"] < 0.45
        assert wrong[name]["crps_over_mean"] > right[name]["crps_over_mean"]
        # A factor does not change the order.
        assert wrong[name]["kendall_tau"] == pytest.approx(right[name]["kendall_tau"])


def test_draws_that_are_not_positive_are_counted() -> None:
    evaluation = drawn_trial()
    models = dict(evaluation.surrogate.models)
    name = "latency@a100"
    model = models[name]
    assert model.ratio is not None
    # A fifth of the levels give negative draws, as a Gaussian would.
    ratio = np.broadcast_to(np.array([-1.0, -1.0, 0.5, 1.0, 2.0]), (1, 1, 1, 5))
    models[name] = dataclasses.replace(model, ratio=ratio)
    levels = np.array([0.0, 0.2, 0.2 + 1e-9, 0.6, 1.0])
    surrogate = Surrogate(SPACE, models, levels, {})
    shares = module.shares_non_positive(
        surrogate, evaluation.sample.matrix, list(evaluation.noisy), 50
    )
    assert shares[name] == pytest.approx(0.2, abs=0.015)
    assert shares["energy@cpu_amd_7502"] == 0.0


def test_at_least_as_many_draws_as_asked_for() -> None:
    assert module.repeats_drawn(1800, 26) * 1800 * 26 >= 1_000_000
    assert module.repeats_drawn(10, 1, 10) == 1
    assert module.repeats_drawn(10, 1, 11) == 2


def test_the_floor_stands_beside(made: tuple[Path, dict[str, Any], list[Evaluation]]) -> None:
    _, card, evaluations = made
    by_name = {part["split"]: part for part in card["sections"]}
    assert list(by_name) == [IN_SAMPLE, "random", "blocks"]
    for evaluation, part in zip(evaluations[1:], card["sections"][1:], strict=True):
        row = part["targets"]["latency@v100"]
        values = evaluation.noisy["latency@v100"].mean(axis=1)
        plain = Surrogate(SPACE, evaluation.floor, evaluation.surrogate.levels, {})
        predicted = predictor_of(plain, ["latency@v100"]).expected(evaluation.sample.matrix)[:, 0]
        assert row["mae_least_squares"] == pytest.approx(abs(predicted - values).mean(), rel=1e-5)
        ours = evaluation.expected(["latency@v100"])[:, 0]
        assert row["mae"] == pytest.approx(abs(ours - values).mean(), rel=1e-5)
        assert row["mae_ratio"] == pytest.approx(row["mae"] / row["mae_least_squares"], rel=1e-5)
    assert "mae_ratio" not in by_name[IN_SAMPLE]["summary"]
    assert "mae_ratio" not in by_name[IN_SAMPLE]["targets"]["latency@v100"]


def row(**changes: float) -> dict[str, float]:
    values = {"r2": 0.9, "crps_over_mean": 0.1, "miscalibration_area": 0.01, "kendall_tau": 0.8}
    return values | {"mae_ratio": 1.0, "rmse_ratio": 1.0} | changes


def test_a_summary_over_two_splits() -> None:
    first = {"latency@a": row(mae_ratio=0.5), "energy@a": row(r2=0.1, rmse_ratio=1.2)}
    second = {"latency@a": row(mae_ratio=2.0), "energy@a": row(r2=0.3, mae_ratio=0.64)}
    first["perplexity"], second["perplexity"] = {"kendall_tau": 0.9}, {"kendall_tau": 0.7}
    found = summary([first, second])
    assert found["targets"] == 2
    assert found["mean_r2"] == pytest.approx((0.9 + 0.2) / 2)
    assert (found["worst_target"], found["worst_r2"]) == ("energy@a", pytest.approx(0.2))
    assert found["mae_ratio"] == pytest.approx(np.sqrt(1.0 * 0.8))
    assert found["worst_rmse_ratio"] == pytest.approx(np.sqrt(1.2))
    assert found["both_lower"] == 0
    assert found["perplexity_kendall_tau"] == pytest.approx(0.8)


def test_scipy_is_asked_for_before_the_work(
    checkout: Checkout, data: Measurements, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str, *, extra: str) -> None:
        raise MissingExtraError(f"pip install 'hwgpt-blackbox[{extra}]' for {name}")

    monkeypatch.setattr(module, "require", absent)
    monkeypatch.setattr(module, "refit", lambda *args, **kwargs: pytest.fail("too late"))
    with pytest.raises(MissingExtraError, match=r"\[analysis\]"):
        judge(checkout, data, random_surrogate(SPACE))


# -- the card --------------------------------------------------------------------------------


def test_a_card_is_compact_strict_and_the_same_again(
    made: tuple[Path, dict[str, Any], list[Evaluation]], data: Measurements, checkout: Checkout
) -> None:
    _, card, evaluations = made
    text = to_json(card)
    assert len(text) < 60_000
    assert json.loads(text, parse_constant=pytest.fail) == card
    lines = [line for line in text.splitlines() if '"energy@rtx2080": ' in line]
    assert len(lines) == len(card["sections"])  # one line per target, for people and for diffs
    again = section(evaluations[1], measure(evaluations[1], draws=DRAWS), draws=DRAWS)
    assert again == card["sections"][1]
    assert card["sections"][0]["judged"] == len(data)
    assert card["space"] == "s"


def test_what_is_undefined_is_none(made: tuple[Path, dict[str, Any], list[Evaluation]]) -> None:
    evaluation = made[2][1]
    measures = measure(evaluation, draws=DRAWS)
    measures["energy@a40"]["r2"] = float("nan")
    part = section(evaluation, measures, draws=DRAWS)
    assert part["targets"]["energy@a40"]["r2"] is None
    assert part["summary"]["worst_target"] == "energy@a40"
    assert "energy@a40" in section_table(part)


def test_a_stored_card_is_read_again(
    artifact: Path, made: tuple[Path, dict[str, Any], list[Evaluation]]
) -> None:
    before = json.loads((artifact / "manifest.json").read_text())
    assert read_card(artifact) is None
    store_card(artifact, made[1])
    assert read_card(artifact) == made[1]
    after = json.loads((artifact / "manifest.json").read_text())
    assert after["files"].keys() - before["files"].keys() == {REPORT}
    after["files"].pop(REPORT)
    assert after == before
    assert read_surrogate(artifact).space.name == "s"
    assert [path.name for path in artifact.parent.iterdir()] == [artifact.name]
    store_card(artifact, made[1])  # replacing one


def test_storing_through_a_link_changes_what_it_points_to(
    artifact: Path, made: tuple[Path, dict[str, Any], list[Evaluation]], tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(artifact)
    store_card(link, made[1])
    assert link.is_symlink()
    assert read_card(artifact) == made[1]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_storing_changes_nothing(
    error: BaseException,
    artifact: Path,
    made: tuple[Path, dict[str, Any], list[Evaluation]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(folder: Path, manifest: Any) -> None:
        raise error

    monkeypatch.setattr("hwgpt_blackbox.convert.judging.cards.file.write_manifest", fail)
    before = {path.name: path.read_bytes() for path in artifact.iterdir()}
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        store_card(artifact, made[1])
    assert {path.name: path.read_bytes() for path in artifact.iterdir()} == before
    assert [path.name for path in artifact.parent.iterdir()] == [artifact.name]


def test_a_card_of_other_arrays_is_not_shown(
    artifact: Path, made: tuple[Path, dict[str, Any], list[Evaluation]]
) -> None:
    write_random_surrogate(other := artifact.parent / "other")
    add_card(other, made[1])
    with pytest.raises(DataError, match=r"report card of other models than .*--store"):
        read_card(other)


def hostile(change: Callable[[Any], Any]) -> Callable[[Any], str]:
    return lambda card: json.dumps(change(json.loads(json.dumps(card))))


def without(card: Any, key: str) -> Any:
    del card["sections"][1][key]
    return card


def with_part(card: Any, **changes: Any) -> Any:
    card["sections"][1] |= changes
    return card


@pytest.mark.parametrize(
    "write",
    [
        lambda card: "{",
        lambda card: "[" * 100_000,
        lambda card: "null",
        lambda card: " " * (2 << 20),
        hostile(lambda card: card | {"report_version": 99}),
        hostile(lambda card: card | {"sections": []}),
        hostile(lambda card: card | {"sections": 3}),
        hostile(lambda card: card | {"arrays": None}),
        hostile(lambda card: without(card, "targets")),
        hostile(lambda card: without(card, "summary")),
        hostile(lambda card: card | {"sections": [{"targets": {"x": {"mae": "1"}}}]}),
        hostile(lambda card: with_part(card, split="../../outside")),
        hostile(lambda card: with_part(card, targets={"\x1b[2Jlatency": {}})),
        hostile(lambda card: with_part(card, summary={"worst_target": "\x1b[2J"})),
        hostile(lambda card: with_part(card, targets={"flops": {"mae": 10**400}})),
        hostile(lambda card: with_part(card, targets={"flops": {"mae": float("inf")}})),
        hostile(lambda card: card | {"comparison": []}),
        hostile(lambda card: card | {"comparison": {"split": "random", "seed": 1, "rows": [{}]}}),
        hostile(lambda card: card | {"comparison": {"split": "/x", "seed": 1, "rows": []}}),
    ],
)
def test_a_card_that_is_none(
    write: Callable[[Any], str], artifact: Path, made: tuple[Path, dict[str, Any], list[Evaluation]]
) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text())
    (artifact / REPORT).write_text(write(made[1]))
    write_manifest(artifact, manifest)
    with pytest.raises(DataError, match=rf"{REPORT}.*--against SOURCE --store"):
        read_card(artifact)


def test_the_table_shows_every_target(made: tuple[Path, dict[str, Any], list[Evaluation]]) -> None:
    card = made[1]
    lines = section_table(card["sections"][1]).splitlines()
    assert lines[0].startswith("random split, seed 42: fitted on 96, judged on 24")
    body = {line.split()[0]: line.split() for line in lines[2:-2]}
    assert set(body) == set(card["sections"][1]["targets"])
    for name in NOISY:
        assert len(body[name]) == 16  # target, unit, 14 measures
    assert body["latency@a100"][1] == "ms"
    cells = list_row("hwgpt-s", card)
    assert len(cells) == len(LIST_HEADINGS)
    assert cells[:2] == ("hwgpt-s", "random/42")


def test_the_table_says_what_perplexity_rests_on(
    made: tuple[Path, dict[str, Any], list[Evaluation]],
) -> None:
    part = made[1]["sections"][1]
    assert "perplexity was" not in section_table(part)
    shown = section_table(part | {"perplexities_judged": 5, "perplexity": {"fitted_on": "the MLP"}})
    assert "perplexity was measured on 5 of 24 only" in shown
    assert "perplexity was fitted on the MLP" in shown


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_what_the_package_ships_has_a_card(space: str) -> None:
    folder = EMBEDDED / f"hwgpt-{space}"
    card = read_card(folder)  # which raises for a card of other arrays
    assert card is not None
    assert card["space"] == space
    assert (folder / REPORT).stat().st_size < 60_000
    inside, held, blocks = card["sections"]
    assert [part["split"] for part in (inside, held, blocks)] == [IN_SAMPLE, "random", "blocks"]
    assert set(NOISY) < set(held["targets"])
    for name in NOISY:
        assert held["targets"][name]["share_non_positive"] == 0.0
        assert held["targets"][name]["miscalibration_area"] < 0.02


# -- convert ---------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [False, True])
def test_convert_stores_the_card_if_asked(
    report: bool, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hwgpt_blackbox.convert.fitting.whole_space.fit_surrogate", quick_surrogate)
    (folder,) = convert(root, "s", tmp_path, tabular=False, progress=False, report=report)
    card = read_card(folder)
    assert (card is not None) == report
    if card is not None:
        assert [part["split"] for part in card["sections"]] == [IN_SAMPLE, "random", "blocks"]


def test_a_report_needs_the_surrogate(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="report"):
        convert(root, "s", tmp_path, surrogate=False, report=True)


def test_a_card_of_an_artifact_that_was_replaced_meanwhile_is_not_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The old artifact with its card would have taken the place of the new one.
    folder = tmp_path / "hwgpt-s"
    write_random_surrogate(folder)

    def replace(built: Path, card: Any) -> None:
        shutil.rmtree(folder)
        write_random_surrogate(folder, seed=1)

    monkeypatch.setattr(card_store, "add_card", replace)
    with pytest.raises(OutputError, match="was replaced by another process; judge it again"):
        store_card(folder, {})
    assert check_artifact(folder)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
