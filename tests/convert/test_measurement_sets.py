from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from measurement_sets import (
    TINY,
    drawn,
    hardware,
    layer_sums,
    quality,
    true_latency,
    true_perplexity,
    write_set,
)

import hwgpt_blackbox
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert.judging.cards.file import read_card
from hwgpt_blackbox.convert.source.set_reader import read_set
from hwgpt_blackbox.convert.user_device import convert_set, convert_tables
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, HWGPTError, InputError
from hwgpt_blackbox.storage.measured_table import Table

MATRIX = drawn(64)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the space ``tiny``, made from the set ``set`` in it; do not write to it."""
    folder = tmp_path_factory.mktemp("home")
    tables = {
        "laptop": hardware(MATRIX, memory=True),
        "phone": hardware(drawn(48, seed=1), energy=False, speed=0.3),
        "quality": quality(MATRIX[:56]),
    }
    # The phone measures half of what the laptop does, and others.
    tables["phone"] = pd.concat([tables["laptop"][list(tables["phone"])][:32], tables["phone"]])
    tables["phone"] = tables["phone"].drop_duplicates(list(TINY.choices)).reset_index(drop=True)
    convert_set(write_set(folder / "set", tables), folder, progress=False)
    return folder


@pytest.fixture
def with_tiny(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(home))
    return home


# -- a space of one's own ------------------------------------------------------------------------


def test_predictions_are_those_of_the_space(with_tiny: Path) -> None:
    box, unseen = hwgpt_blackbox.load("tiny", "laptop"), drawn(200, seed=7)
    values = dict(zip(box.objectives_names, box.expected_values(unseen).T, strict=True))
    np.testing.assert_allclose(values["metric_latency"], true_latency(unseen), rtol=0.1)
    np.testing.assert_allclose(values["metric_perplexity"], true_perplexity(unseen), rtol=0.15)
    np.testing.assert_allclose(
        values["metric_memory_bfloat16"], 10.0 + 0.3 * layer_sums(unseen), rtol=0.1
    )
    for name, true in (("latency", true_latency), ("perplexity", true_perplexity)):
        error = np.abs(values[f"metric_{name}"] / true(unseen) - 1.0)
        assert error.mean() < 0.02
    assert "metric_memory_float16" not in values
    one = [box(config, seed=5)[0] for config in Encoding(TINY).decode(unseen[:5])]
    np.testing.assert_array_equal(one, box.measurements(unseen[:5], seed=5))


def test_syne_tune_loads_it_by_name(with_tiny: Path) -> None:
    from syne_tune.blackbox_repository import (
        BlackboxRepositoryBackend,
        blackbox_list,
        load_blackbox,
    )

    assert {"hwgpt-tiny", "hwgpt-tiny-tabular"} <= set(blackbox_list())
    boxes = load_blackbox("hwgpt-tiny")
    assert list(boxes) == ["laptop", "phone", "all"]
    assert "metric_energy" not in boxes["phone"].objectives_names
    backend = BlackboxRepositoryBackend("hwgpt-tiny", "metric_elapsed_time", dataset="phone")
    assert pickle.loads(pickle.dumps(backend)).blackbox.dataset == "phone"


def test_the_table_holds_what_every_device_measured(with_tiny: Path) -> None:
    from syne_tune.blackbox_repository import load_blackbox

    boxes, measured = load_blackbox("hwgpt-tiny-tabular"), hardware(MATRIX)
    box = boxes["laptop"]
    assert 32 <= len(box.hyperparameters) < 64
    names = box.objectives_names
    found = box.expected_values(MATRIX[:32])[:, names.index("metric_latency")]
    latencies = measured[[f"latency_{k}" for k in range(3)]].to_numpy()[:32]
    np.testing.assert_allclose(found, latencies.mean(axis=1))
    second = box(Encoding(TINY).decode(MATRIX[:1])[0], seed=1)[0]
    assert second[names.index("metric_latency")] == pytest.approx(latencies[0, 1])
    assert "metric_energy" not in boxes["phone"].objectives_names
    filled, accuracy = Table.read(with_tiny / "hwgpt-tiny-tabular").read_side()
    assert not filled.any()
    assert np.isfinite(accuracy).all()


def test_fronts_and_commands_know_it(
    with_tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    front = hwgpt_blackbox.reference_front("tiny", ("perplexity", "latency@phone"))
    assert front.exact
    assert len(front.configurations) > 10
    assert main(["list", "--report"]) == 0
    assert "hwgpt-tiny" in capsys.readouterr().out
    assert main(["query", "--space", "tiny", "--device", "laptop", "--best"]) == 0
    assert "latency@laptop" in capsys.readouterr().out
    run = ["run", "--space", "tiny", "--objectives", "perplexity", "latency@laptop"]
    run += ["--methods", "RS", "--trials", "8", "--out", str(tmp_path / "results")]
    assert main(run) == 0
    report = ["report", str(tmp_path / "results"), "--out", str(tmp_path / "report")]
    assert main([*report, "--no-spaces"]) == 0
    capsys.readouterr()
    assert main(["verify", "hwgpt-tiny"]) == 0
    assert "random split, seed 42" in capsys.readouterr().out
    assert main(["verify", "hwgpt-tiny-tabular"]) == 0
    against = ["verify", "hwgpt-tiny", "--quiet", "--json", "--split", "none", "--against"]
    capsys.readouterr()
    assert main([*against, str(with_tiny / "set")]) == 0
    assert json.loads(capsys.readouterr().out)["made_from_this_source"] is True
    table = ["verify", "hwgpt-tiny-tabular", "--quiet", "--json", "--against"]
    assert main([*table, str(with_tiny / "set")]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {row["differing"] for row in answer["differences"].values()} == {0}
    assert main([*against, str(with_tiny / "set" / "laptop.csv")]) == 2
    assert "is no measurement set" in capsys.readouterr().err


def test_its_report_card(with_tiny: Path) -> None:
    card = read_card(with_tiny / "hwgpt-tiny")
    assert card is not None
    targets = {"latency@laptop", "energy@laptop", "latency@phone", "memory_bfloat16"}
    for part in card["sections"]:
        assert targets | {"perplexity", "error"} == set(part["targets"])
    manifest = json.loads((with_tiny / "hwgpt-tiny" / "manifest.json").read_text())
    assert manifest["space_definition"] == TINY.as_dict()
    assert manifest["fit"]["perplexity"]["architectures"] == 56
    assert manifest["fit"]["latency@laptop"]["architectures"] == 64
    assert set(manifest["source"]["files"]) == {"laptop.csv", "phone.csv", "quality.csv"}


def test_a_fresh_process_loads_it(with_tiny: Path, run_python: Any) -> None:
    code = """
