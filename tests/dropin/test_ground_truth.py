"""Ground truth: what the table says equals what the source says."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import rewrite_manifest
from synthetic_checkout import STATS, Source, make_source

from hwgpt_blackbox import HWGPT
from hwgpt_blackbox.convert.conversion import read_measurements
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.write_table import write_table
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.measured_table import SIDE

FILLED = 30.0


def write(data: Measurements, folder: Path) -> Path:
    folder.mkdir(parents=True)
    known = np.isfinite(data.perplexity)
    write_table(
        data, folder, perplexity=np.where(known, data.perplexity, FILLED), perplexity_source={}
    )
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Measurements]:
    """A small source of space m, where half of the perplexities are missing, and what it holds."""
    root = tmp_path_factory.mktemp("source")
    source = make_source("m", n=40, missing=0.5)
    return source, read_measurements(Checkout(source.write(root), source.space))


@pytest.fixture
def source(made: tuple[Source, Measurements], artifacts: Path) -> Source:
    """That source, its table on this machine."""
    write(made[1], artifacts / artifact_name("m", tabular=True))
    return made[0]


def stripped(value: Any, factor: float) -> Any:
    return [factor * v for v in value] if isinstance(value, list) else factor * value


def check_all(stats: dict[str, dict[str, Any]], space: str, devices: list[str]) -> None:
    """Every ground-truth query of both unit systems against the source."""
    ours, theirs = HWGPT(space), HWGPT(space, unit_system="published")
    for metric in ("perplexity", "flops", "params", "float16_memory", "bfloat16_memory"):
        expected = {k: v[metric] for k, v in stats.items() if metric in v}
        for api in (ours, theirs):
            found = api.query_gt_all_archs(metric)
            assert found == expected
            assert list(found) == list(expected)
    for device in devices:
        latencies = {k: v[device]["latencies"] for k, v in stats.items()}
        energies = {k: v[device]["energies"] for k, v in stats.items()}
        for api in (ours, theirs):
            found = api.query_gt_all_archs("latencies", device)
            assert list(found) == list(latencies)
            assert {k: pytest.approx(v, rel=1e-12) for k, v in latencies.items()} == found
        in_wh = ours.query_gt_all_archs("energies", device)
        factor = 1.0 if device.startswith("cpu") else 1000.0
        as_published = theirs.query_gt_all_archs("energies", device)
        for name, value in energies.items():
            assert type(in_wh[name]) is type(as_published[name]) is type(value)
            assert as_published[name] == pytest.approx(value, rel=1e-12)
            assert in_wh[name] == pytest.approx(stripped(value, factor), rel=1e-12)


def test_every_query_answers_what_the_source_says(source: Source):
    check_all(source.stats, "m", ["rtx2080", "cpu_xeon_gold", "cpu_amd_7513"])


def test_the_published_dict_is_read_as_the_source_is(source: Source):
    stats = HWGPT("m", unit_system="published").gt_stats
    assert list(stats) == list(source.stats)
    assert len(stats) == len(source.stats)
    for name, entry in list(source.stats.items())[:5]:
        found = stats[name]
        assert set(found) == set(entry)
        for key, value in entry.items():
            if isinstance(value, dict):
                assert found[key] == {k: pytest.approx(v, rel=1e-12) for k, v in value.items()}
            else:
                assert found[key] == value
    assert "gpt-m-nonsense" not in stats
    assert stats.get("gpt-m-nonsense") is None
    with pytest.raises(KeyError, match="is no architecture of space m"):
        stats["gpt-m-nonsense"]


def test_queries_of_one_architecture(source: Source):
    api = HWGPT("m")
    name, entry = list(source.stats.items())[-1]
    assert api.get_gt_latencies("h100", name) == pytest.approx(entry["h100"]["latencies"])
    assert len(api.get_gt_energies("h100", name)) == 50
    assert type(api.get_gt_energies("cpu_amd_7502", name)) is float
    assert api.get_gt_agnostic(name, "flops") == entry["flops"]
    assert api.get_gt_agnostic(name, "perplexity") == entry["perplexity"]
    flipped = {"True": "False", "False": "True"}
    stem, _, bias = name.rpartition("-")
    with pytest.raises(InputError, match=r"is not among the \d+ measured architectures; query"):
        api.get_gt_agnostic(f"{stem}-{flipped[bias]}", "flops")
    with pytest.raises(InputError, match="is no architecture of space m"):
        api.get_gt_latencies("h100", "gpt-m-nonsense")
    with pytest.raises(InputError, match="unknown device 'all'"):
        api.get_gt_energies("all", name)


def test_filled_perplexities_are_no_ground_truth(source: Source):
    api = HWGPT("m", seed=0)
    missing = [name for name, entry in source.stats.items() if "perplexity" not in entry]
    assert missing
    assert FILLED not in api.query_gt_all_archs("perplexity").values()
    with pytest.raises(
        InputError, match=r"was not measured; query\(metric='perplexity'\) predicts"
    ):
        api.get_gt_agnostic(missing[0], "perplexity")
    api.set_arch(missing[0])
    with pytest.raises(InputError, match=r"not measured on the supernet.*checkpoint, torch"):
        api.query(metric="perplexity", predictor="supernet")


def test_the_supernet_answers_where_it_was_measured(source: Source):
    measured = {k: v["perplexity"] for k, v in source.stats.items() if "perplexity" in v}
    names = list(measured)
    api = HWGPT("m", True, seed=0)
    api.set_arch(names[0])
    alone = {"accuracy": 0.4, "perplexity": measured[names[0]]}
    assert api.query(metric="perplexity", predictor="supernet") == alone
    assert api.query(metric="perplexity")["perplexity"] != measured[names[0]]
    assert api.query(metric="params").items() >= alone.items()
    assert api.query()["perplexity"] == measured[names[0]]
    api.set_arch(names)
    found = api.query(metric="perplexity", predictor="supernet")
    assert found["perplexity"].tolist() == list(measured.values())
    outside = HWGPT("m", seed=1).sample_arch()
    api.set_arch([names[0], outside])
    with pytest.raises(InputError, match="predictor='mlp' predicts it"):
        api.query(metric="perplexity", predictor="supernet")


def test_what_was_not_measured_is_evaluated_where_a_supernet_was_given(source: Source):
    measured = {k: v["perplexity"] for k, v in source.stats.items() if "perplexity" in v}
    missing = [name for name, entry in source.stats.items() if "perplexity" not in entry]
    api = HWGPT("m", seed=0, supernet="net.ckpt", text="text.txt")
    outside, first = HWGPT("m", seed=1).sample_arch(), next(iter(measured))
    asked: list[dict[str, Any]] = []

    def live(configuration: dict[str, Any]) -> tuple[float, float]:
        asked.append(configuration)
        return 20.0 + len(asked), 0.75

    api.__dict__["_live"] = live  # no test has the 355 million parameters of space m
    api.set_arch([outside, first, missing[0]])
    found = api.query(metric="perplexity", predictor="supernet")
    assert found["perplexity"].tolist() == [21.0, measured[first], 22.0]
    assert found["accuracy"].tolist() == [0.25, 0.4, 0.25]
    assert [c["num_layers"] for c in asked] == [
        outside["sample_n_layer"],
        int(missing[0].split("-")[2]),
    ]


def test_broken_side_files_are_errors(source: Source, artifacts: Path):
    folder = artifacts / artifact_name("m", tabular=True)
    n = len(source.stats)
    sound = {"perplexity_filled": np.zeros(n, dtype=bool), "accuracy": np.full(n, np.nan)}
    for broken in (
        {"accuracy": sound["accuracy"]},
        {**sound, "accuracy": np.zeros(n + 1)},
        {**sound, "perplexity_filled": np.zeros(n)},
        {**sound, "more": np.zeros(3 << 20)},
    ):
        np.savez_compressed(folder / SIDE, **broken)
        rewrite_manifest(folder)
        with pytest.raises(DataError, match=rf"{SIDE} is no sound part of a table"):
            HWGPT("m").query_gt_all_archs("perplexity")
    (folder / SIDE).write_bytes(b"PK")
    with pytest.raises(DataError, match="not the file of its manifest"):
        HWGPT("m").query_gt_all_archs("perplexity")
    rewrite_manifest(folder)
    with pytest.raises(DataError, match="is no sound part of a table"):
        HWGPT("m").query_gt_all_archs("perplexity")
    (folder / SIDE).unlink()
    rewrite_manifest(folder)
    with pytest.raises(DataError, match=f"{SIDE} is missing"):
        HWGPT("m").query_gt_all_archs("perplexity")


def test_hostile_counts_of_repeats_are_not_believed(source: Source, artifacts: Path):
    folder = artifacts / artifact_name("m", tabular=True)
    rewrite_manifest(folder, counts={"energy_repeats": {"h100": -3}, "latency_repeats": 7})
    api = HWGPT("m")
    name = next(iter(source.stats))
    assert len(api.get_gt_energies("h100", name)) == 50
    assert len(api.get_gt_latencies("h100", name)) == 10


def test_a_table_of_another_space_is_refused(made: tuple[Source, Measurements], artifacts: Path):
    write(made[1], artifacts / artifact_name("s", tabular=True))
    with pytest.raises(DataError, match="holds the space 'm', its name says 's'"):
        HWGPT("s").query_gt_all_archs("params")


@pytest.mark.slow
def test_the_published_measurements_come_back(source_data: Path, artifacts: Path):
    checkout = Checkout(source_data, HWGPT("s")._encoding.space)
    write(read_measurements(checkout), artifacts / artifact_name("s", tabular=True))
    with (source_data / STATS.format("s")).open("rb") as file:
        stats = pickle.load(file)
    check_all(stats, "s", ["rtx2080", "cpu_xeon_silver", "cpu_amd_7513"])
