"""Result files, users' tables, pickles and report cards of any bytes: read, or an error of ours."""

from __future__ import annotations

import csv
import io
import json
import pickle
import random
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastparquet
import numpy as np
import pandas as pd
import pytest
from robustness.mutations import mutated, mutated_json
from robustness.sandbox import check

from hwgpt_blackbox.convert.judging.cards.file import REPORT, read_card
from hwgpt_blackbox.convert.source.pickle_reader import load_pickle
from hwgpt_blackbox.convert.source.user_measurements import read_device
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.experiments.grid_definition import all_runs
from hwgpt_blackbox.experiments.grid_definition import read_experiment as read_grids
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.run_file import _OPEN_SEAL, METADATA_KEY, _sealed, encode
from hwgpt_blackbox.experiments.results.store import MARKER, ResultStore, read
from hwgpt_blackbox.experiments.results.syne_tune_folder import read_experiment
from hwgpt_blackbox.experiments.runs import RunSettings, execute
from hwgpt_blackbox.storage.locations import EMBEDDED

SPACE = SPACES["s"]

quick_and_long = pytest.mark.parametrize(
    "count", [100, pytest.param(1000, marks=pytest.mark.slow)], ids=["quick", "long"]
)


# -- results -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run() -> RunSettings:
    return RunSettings(Problem.parse("s", ["perplexity", "energy@rtx2080"]), "RS", trials=12)


@pytest.fixture(scope="module")
def frame(run: RunSettings) -> pd.DataFrame:
    return execute(run)


@pytest.fixture
def result(run: RunSettings, frame: pd.DataFrame, tmp_path: Path) -> Path:
    """A sound result file."""
    store = ResultStore(tmp_path / "results")
    store.prepare()
    return Path(str(store.write(run, frame)))


@quick_and_long
def test_results_of_other_bytes(count: int, result: Path, frame: pd.DataFrame) -> None:
    def reader(content: bytes) -> None:
        result.write_bytes(content)
        pd.testing.assert_frame_equal(read(result).frame, frame, rtol=0, atol=0)

    assert check(reader, mutated(result.read_bytes(), 3 * count, seed=1)).refused > count


@quick_and_long
def test_a_forged_result_whose_seal_is_right_does_not_crash_the_process(
    count: int, result: Path
) -> None:
    # fastparquet's reader follows the lengths and types that a file states
    sealed = result.read_bytes()
    footer = int.from_bytes(sealed[-8:-4], "little") + 8
    opened = re.sub(rb'(?<="seal": ")[0-9a-f]{32}', _OPEN_SEAL.encode(), sealed)

    def forged() -> Iterator[tuple[str, bytes]]:
        for name, content in mutated(opened[-footer:-8], 3 * count, seed=4):
            if content.count(_OPEN_SEAL.encode()) == 1:
                end = len(content).to_bytes(4, "little") + b"PAR1"
                yield name, _sealed(opened[:-footer] + content + end)

    def reader(content: bytes) -> None:
        result.write_bytes(content)
        read(result)

    assert check(reader, forged()).refused > count