import hwgpt_blackbox
from syne_tune.blackbox_repository import load_blackbox
print(*load_blackbox("hwgpt-tiny"))
"""
    shown = run_python(code, HWGPT_BLACKBOX_HOME=str(with_tiny)).stdout
    assert shown.strip() == "laptop phone all"


def test_tables_by_themselves_and_a_space_file(
    artifacts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = drawn(40)
    table = hardware(matrix, repeats=1, energy=False)
    table["latency_0"] /= 1000.0
    table.to_parquet(tmp_path / "hardware.parquet", engine="fastparquet")
    quality(matrix).drop(columns="error").to_csv(tmp_path / "losses.csv", index=False)
    (tmp_path / "tiny.toml").write_text(TINY.as_toml())
    words = ["convert", str(tmp_path / "hardware.parquet"), "--space", str(tmp_path / "tiny.toml")]
    words += ["--device", "mine", "--quality", str(tmp_path / "losses.csv"), "--quiet"]
    assert main([*words, "--latency-unit", "s"]) == 0
    assert 'load_blackbox("hwgpt-tiny")' in capsys.readouterr().out
    box = hwgpt_blackbox.load("tiny", "mine")
    names = box.objectives_names
    assert {"metric_perplexity", "metric_latency"} <= set(names)
    assert not {"metric_error", "metric_energy"} & set(names)
    latency = box.expected_values(matrix)[:, names.index("metric_latency")]
    np.testing.assert_allclose(latency, true_latency(matrix), rtol=0.2)
    assert main([*words, "--latency-unit", "s"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_a_set_without_quality_has_no_perplexity(artifacts: Path, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"laptop": hardware(drawn(40), repeats=1)})
    convert_set(folder, progress=False)
    names = hwgpt_blackbox.load("tiny", "laptop").objectives_names
    assert "metric_latency" in names
    assert not {"metric_perplexity", "metric_error"} & set(names)


# -- published spaces ----------------------------------------------------------------------------


def test_a_set_of_a_published_space_adds_its_devices(
    artifacts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    space = SPACES["s"]
    matrix = drawn(60, space=space)
    table = hardware(matrix, space, speed=0.02, memory=True)
    folder = write_set(tmp_path / "set", {"mygpu": table, "quality": quality(matrix, space)}, space)
    conditions = {"device": "mygpu", "batch_size": 1, "sequence_length": 1024, "dtype": "float32"}
    (folder / "mygpu.json").write_text(json.dumps(conditions))
    made = convert_set(folder, progress=False)
    assert [path.name for path in made] == ["hwgpt-s-device-mygpu"]
    assert "perplexity and error of space s are published" in caplog.text
    manifest = json.loads((made[0] / "manifest.json").read_text())
    assert manifest["workload"] == {"batch_size": 1, "sequence_length": 1024}
    assert manifest["source"]["conditions"] == conditions
    box = hwgpt_blackbox.load("s", "mygpu")
    latency = box.expected_values(matrix)[:, box.objectives_names.index("metric_latency")]
    np.testing.assert_allclose(latency, 50.0 * true_latency(matrix, space), rtol=0.1)
    assert main(["verify", str(made[0]), "--against", str(folder), "--split", "none"]) == 0


def test_a_wide_space_has_devices_and_quality(artifacts: Path, tmp_path: Path) -> None:
    from syne_tune.blackbox_repository import load_blackbox

    space = SPACES["s-wide"]
    matrix = drawn(60, space=space)
    table = hardware(matrix, space, repeats=2, energy=False, speed=0.01)
    folder = write_set(tmp_path / "one", {"mygpu": table}, space)
    made = convert_set(folder, progress=False)
    assert [path.name for path in made] == ["hwgpt-s-wide-device-mygpu"]
    names = load_blackbox("hwgpt-s-wide")["mygpu"].objectives_names
    assert "metric_perplexity" not in names
    other = write_set(tmp_path / "two", {"quality": quality(matrix, space)}, space)
    assert [p.name for p in convert_set(other, progress=False)] == ["hwgpt-s-wide"]
    names = load_blackbox("hwgpt-s-wide")["mygpu"].objectives_names
    assert {"metric_perplexity", "metric_error", "metric_latency"} <= set(names)


# -- visits of the reference architecture --------------------------------------------------------


def with_visits(table: pd.DataFrame, drift: Callable[[Any], Any]) -> pd.DataFrame:
    """The table with a visit of its first architecture after every fifth, one row a minute."""
    order: list[tuple[int, int]] = [(0, 1)]
    for i in range(1, len(table)):
        order += [(i, 0)] + [(0, 1)] * (i % 5 == 0)
    out = table.iloc[[i for i, _ in order]].reset_index(drop=True)
    out["reference"], out["seconds"] = [r for _, r in order], 60.0 * np.arange(len(order))
    factor = drift(np.arange(len(order)) / len(order))
    for name in [name for name in table if name.startswith("latency")]:
        out[name] *= factor * np.exp(0.002 * np.random.default_rng(1).standard_normal(len(out)))
    return out


def test_visits_of_the_reference_count_once(tmp_path: Path) -> None:
    table = with_visits(hardware(MATRIX, energy=False), lambda _: 1.0)
    data = read_set(write_set(tmp_path / "set", {"laptop": table}))
    assert len(data) == 64
    latencies = table[[f"latency_{k}" for k in range(3)]].to_numpy()
    visits = latencies[table["reference"] == 1]
    np.testing.assert_allclose(data.values["latency@laptop"][0], visits.mean(axis=0), rtol=0.01)
    np.testing.assert_allclose(data.values["latency@laptop"][1], latencies[1], rtol=0.01)


def test_an_architecture_that_was_visited_twice_counts_once(tmp_path: Path) -> None:
    table, measured = hardware(drawn(40), repeats=3), quality(drawn(40))
    again, values = table[4:5].copy(), [f"latency_{k}" for k in range(3)]
    again[values] *= 1.1
    tables = {"laptop": pd.concat([table, again]), "quality": pd.concat([measured, measured[:1]])}
    data = read_set(write_set(tmp_path / "set", tables))
    assert len(data) == 40
    expected = table[values].to_numpy()
    expected[4] *= 1.05
    np.testing.assert_allclose(data.values["latency@laptop"], expected)
    np.testing.assert_allclose(data.values["perplexity"][:, 0], measured["perplexity"])


def test_drift_that_the_visits_show_is_divided_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = hardware(MATRIX, energy=False, noise=0.003)
    table = with_visits(plain, lambda share: 1.0 + 0.4 * np.sin(3.0 * share) ** 2)
    data = read_set(write_set(tmp_path / "set", {"laptop": table}))
    found = data.values["latency@laptop"].mean(axis=1)
    true = true_latency(MATRIX)
    assert np.std(np.log(found / true)) < 0.02
    raw = table.groupby(list(TINY.choices), sort=False)["latency_0"].mean().to_numpy()
    assert np.std(np.log(raw / true)) > 0.1
    assert "latency of the reference architecture changed by" in caplog.text
    curve = data.source["tables"]["laptop"]["drift"]["latency"]
    assert len(curve["seconds"]) == int(table["reference"].sum())


# -- bad input -----------------------------------------------------------------------------------


def cell(column: str, row: int, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


BAD_HARDWARE = {
    "of another space": (
        lambda t: t.assign(embed_dim=192),
        "row 1 of the data: embed_dim is 192; choose one of 32, 64",
    ),
    "a choice that is none": (cell("mlp_ratio_0", 4, 5), "mlp_ratio_0 is 5; choose one of 1, 2, 3"),
    "a column of another name": (
        lambda t: t.rename(columns={"energy_0": "joules"}),
        "has the column 'joules', which is no hyperparameter of space tiny",
    ),
    "quality among hardware": (lambda t: t.assign(perplexity=3.0), "has the column 'perplexity'"),
    "not a number": (cell("latency_1", 4, "nan"), "row 5 of the data: latency_1 is 'nan'"),
    "half of the repeats": (cell("energy_1", 4, None), "row 5 of the data: energy_1 is nan"),
    "negative": (cell("latency_0", 4, -1.0), "row 5 of the data: latency is -1; expected positive"),
    "absurd": (cell("latency_0", 4, 1e9), "row 5 of the data: latency is 5e+08"),
    "absurd in one repeat": (
        cell("latency_0", 4, 1e30),
        "row 5 of the data: latency is 1e+30; expected positive numbers, from 1e-12 to 1e+09",
    ),
    "memory in bytes": (
        lambda t: t.assign(memory_float16=1e9),
        "row 1 of the data: memory_float16 is 1e+09; expected positive numbers, from 0.001",
    ),
    "in hours": (
        lambda t: t.assign(**{f"latency_{k}": 1e5 * t[f"latency_{k}"] for k in (0, 1)}),
        "the median latency is",
    ),
    "a reference that is none": (
        lambda t: t.assign(reference="maybe"),
        "row 1 of the data: reference is 'maybe'; choose one of 0, 1",
    ),
    "no seconds": (
        lambda t: t.assign(reference=0, seconds=[None] * len(t)),
        "row 1 of the data: seconds is nan",
    ),
    "no measurement": (
        lambda t: t.assign(
            **{
                name: cell(name, 4, None)(t)[name]
                for name in t
                if "_" in name and name.split("_")[0] in ("latency", "energy")
            }
        ),
        "row 5 of the data has no measurement",
    ),
    "empty": (lambda t: t[:0], "has no rows"),
    "too few": (lambda t: t[:20], "latency@laptop: only 20 architectures; a fit needs 32"),
    "a width is missing": (lambda t: t[t.embed_dim == 32], "embed_dim 64"),
}


@pytest.mark.parametrize(("change", "says"), BAD_HARDWARE.values(), ids=BAD_HARDWARE)
def test_bad_tables_are_refused_and_leave_nothing(
    change: Callable[[pd.DataFrame], pd.DataFrame], says: str, tmp_path: Path
) -> None:
    table = change(hardware(drawn(64), repeats=2))
    folder = write_set(tmp_path / "set", {"laptop": table})
    with pytest.raises(DataError) as error:
        convert_set(folder, tmp_path / "out", progress=False)
    assert says in str(error.value)
    if "too few" not in says and "@" not in says and "embed_dim 64" not in says:
        assert "laptop.csv" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_what_was_profiled_needs_no_word_for_its_units(tmp_path: Path) -> None:
    table = hardware(drawn(40), repeats=1, energy=False, speed=1e-4)
    folder = write_set(tmp_path / "set", {"laptop": table})
    with pytest.raises(DataError, match="--confirm-units"):
        read_set(folder)
    assert len(read_set(folder, confirm_units=True)) == 40
    (folder / "laptop.json").write_text('{"method": "passes"}')
    assert len(read_set(folder)) == 40


BAD_QUALITY = {
    "an accuracy above one": (cell("error", 4, 1.5), "row 5 of the data: error is 1.5; expected"),
    "in percent": (lambda t: t.assign(error=100 * t["error"]), "from 1e-09 to 1: measure"),
    "a loss for a perplexity": (lambda t: t.assign(perplexity=0.5), "perplexity is 0.5; expected"),
    "hardware among quality": (lambda t: t.assign(latency=1.0), "has the column 'latency'"),
    "neither": (
        lambda t: t.drop(columns=["perplexity", "error"]),
        "has no column perplexity or error",
    ),
    "infinite": (cell("perplexity", 4, np.inf), "row 5 of the data: perplexity is inf"),
    "another for the same": (
        lambda t: pd.concat([t, t[:1].assign(perplexity=300.0)]),
        "in one row and 300 in another; keep the right one",
    ),
}


@pytest.mark.parametrize(("change", "says"), BAD_QUALITY.values(), ids=BAD_QUALITY)
def test_bad_quality_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame], says: str, tmp_path: Path
) -> None:
    folder = write_set(tmp_path / "set", {"quality": change(quality(drawn(64)))})
    with pytest.raises(DataError) as error:
        read_set(folder)
    assert says in str(error.value)
    assert "quality.csv" in str(error.value)


def half_a_row(folder: Path) -> None:
    path = folder / "laptop.csv"
    path.write_bytes(path.read_bytes()[:-20])


def another_space(folder: Path) -> None:
    (folder / "other.toml").write_text(TINY.as_toml())


def rename(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "laptop.csv").rename(folder / name)


def conditions(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "laptop.json").write_text(text)


BAD_SETS: dict[str, tuple[Callable[[Path], object], str]] = {
    "half a row at the end": (half_a_row, "laptop.csv: the last row, "),
    "two space files": (another_space, "space.toml and other.toml; a set is of one space"),
    "conditions of another space": (conditions('{"space": "other"}'), "is of space other"),
    "conditions that are no JSON": (conditions("{"), "laptop.json is no JSON"),
    "conditions that are no object": (conditions("[]"), "laptop.json holds no JSON object"),
    "a batch that is none": (conditions('{"batch_size": 0}'), "laptop.json: batch is 0"),
    "a device of the 13": (rename("a100.csv"), "a100.csv: device 'a100' is taken"),
    "a name that is none": (rename("my laptop.csv"), "my laptop.csv: device 'my laptop'"),
    "hardware called quality": (rename("quality.csv"), "quality.csv has the column 'latency_0'"),
    "no tables": (rename("laptop.txt"), "has no tables; measure with"),
    "no space": (lambda folder: (folder / "space.toml").unlink(), "is no measurement set"),
    "an empty file": (lambda folder: (folder / "laptop.csv").write_text(""), "cannot be read"),
    "a folder for a table": (lambda folder: (folder / "x.parquet").mkdir(), "x.parquet is no file"),
    "two tables of one device": (
        lambda folder: (folder / "laptop.CSV").write_text("latency\n"),
        "has both laptop.CSV and laptop.csv; keep one of them",
    ),
    "half a row under another ending": (
        lambda folder: (folder / "laptop.csv").rename(folder / "l.CSV").write_text("1,"),
        "l.CSV: the last row, ",
    ),
    "a space that is none": (
        lambda folder: (folder / "space.toml").write_text('name = "tiny"'),
        "space.toml lacks embed_dim",
    ),
}


@pytest.mark.parametrize(("change", "says"), BAD_SETS.values(), ids=BAD_SETS)
def test_bad_sets_are_refused(change: Callable[[Path], object], says: str, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"laptop": hardware(drawn(40), repeats=1)})
    change(folder)
    with pytest.raises(HWGPTError) as error:
        convert_set(folder, tmp_path / "out", progress=False)
    assert says in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_device_is_not_called_quality(tmp_path: Path) -> None:
    hardware(drawn(40)).to_csv(tmp_path / "my.csv", index=False)
    with pytest.raises(InputError, match="device 'quality'"):
        convert_tables(tmp_path / "my.csv", TINY, "quality", tmp_path / "out", progress=False)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--space", "s"], "is a measurement set, which says its space"),
        (["--only", "tabular"], "leave --only out"),
        (["--latency-unit", "s", "--batch", "2"], "leave --latency-unit and --batch out"),
    ],
)
def test_flags_that_a_set_does_not_take(
    flags: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_set(tmp_path / "set", {"laptop": hardware(drawn(40), repeats=1)})
    assert main(["convert", str(folder), *flags]) == 2
    assert says in capsys.readouterr().err


def test_what_is_no_set_needs_a_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path)]) == 2
    assert "is no measurement set; give --space" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "typo")]) == 2
    assert "there is no file or folder" in capsys.readouterr().err
