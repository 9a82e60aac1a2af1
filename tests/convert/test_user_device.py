from __future__ import annotations

import gzip
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from device_tables import ENCODING, SPACE, architectures, frame, true_latency, write
from helpers import rewrite_manifest
from synthetic_checkout import device_entry, energy_row, latency_row, sample_of

import hwgpt_blackbox
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert.fitting.expected_value import (
    Regression,
    fewest_architectures,
    make_folds,
)
from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.judging.cards.file import read_card
from hwgpt_blackbox.convert.judging.holdouts import Split
from hwgpt_blackbox.convert.judging.judge_artifact import CardOptions, judge_artifact
from hwgpt_blackbox.convert.source import user_table as device_table
from hwgpt_blackbox.convert.source.profiler_output import PROFILER_UNITS
from hwgpt_blackbox.convert.source.user_measurements import read_device
from hwgpt_blackbox.convert.user_device import convert_device
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import EMBED_DIM
from hwgpt_blackbox.domain.objectives import UNITS, dataset_columns
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, HWGPTError, InputError
from hwgpt_blackbox.storage.artifact_check import check_artifact
from hwgpt_blackbox.storage.surrogates import own_devices
from hwgpt_blackbox.storage.user_devices import Workload, check_name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the device ``mygpu`` of 120 architectures; do not write to it."""
    folder = tmp_path_factory.mktemp("home")
    source = write(frame(architectures(120)), folder / "my.csv")
    convert_device(source, "s", "mygpu", folder, progress=False)
    return folder


@pytest.fixture
def with_mygpu(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(home))
    return home


# -- the blackbox ----------------------------------------------------------------------------


def test_predictions_are_the_devices_own(with_mygpu: Path) -> None:
    box = hwgpt_blackbox.load("s", "mygpu")
    unseen = architectures(300, seed=7)
    values = dict(zip(box.objectives_names, box.expected_values(unseen).T, strict=True))
    np.testing.assert_allclose(values["metric_latency"], true_latency(unseen), rtol=0.03)
    np.testing.assert_allclose(values["metric_energy"], 0.1 * true_latency(unseen), rtol=0.03)
    seconds = box.cost_model.seconds(values["metric_latency"])
    np.testing.assert_allclose(values["metric_elapsed_time"], seconds)
    draws = np.stack([box.measurements(unseen, seed=k)[:, 1] for k in range(50)])
    spread = (draws / values["metric_latency"]).std()
    assert 0.01 < spread < 0.04  # as measured: 0.02


def test_what_does_not_depend_on_the_device_is_as_elsewhere(with_mygpu: Path) -> None:
    unseen = architectures(20, seed=8)
    mine, other = (hwgpt_blackbox.load("s", d) for d in ("mygpu", "a100"))
    assert mine.objectives_names == other.objectives_names
    for j, column in enumerate(dataset_columns("a100").values()):
        if column.device is None:
            same = mine.expected_values(unseen)[:, j] == other.expected_values(unseen)[:, j]
            assert same.all()


def test_it_stands_beside_the_thirteen_in_syne_tune(with_mygpu: Path) -> None:
    from syne_tune.blackbox_repository import BlackboxRepositoryBackend, load_blackbox

    boxes = load_blackbox("hwgpt-s")
    assert list(boxes) == [*DEVICES, "mygpu", "all"]
    assert "mygpu" in load_blackbox("hwgpt-s-repeats")
    assert "mygpu" not in load_blackbox("hwgpt-m")
    assert "mygpu" not in DEVICES
    backend = BlackboxRepositoryBackend("hwgpt-s", "metric_elapsed_time", dataset="mygpu", seed=0)
    assert backend.blackbox.dataset == "mygpu"


def test_all_has_its_columns_at_the_end_and_the_others_unchanged(
    with_mygpu: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    matrix = architectures(10, seed=9)
    box, mine = hwgpt_blackbox.load("s", "all"), hwgpt_blackbox.load("s", "mygpu")
    contract = list(dataset_columns("all"))
    own = ["metric_latency_mygpu", "metric_energy_mygpu", "metric_elapsed_time_mygpu"]
    assert box.objectives_names == contract + own
    found, single = (b.measurements(matrix, seed=2) for b in (box, mine))
    for name in own:
        column = mine.objectives_names.index(name.removesuffix("_mygpu"))
        assert (found[:, box.objectives_names.index(name)] == single[:, column]).all()
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path))
    plain = hwgpt_blackbox.load("s", "all").measurements(matrix, seed=2)
    np.testing.assert_array_equal(found[:, : len(contract)], plain)


def test_single_and_batched_queries_agree(with_mygpu: Path) -> None:
    box = hwgpt_blackbox.load("s", "mygpu")
    matrix = architectures(12, seed=3)
    one = [box(config, seed=5)[0] for config in ENCODING.decode(matrix)]
    np.testing.assert_array_equal(one, box.measurements(matrix, seed=5))


def test_list_query_run_and_fronts_know_it(
    with_mygpu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    assert "own device: mygpu in hwgpt-s" in capsys.readouterr().out
    assert main(["list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["own_devices"][0]["name"] == "mygpu"
    words = ["num_layers=12", "embed_dim=768", "bias=true", "mlp_ratio=4", "num_heads=12"]
    assert main(["query", "--space", "s", "--device", "mygpu", "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["expected"]["metric_latency"] == pytest.approx(
        3 * 12 * 2.6, rel=0.03
    )
    front = hwgpt_blackbox.reference_front("s", ("perplexity", "latency@mygpu"))
    assert len(front.configurations) > 10
    run = ["run", "--space", "s", "--objectives", "latency@mygpu", "energy@a100", "--trials", "8"]
    assert main([*run, "--out", str(tmp_path / "results")]) == 0
    assert main([*run, "--out", str(tmp_path / "results")]) == 0  # reads what it wrote
    assert "1 of 1 runs were complete already" in capsys.readouterr().out


def test_unknown_devices_are_still_unknown(with_mygpu: Path) -> None:
    for device in ("yourgpu", "MYGPU", "mygpu2"):
        with pytest.raises(InputError, match="mygpu"):  # among the known
            hwgpt_blackbox.load("s", device)
    with pytest.raises(InputError, match="unknown device 'mygpu'"):
        hwgpt_blackbox.load("m", "mygpu")


def test_its_report_card(with_mygpu: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = with_mygpu / "hwgpt-s-device-mygpu"
    card = read_card(folder)
    assert card is not None
    assert [(part["split"], part["fitted"], part["judged"]) for part in card["sections"]] == [
        ("in sample", 120, 120),
        ("random", 96, 24),
        ("blocks", 96, 24),
    ]
    for part in card["sections"]:
        assert set(part["targets"]) == {"latency@mygpu", "energy@mygpu"}
        assert part["targets"]["latency@mygpu"]["share_non_positive"] == 0.0
    assert card["sections"][1]["targets"]["latency@mygpu"]["mae_ratio"] < 1.5
    assert main(["list", "--report"]) == 0
    assert "hwgpt-s-device-mygpu  random/42" in capsys.readouterr().out
    assert main(["verify", "hwgpt-s-device-mygpu"]) == 0
    shown = capsys.readouterr().out
    assert "a sound device artifact of space s" in shown
    assert "random split, seed 42: fitted on 96, judged on 24 held out" in shown


def test_verify_against_its_measurements(
    with_mygpu: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["verify", "hwgpt-s-device-mygpu", "--json", "--quiet", "--against"]
    assert main([*words, str(with_mygpu / "my.csv")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["made_from_this_source"] is True
    assert answer["report"] == read_card(with_mygpu / "hwgpt-s-device-mygpu")
    other = write(frame(architectures(120, seed=1), seed=1), tmp_path / "other.csv")
    out = tmp_path / "figures"
    assert main([*words, str(other), "--split", "random", "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["made_from_this_source"] is False
    kinds = ("latency", "energy")
    assert {path.stem for path in out.glob("*.svg")} == {
        "in-sample-coverage",
        "random-42-coverage",
        *(f"distribution-{kind}" for kind in kinds),
        *(f"random-42-predicted-{kind}" for kind in kinds),
        *(f"random-42-calibration-{kind}" for kind in kinds),
    }
    lone = write(frame(architectures(120), energy=False), tmp_path / "lone.csv")
    for source, says in (
        (lone, "has latency, "),
        (tmp_path / "absent.csv", "absent.csv"),
        (tmp_path, "no rows in files"),
    ):
        assert main([*words, str(source)]) == 2
        assert says in capsys.readouterr().err


def test_verify_reads_a_table_in_its_own_units(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame(architectures(60), energy=False)
    latencies = [name for name in table if name.startswith("latency")]
    table[latencies] /= 1000.0
    source = write(table, tmp_path / "my.csv")
    folder = convert_device(source, "s", "mygpu", latency_unit="s", progress=False)
    words = ["verify", str(folder), "--against", str(source), "--split", "none", "--json"]
    assert main([*words, "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)["report"]["sections"][0]["targets"]
    assert found["latency@mygpu"]["mean"] > 10.0  # ms


def test_the_fewest_architectures_suffice_for_the_hold_outs(
    artifacts: Path, tmp_path: Path
) -> None:
    matrix = ENCODING.sample(
        fewest_architectures(ENCODING.space), np.random.default_rng(1), stratified=True
    )
    source = write(frame(matrix, repeats=2), tmp_path / "my.csv")
    folder = convert_device(source, "s", "mygpu", progress=False)
    card = read_card(folder)
    assert card is not None
    assert [(part["split"], part["fitted"], part["judged"]) for part in card["sections"]] == [
        ("in sample", 48, 48),
        ("random", 36, 12),
        ("blocks", 36, 12),
    ]
    with pytest.raises(DataError, match="blocks/4 holds none of 48 architectures out"):
        judge_artifact(check_artifact(folder), str(source), CardOptions([Split("blocks", 4)]))


def test_hold_outs_take_as_many_of_every_cell() -> None:
    cell = np.random.default_rng(0).integers(0, 6, size=97)
    sizes = np.bincount(cell)
    for split in (Split("random", 42), Split("random", 7), Split("blocks", 0)):
        train, test = split.rows(97, cell)
        assert sorted([*train, *test]) == list(range(97))
        held = np.bincount(cell[test], minlength=6)
        assert (np.abs(held - 0.2 * sizes) < 1.7).all()


def test_folds_leave_some_of_every_cell(tmp_path: Path) -> None:
    matrix = ENCODING.sample(36, np.random.default_rng(0), stratified=True)
    regression = Regression(Architectures(SPACE, matrix), np.arange(36))
    for fold in make_folds(regression, by_cell=True):
        assert len(fold.own) == 9
        assert np.bincount(fold.rest.cell, minlength=6).min() >= 4


def test_without_energy_there_is_no_energy(artifacts: Path, tmp_path: Path) -> None:
    source = write(frame(architectures(60), energy=False), tmp_path / "my.csv")
    convert_device(source, "s", "mygpu", progress=False)
    box = hwgpt_blackbox.load("s", "mygpu")
    assert "metric_energy" not in box.objectives_names
    assert "metric_elapsed_time" in box.objectives_names
    assert "metric_energy_mygpu" not in hwgpt_blackbox.load("s", "all").objectives_names
    with pytest.raises(InputError, match="energy was not measured on mygpu"):
        hwgpt_blackbox.reference_front("s", ("perplexity", "energy@mygpu"))


def test_a_damaged_device_leaves_the_thirteen_usable(
    artifacts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write(frame(architectures(60)), tmp_path / "my.csv")
    folder = convert_device(source, "s", "mygpu", progress=False)
    arrays = folder / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:-5])
    with caplog.at_level(logging.WARNING):
        assert hwgpt_blackbox.load("s", "a100").dataset == "a100"
    assert "is left out" in caplog.text
    rewrite_manifest(folder, device="other")
    assert own_devices("s") == {}
    rewrite_manifest(folder, device="a100", metrics="latency")
    assert own_devices("s") == {}


# -- tables ----------------------------------------------------------------------------------


def test_the_command_says_how_to_load(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(frame(architectures(60)), tmp_path / "my.csv")
    command = ["convert", str(source), "--space", "s", "--device", "mygpu", "--quiet"]
    assert main(command) == 0
    assert 'load_blackbox("hwgpt-s")["mygpu"]' in capsys.readouterr().out
    manifest = json.loads((artifacts / "hwgpt-s-device-mygpu" / "manifest.json").read_text())
    assert manifest["fit"]["latency@mygpu"]["cross_validated"]["r2"] > 0.9
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_forms_of_one_table_give_the_same(tmp_path: Path) -> None:
    table = frame(architectures(60), repeats=3)
    wide = read_device(write(table, tmp_path / "wide.csv"), SPACE)
    table.to_parquet(tmp_path / "wide.parquet", engine="fastparquet")
    values = [f"{m}_{k}" for k in range(3) for m in ("latency", "energy")]
    rows = [
        table.drop(columns=values).assign(
            latency=table[f"latency_{k}"], energy=table[f"energy_{k}"]
        )
        for k in range(3)
    ]
    write(pd.concat(rows), tmp_path / "long.csv")
    empty = table.astype(object)
    for i, layers in enumerate(table["num_layers"]):
        for name in table.columns:
            kind, _, number = name.rpartition("_")
            if kind in ("mlp_ratio", "num_heads") and int(number) >= layers:
                empty.loc[i, name] = None  # layers that do not exist
    write(empty, tmp_path / "empty.csv")
    units = table.copy()
    units[[f"latency_{k}" for k in range(3)]] /= 1000.0
    units[[f"energy_{k}" for k in range(3)]] *= 3600.0
    write(units, tmp_path / "units.csv")
    options = {"units.csv": {"latency_unit": "s", "energy_unit": "J"}}
    for name in ("wide.parquet", "long.csv", "empty.csv", "units.csv"):
        other = read_device(tmp_path / name, SPACE, **options.get(name, {}))
        np.testing.assert_array_equal(other.matrix, wide.matrix)
        for metric, measured in wide.values.items():
            np.testing.assert_allclose(other.values[metric], measured, rtol=1e-12)


def _set(column: str, row: int, value: Any) -> Any:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


BAD_TABLES = {
    "a hyperparameter is missing": (lambda t: t.drop(columns="mlp_ratio_3"), "mlp_ratio_3"),
    "another space": (lambda t: t.assign(embed_dim=256), "choose one of 192, 384, 768"),
    "no latency": (lambda t: t.drop(columns=["latency_0", "latency_1"]), "no column latency"),
    "a typing error": (lambda t: t.rename(columns={"energy_0": "enrgy_0"}), "'enrgy_0'"),
    "text for a number": (_set("latency_1", 4, "fast"), "row 5 of the data: latency_1 is 'fast'"),
    "an empty cell": (_set("energy_1", 4, None), "row 5 of the data: energy_1 is nan"),
    "infinite": (_set("latency_1", 4, "inf"), "expected a number"),
    "zero": (_set("latency_1", 4, 0.0), "positive"),
    "negative": (_set("energy_0", 4, -1.0), "positive"),
    "an active layer is empty": (_set("num_heads_0", 4, None), "row 5 of the data: num_heads_0"),
    "bias is no truth value": (_set("bias", 4, "maybe"), "row 5 of the data: bias is 'maybe'"),
    "uneven repeats": (
        lambda t: pd.concat([t, t, t[1:]]),
        "has 2 repeats, most architectures have 3",
    ),
    "truth values": (lambda t: t.assign(latency_1=True), "latency_1 is True; expected a number"),
    "too small": (_set("latency_1", 4, 1e-320), "positive"),
    "one value throughout": (
        lambda t: t.assign(latency_0=5.0, latency_1=5.0),
        "latency is 5 throughout",
    ),
    "one column in seconds": (
        lambda t: t.assign(latency_1=t["latency_1"] / 1000.0),
        "is the unit of some columns or rows another?",
    ),
    "one row in seconds": (_set("latency_0", 4, 0.01), "is the unit of some rows another?"),
    "no rows": (lambda t: t[:0], "no rows"),
    "too few": (
        lambda t: t[:30],
        f"only 30 architectures; a fit needs {fewest_architectures(ENCODING.space)}",
    ),
    "a group is missing": (lambda t: t[~((t.embed_dim == 384) & t.bias)], "embed_dim 384"),
}


@pytest.mark.parametrize(("change", "says"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_tables_are_refused_and_leave_nothing(change: Any, says: str, tmp_path: Path) -> None:
    table = frame(architectures(60), repeats=2)
    if says.startswith(("has 2", "is the unit of some rows")):
        table = table.drop(columns=["latency_1", "energy_1"])
    source, out = write(change(table), tmp_path / "my.csv"), tmp_path / "out"
    with pytest.raises(DataError) as error:
        convert_device(source, "s", "mygpu", out, progress=False)
    assert says in str(error.value)
    assert not out.exists()


@pytest.mark.parametrize(
    "name",
    ["../x", "", "a/b", ".hidden", "all", "ALL", "a100", "A100", "p100", "x" * 41, "a@b", "a+b"],
)
def test_hostile_and_taken_names(name: str, tmp_path: Path) -> None:
    source = write(frame(architectures(60), repeats=1), tmp_path / "my.csv")
    with pytest.raises(InputError, match="device"):
        convert_device(source, "s", name, tmp_path / "out", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.csv"]


@pytest.mark.parametrize(("metric", "unit"), [(m, u) for m, units in UNITS.items() for u in units])
def test_a_unit_that_is_known_of_the_profiler_is_known_of_a_table(
    metric: str, unit: str, tmp_path: Path
) -> None:
    table = frame(architectures(12), repeats=1)
    expected = table[f"{metric}_0"].to_numpy().copy()
    table[f"{metric}_0"] /= UNITS[metric][unit]
    source, options = write(table, tmp_path / "my.csv"), {f"{metric}_unit": unit}
    data = read_device(source, SPACES["s"], confirm_units=True, **options)
    np.testing.assert_allclose(data.values[metric][:, 0], expected, rtol=1e-12)
    assert set(PROFILER_UNITS[metric]) <= set(UNITS[metric])


def test_sound_names() -> None:
    for name in ("mygpu", "RTX-5090_ti", "4090"):
        assert check_name(name) == name


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"latency_unit": "h"}, "unit of latency is 'h'; choose one of ms, s, us"),
        ({"energy_unit": "kW"}, "unit of energy is 'kW'"),
        ({"source": "missing.csv"}, "there is no file or folder .*missing.csv"),
        ({"source": "my.xlsx"}, "expected a file that ends in .csv or .parquet"),
    ],
)
def test_bad_sources_and_units(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    write(frame(architectures(60), repeats=1), tmp_path / "my.csv")
    (tmp_path / "my.xlsx").write_bytes(b"PK")
    source = tmp_path / options.pop("source", "my.csv")
    with pytest.raises(InputError, match=says):
        read_device(source, SPACE, **options)


def text_of(table: pd.DataFrame) -> str:
    return table.to_csv(index=False)


BAD_FILES: dict[str, tuple[Callable[[str], str | bytes], str]] = {
    "no heading and no rows": (lambda text: "", "cannot be read as a table"),
    "a heading alone": (lambda text: text.splitlines()[0], "has no rows"),
    "semicolons": (lambda text: text.replace(",", ";"), "separate columns with commas"),
    "tabs": (lambda text: text.replace(",", "\t"), "separate columns with commas"),
    "UTF-16": (lambda text: text.encode("utf-16"), "CSV in UTF-8"),
    "Latin-1": (lambda text: text.replace("True", "Trüe", 1).encode("latin-1"), "CSV in UTF-8"),
    "a page": (lambda text: "<html>\n<body>404</body>\n</html>\n", "one column, '<html>'"),
    "a long row": (lambda text: text + "1," * 60, "the same number of cells in every row"),
    "a short row": (lambda text: text + "12,768\n", "row 61 of the data has 2 of"),
    "a decimal comma": (
        lambda text: text.replace("latency_0", '"latency_0"').replace("\n12,", '\n"12,0",', 1),
        "num_layers is '12,0'; choose one of 10, 11, 12",
    ),
    "a column twice": (
        lambda text: text.replace("latency_1", "latency_0"),
        "column 'latency_0' twice",
    ),
    "a hyperparameter twice": (
        lambda text: text.replace("mlp_ratio_1,", "mlp_ratio_0,"),
        "column 'mlp_ratio_0' twice",
    ),
    "row numbers": (
        lambda text: "".join(f"{i},{line}\n" for i, line in enumerate(text.splitlines())),
        "has the column '0', which is no hyperparameter",
    ),
    "packed": (lambda text: gzip.compress(text.encode()), "cannot be read as a table"),
}


@pytest.mark.parametrize(("change", "says"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused(
    change: Callable[[str], str | bytes], says: str, tmp_path: Path
) -> None:
    content = change(text_of(frame(architectures(60), repeats=2)))
    data = content.encode() if isinstance(content, str) else content
    (tmp_path / "my.csv").write_bytes(data)
    with pytest.raises(DataError) as error:
        read_device(tmp_path / "my.csv", SPACE)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),  # as spreadsheets write it
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(",", ", ").encode(),
        lambda text: text.replace("True", "1").replace("False", "0").encode(),
        lambda text: text.replace("True", "TRUE").encode(),
    ],
)
def test_harmless_peculiarities_are_read(change: Callable[[str], bytes], tmp_path: Path) -> None:
    text = text_of(frame(architectures(60), repeats=2))
    (tmp_path / "plain.csv").write_text(text)
    (tmp_path / "my.csv").write_bytes(change(text))
    plain, other = (read_device(tmp_path / name, SPACE) for name in ("plain.csv", "my.csv"))
    np.testing.assert_array_equal(other.matrix, plain.matrix)
    np.testing.assert_array_equal(other.values["latency"], plain.values["latency"])


def test_a_file_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_table, "MAX_TABLE_BYTES", 100)
    path = write(frame(architectures(60)), tmp_path / "my.csv")
    with pytest.raises(DataError, match="more than 100: is it the right file"):
        read_device(path, SPACE)


@pytest.mark.parametrize(
    ("column", "factor", "unit", "says"),
    [
        ("latency_0", 1e-3, {"latency_unit": "s"}, r"median latency is 0\.0\d+ ms; expected .* ms"),
        ("latency_0", 1e3, {"latency_unit": "us"}, r"median latency is \d.* ms; expected .* ms"),
        (
            "energy_0",
            1e3,
            {"energy_unit": "mWh"},
            r"median energy is \d.* Wh in .*; expected .* Wh",
        ),
        ("energy_0", 1e-6, {}, r"median energy is \d.* Wh in .*--energy-unit"),
    ],
)
def test_an_implausible_unit_is_refused_unless_confirmed(
    column: str, factor: float, unit: dict[str, str], says: str, tmp_path: Path
) -> None:
    table = frame(architectures(60), repeats=1)
    plain = read_device(write(table, tmp_path / "plain.csv"), SPACE)
    table[column] *= factor
    source = write(table, tmp_path / "my.csv")
    with pytest.raises(DataError, match=f"{says}.*--confirm-units"):
        read_device(source, SPACE)
    kept = read_device(source, SPACE, confirm_units=True)
    metric = column.partition("_")[0]
    np.testing.assert_allclose(kept.values[metric], factor * plain.values[metric])
    if unit:
        right = read_device(source, SPACE, **unit)  # type: ignore[arg-type]
        np.testing.assert_allclose(right.values[metric], plain.values[metric])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_every_measured_device_is_plausible_and_slips_are_not(
    space: str, device: str, tmp_path: Path
) -> None:
    """All slips of GPUs' latencies but those of the fastest, to larger values, are seen."""
    box = hwgpt_blackbox.load(space, device)
    matrix = box.encoding.sample(60, np.random.default_rng(0))
    found = dict(zip(box.objectives_names, box.expected_values(matrix).T, strict=True))
    table = pd.DataFrame(box.encoding.decode(matrix))
    table["latency"], table["energy"] = found["metric_latency"], found["metric_energy"]
    read_device(write(table, tmp_path / "my.csv"), SPACES[space])
    gpu = DEVICES[device].energy_to_wh != 1.0
    too_small = table.assign(latency=table["latency"] / 1e3)
    too_large = table.assign(latency=table["latency"] * 1e3)
    for wrong in ([too_small] if gpu else []) + ([] if device == "h100" else [too_large]):
        with pytest.raises(DataError, match="--confirm-units"):
            read_device(write(wrong, tmp_path / "my.csv"), SPACES[space])
    with pytest.raises(DataError, match="--confirm-units"):
        wrong = table.assign(energy=table["energy"] * 1e3)
        read_device(write(wrong, tmp_path / "my.csv"), SPACES[space])