@quick_and_long
def test_results_of_other_metadata(count: int, result: Path, frame: pd.DataFrame) -> None:
    # as an enemy or another version would write them: sound Parquet, without a seal
    file = fastparquet.ParquetFile(str(result))
    metadata = json.loads(file.key_value_metadata[METADATA_KEY])
    del metadata["seal"]

    def reader(content: bytes) -> None:
        custom = {METADATA_KEY: content.decode("utf-8", "replace")}
        fastparquet.write(str(result), frame, write_index=False, custom_metadata=custom)
        stored = read(result)
        assert stored.run.trials == len(stored.frame)

    assert check(reader, mutated_json(metadata, count // 2, seed=2)).refused > count // 4


@quick_and_long
def test_results_of_other_values(
    count: int, run: RunSettings, result: Path, frame: pd.DataFrame
) -> None:
    # as an enemy would write them: digests and seal are those of the wrong values
    cells = [None, np.nan, np.inf, -1, 0, 1, 2**31, 2**63 - 1, -(2**63), 10**400, 0.5, True, "\x1b"]

    def spoilt() -> Iterator[tuple[str, bytes]]:
        for number in range(count):
            rng = random.Random(number)
            column, value = rng.choice(list(frame)), rng.choice(cells)
            values = frame[column].tolist()
            values[rng.randrange(len(frame))] = value
            other = frame.drop(columns=column)
            try:
                other.insert(list(frame).index(column), column, pd.Series(values))
                yield f"{number} {column} {value!r:.20}", encode(run, other)
            except (ValueError, TypeError, OverflowError):  # no such Parquet file
                continue

    def reader(content: bytes) -> None:
        result.write_bytes(content)
        found = read(result).frame
        assert found["trial_id"].is_unique
        for name in run.columns()[1:]:
            assert np.isfinite(found[name]).all()
            assert name.startswith("config_") or (found[name] > 0).all()

    outcome = check(reader, spoilt())
    assert outcome.refused > count // 3


@quick_and_long
def test_markers_of_other_structure(count: int, result: Path) -> None:
    folder = result.parent.parent
    marker = folder / MARKER

    def reader(content: bytes) -> None:
        marker.write_bytes(content)
        store = ResultStore(folder)
        assert store.identity is None or isinstance(store.identity, str)
        store.prepare()

    check(reader, mutated_json(json.loads(marker.read_text()), count, seed=3))
    check(reader, mutated(marker.read_bytes(), count, seed=3))


# -- Syne Tune's own results -------------------------------------------------------------------


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """A folder as ``StoreResultsCallback`` writes it."""
    encoding = Encoding(SPACE)
    configurations = encoding.decode(encoding.sample(6, np.random.default_rng(0)))
    table = pd.DataFrame({f"config_{k}": [c[k] for c in configurations] for k in encoding.names})
    table["trial_id"], table["st_tuner_time"] = range(6), np.arange(6) * 3.0
    table["metric_perplexity"], table["metric_latency"] = 20.0, 30.0
    folder = tmp_path / "experiment"
    folder.mkdir()
    with zipfile.ZipFile(folder / "results.csv.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("results.csv", table.to_csv(index=False))
    metadata = {
        "metric_names": ["metric_perplexity", "metric_latency"],
        "metric_mode": "min",
        "device": "a100",
        "seed": 3,
        "scheduler_name": "RandomSearch",
    }
    (folder / "metadata.json").write_text(json.dumps(metadata))
    assert len(read_experiment(folder).frame) == 6
    return folder


@quick_and_long
def test_experiments_of_other_metadata(count: int, experiment: Path) -> None:
    path = experiment / "metadata.json"

    def reader(content: bytes) -> None:
        path.write_bytes(content)
        assert len(read_experiment(experiment).frame) == 6

    outcome = check(reader, mutated_json(json.loads(path.read_text()), count, seed=4))
    assert min(outcome.read, outcome.refused) > count // 20


@quick_and_long
def test_experiments_of_other_results(count: int, experiment: Path) -> None:
    path = experiment / "results.csv.zip"
    with zipfile.ZipFile(path) as archive:
        text = archive.read("results.csv")

    def packed() -> Iterator[tuple[str, bytes]]:
        yield from mutated(path.read_bytes(), count, seed=5)
        for name, content in mutated(text, count, seed=5):
            buffer = io.BytesIO()
            with zipfile.ZipFile(buffer, "w") as out:
                out.writestr("results.csv", content)
            yield f"packed {name}", buffer.getvalue()

    def reader(content: bytes) -> None:
        path.write_bytes(content)
        read_experiment(experiment)

    assert check(reader, packed()).refused > count // 2


@quick_and_long
@pytest.mark.filterwarnings("ignore")  # pandas warns of mixed columns
def test_experiments_of_other_cells(count: int, experiment: Path) -> None:
    path = experiment / "results.csv.zip"
    with zipfile.ZipFile(path) as archive:
        text = archive.read("results.csv").decode()

    def reader(content: bytes) -> None:
        with zipfile.ZipFile(path, "w") as out:
            out.writestr("results.csv", content)
        stored = read_experiment(experiment)
        assert stored.frame["trial_id"].is_unique
        for name in stored.run.columns():
            assert np.isfinite(stored.frame[name]).all()
            assert not name.startswith("measured") or (stored.frame[name] > 0).all()

    outcome = check(reader, spoilt_cells(text, 2 * count))
    assert min(outcome.read, outcome.refused) > count // 20


# -- experiment files --------------------------------------------------------------------------


@quick_and_long
def test_experiment_files_of_other_bytes(count: int, tmp_path: Path) -> None:
    stated = {
        "spaces": ["s"],
        "methods": ["RS", "LS"],
        "trials": 30,
        "noise": False,
        "grids": [{"objectives": [["perplexity", "latency"]], "devices": ["a100"], "seeds": [0]}],
    }
    files = {
        "mine.yaml": "spaces: [s, m]\nobjectives:\n- [perplexity, latency]\ndevices: [a100]\n"
        "trials: 30\nseeds: [0, 1]  # two\nnoise: false\nmethods: ['RS', \"LS\"]\n",
        "mine.toml": 'spaces = ["s"]\nobjectives = ["perplexity", "params"]\ntrials = 9\n',
    }
    tags = [
        "!!timestamp ",
        "!!binary ",
        "!!int ",
        "!!float ",
        "!!python/name:os.system ",
        "&a [*a]",
    ]
    for name, text in files.items():
        path = tmp_path / name

        def reader(content: bytes, path: Path = path) -> None:
            path.write_bytes(content)
            all_runs(read_grids(path))

        check(reader, mutated(text.encode(), count, seed=8))
        if path.suffix == ".yaml":
            tagged = [text.replace(" 30", f" {tag}30") for tag in tags]
            tagged += [text.replace("[a100]", f"[{tag}a100]") for tag in tags]
            tagged += ["[" * 10_000, f"spaces: {'[' * 500}{']' * 500}", "? [a]\n: 1", "- x: *y"]
            check(reader, ((found[:60], found.encode()) for found in tagged))
            check(reader, mutated_json(stated, count, seed=8))  # JSON is YAML


# -- users' devices ----------------------------------------------------------------------------


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A user's table of 30 architectures."""
    encoding = Encoding(SPACE)
    rng = np.random.default_rng(0)
    table = pd.DataFrame(encoding.decode(encoding.sample(30, rng)))
    for name, scale in {"latency": 100.0, "energy": 0.01}.items():  # ms and Wh of a GPU
        for repeat in (0, 1):
            table[f"{name}_{repeat}"] = scale * rng.uniform(1.0, 2.0, size=len(table))
    table.to_csv(tmp_path / "my.csv", index=False)
    assert len(read_device(tmp_path / "my.csv", SPACE)) == 30
    return tmp_path / "my.csv"


def spoilt_cells(text: str, count: int) -> Iterator[tuple[str, bytes]]:
    """Tables with another cell, header or row."""
    cells = [
        "", "nan", "inf", "-inf", "0", "-1", "1e400", "9" * 400, "fast", "True", "1,5", '"', "\x00",
        "=1+1", "2024-01-01", "1_000", "0x10", " 12 ", "12.0", "é" * 1000, "None", "\ufeff",
        "1" * 5000,
    ]  # fmt: skip
    rows = list(csv.reader(io.StringIO(text)))
    for number in range(count):
        rng = random.Random(number)
        out = [list(row) for row in rows]
        i = rng.choice([0, rng.randrange(len(out))])
        how = rng.choice(["cell", "cell", "remove", "repeat", "row", "swap"])
        j = rng.randrange(len(out[i]))
        if how == "cell":
            out[i][j] = rng.choice(cells)
        elif how == "remove":
            del out[i][j]
        elif how == "repeat":
            out[i].append(out[i][j])
        elif how == "row":
            out.insert(i, out[i][: rng.randrange(len(out[i]))])
        else:
            out[0][j], out[0][0] = out[0][0], out[0][j]
        buffer = io.StringIO()
        csv.writer(buffer).writerows(out)
        yield f"{number} {how} {i} {j}", buffer.getvalue().encode()


@quick_and_long
@pytest.mark.filterwarnings("ignore")  # pandas warns of mixed columns
def test_users_tables_of_other_bytes_and_cells(count: int, measured: Path) -> None:
    def reader(content: bytes) -> None:
        measured.write_bytes(content)
        data = read_device(measured, SPACE)
        for values in data.values.values():
            assert np.isfinite(values).all()
            assert (values > 0).all()

    sound = measured.read_bytes()
    assert check(reader, mutated(sound, 2 * count, seed=6)).refused > count // 2
    outcome = check(reader, spoilt_cells(sound.decode(), 2 * count))
    assert min(outcome.read, outcome.refused) > count // 20


# -- pickles of the source ---------------------------------------------------------------------


@quick_and_long
def test_pickles_of_other_bytes(count: int, tmp_path: Path) -> None:
    path = tmp_path / "stats.pkl"

    def reader(content: bytes) -> None:
        path.write_bytes(content)
        load_pickle(path)

    data: dict[str, Any] = {
        "gpt-s-12-768": {"latency": [1.5] * 10, "unit": "ms", "mean": np.float64(1.5)},
        "arrays": [np.arange(12.0).reshape(3, 4), np.arange(3, dtype=np.int16)],
        "nested": [[{"a": (1, 2.0, None, True)}]] * 3,
    }
    for protocol in (2, 3, 4, 5):
        sound = pickle.dumps(data, protocol=protocol)
        assert check(reader, mutated(sound, 2 * count, seed=protocol)).refused > count // 2


# -- report cards ------------------------------------------------------------------------------


@quick_and_long
def test_report_cards_of_other_structure(count: int, tmp_path: Path) -> None:
    from hwgpt_blackbox.convert.judging.cards.text import LIST_HEADINGS, list_row, section_table
    from hwgpt_blackbox.storage.manifest import read_manifest, write_manifest

    folder = Path(shutil.copytree(EMBEDDED / "hwgpt-s", tmp_path / "hwgpt-s"))
    manifest = read_manifest(folder, kind="surrogate")
    card = json.loads((folder / REPORT).read_text())

    def reader(content: bytes) -> None:
        (folder / REPORT).write_bytes(content)
        write_manifest(folder, manifest)
        found = read_card(folder)
        if found is not None:
            assert len(list_row("hwgpt-s", found)) == len(LIST_HEADINGS)
            for part in found["sections"]:
                section_table(part)

    outcome = check(reader, mutated_json(card, count, seed=7))
    assert min(outcome.read, outcome.refused) > count // 20