def test_what_was_confirmed_needs_no_word_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame(architectures(60), repeats=2, energy=False)
    table[["latency_0", "latency_1"]] *= 1e4
    source, out = write(table, tmp_path / "my.csv"), tmp_path / "my artifacts"
    command = ["convert", str(source), "--space", "s", "--device", "slow", "--quiet"]
    command += ["--out", str(out)]
    assert main(command) == 2
    assert "--confirm-units" in capsys.readouterr().err
    assert main([*command, "--confirm-units"]) == 0
    assert f"export HWGPT_BLACKBOX_HOME='{out}'" in capsys.readouterr().out  # fit to be pasted
    verify = ["verify", str(out / "hwgpt-s-device-slow"), "--against", str(source)]
    assert main([*verify, "--split", "none", "--quiet"]) == 0


def test_the_workload_of_a_device_is_kept_and_shown(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = frame(architectures(60), repeats=2, energy=False)
    table[["latency_0", "latency_1"]] /= 50.0  # implausible for 8 x 1,024 tokens
    source = write(table, tmp_path / "my.csv")
    command = ["convert", str(source), "--space", "s", "--device", "mygpu", "--quiet"]
    assert main(command) == 2
    capsys.readouterr()
    assert main([*command, "--batch", "1", "--length", "256"]) == 0
    assert own_devices("s")["mygpu"].workload == Workload(1, 256)
    capsys.readouterr()
    assert main(["list"]) == 0
    assert "measured on 1 x 256 tokens" in capsys.readouterr().out
    note = "mygpu was measured on 1 x 256 tokens; FLOPs and memory are of 8 x 1,024 tokens"
    words = ["num_layers=12", "embed_dim=768", "bias=true", "mlp_ratio=4", "num_heads=12"]
    for device in ("mygpu", "all", "a100"):
        assert main(["query", "--space", "s", "--device", device, *words]) == 0
        assert (note in capsys.readouterr().out) == (device != "a100")
    assert main(["query", "--space", "s", "--device", "mygpu", "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["notes"] == [note]
    assert main(["query", "--space", "s", "--device", "mygpu", "--best"]) == 0
    assert note in capsys.readouterr().out
    assert main(["verify", "hwgpt-s-device-mygpu"]) == 0
    assert "measured on batch_size 1, sequence_length 256" in capsys.readouterr().out
    rewrite_manifest(artifacts / "hwgpt-s-device-mygpu", workload={"batch_size": "1"})
    assert own_devices("s") == {}


@pytest.mark.parametrize("option", [{"batch": 0}, {"length": -1}, {"batch": True}])
def test_a_workload_that_cannot_be(option: dict[str, Any], tmp_path: Path) -> None:
    source = write(frame(architectures(60), repeats=1), tmp_path / "my.csv")
    with pytest.raises(InputError, match="expected a whole number from 1"):
        convert_device(source, "s", "mygpu", tmp_path / "out", progress=False, **option)


@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 50, b'"unclosed'])
@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_what_is_no_table(content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"my{ending}"
    path.write_bytes(content)
    with pytest.raises(DataError, match="my"):
        read_device(path, SPACE)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--device", "x", "--only", "tabular"], "do not go together"),
        (["--latency-unit", "s"], "for a table with --device"),
        (["--only", "tabular", "--report"], "leave it out with --only"),
        (["--fit", "mlp", "--report"], "leave it out with --fit"),
        (["--device", "x", "--trust-pickles"], "--trust-pickles is for"),
    ],
)
def test_flags_that_do_not_fit(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "SOURCE", "--space", "s", *flags]) == 2
    assert says in capsys.readouterr().err


# -- raw profiler output ---------------------------------------------------------------------


def raw_folder(root: Path, device: str, n: int = 60) -> np.ndarray:
    """Raw output as if of ``device``, in two chunks of which the second sorts first by name."""
    rng, matrix = np.random.default_rng(0), architectures(n)
    gpu = DEVICES[device].energy_to_wh != 1.0
    samples = [sample_of(SPACE, row, rng) for row in matrix.tolist()]
    entries = [device_entry(device, 1.0 + row[EMBED_DIM], rng) for row in matrix]
    chunks = {"0_30": slice(0, 30), "30_100": slice(30, None)}
    for name, part in chunks.items():
        pairs = list(zip(samples[part], entries[part], strict=True))
        rows = [latency_row(s, e, gpu) for s, e in pairs]
        (root / f"efficiency_observations_{name}.pkl").write_bytes(pickle.dumps(rows, 4))
        if gpu:
            rows = [energy_row(s, e) for s, e in pairs]
            path = root / f"efficiency_energy_observations_tracker_{name}.pkl"
            path.write_bytes(pickle.dumps(rows, 4))
    return np.array([[np.mean(e["latencies"]), np.mean(e["energies"])] for e in entries])


@pytest.mark.parametrize(("device", "repeats"), [("a100", 50), ("cpu_xeon_gold", 1)])
def test_raw_output_in_its_own_units(device: str, repeats: int, tmp_path: Path) -> None:
    means = raw_folder(tmp_path, device)
    data = read_device(tmp_path, SPACE)
    np.testing.assert_array_equal(data.matrix, architectures(60))
    np.testing.assert_allclose(data.values["latency"].mean(axis=1), means[:, 0])
    factor = DEVICES[device].energy_to_wh
    np.testing.assert_allclose(data.values["energy"].mean(axis=1), means[:, 1] * factor)
    assert data.values["energy"].shape == (60, repeats)


def test_raw_output_becomes_a_device(artifacts: Path, tmp_path: Path) -> None:
    raw_folder(tmp_path, "a100")
    convert_device(tmp_path, "s", "raw", progress=False)
    assert hwgpt_blackbox.load("s", "raw").dataset == "raw"


def test_raw_output_has_its_own_units_and_is_not_executed(tmp_path: Path) -> None:
    raw_folder(tmp_path, "a100")
    with pytest.raises(InputError, match="leave the units out"):
        read_device(tmp_path, SPACE, latency_unit="s")

    class Hostile:
        def __reduce__(self) -> Any:
            return os.system, (f"touch {tmp_path / 'mark'}",)

    (tmp_path / "efficiency_observations_0_30.pkl").write_bytes(pickle.dumps([Hostile()]))
    with pytest.raises(DataError, match="nothing of it was executed"):
        read_device(tmp_path, SPACE)
    assert not (tmp_path / "mark").exists()
    for path in tmp_path.iterdir():
        path.unlink()
    with pytest.raises(DataError, match="has no rows in files efficiency_observations"):
        read_device(tmp_path, SPACE)


def test_errors_are_ours(tmp_path: Path) -> None:
    (tmp_path / "efficiency_observations_0_30.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(HWGPTError, match="no list of dicts"):
        read_device(tmp_path, SPACE)


# -- the published data ----------------------------------------------------------------------


def test_a_published_raw_folder_is_the_published_device(source_data: Path) -> None:
    folder = source_data / "data_collection/raw_results_hw/latency_cpu_meta_l"
    if not folder.is_dir():
        pytest.skip("no raw output of cpu_xeon_gold on l")
    data = read_device(folder, SPACES["l"])
    low, high = DEVICES["cpu_xeon_gold"].latency_range
    median = np.median(data.values["latency"], axis=1)
    assert low < median.min() < median.max() < high  # 42.8 % of it is in ms, the rest in s
    assert data.values["energy"].shape[1] == 1
