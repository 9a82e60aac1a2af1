from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from importlib.metadata import version

import fastparquet
import numpy as np
import pandas as pd
import pytest

from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.errors import DataError, InputError, OutputError
from hwgpt_blackbox.experiments import grid_execution as grid
from hwgpt_blackbox.experiments import methods
from hwgpt_blackbox.experiments import run_task as workers
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results import provenance, store
from hwgpt_blackbox.experiments.results import run_file as records
from hwgpt_blackbox.experiments.results.run_file import METADATA_KEY
from hwgpt_blackbox.experiments.results.store import ResultStore, read
from hwgpt_blackbox.experiments.runs import RunSettings, execute
from hwgpt_blackbox.storage.locations import MANIFEST, find
from hwgpt_blackbox.storage.manifest import sha256

PROBLEM = ("s", ["perplexity", "energy@rtx2080"])


def settings(**changes):
    return RunSettings(Problem.parse(*PROBLEM), **{"method": "RS", "trials": 20, **changes})


@pytest.fixture(scope="module")
def frame():
    return execute(settings())


@pytest.fixture
def results(tmp_path):
    made = ResultStore(tmp_path / "out")
    made.prepare()
    return made


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_what_was_written_is_read(results, frame):
    run = settings(cost_model=CostModel(setup_seconds=3.0))
    path = results.write(run, frame)
    stored = read(path)
    pd.testing.assert_frame_equal(stored.frame, frame, rtol=0, atol=0)
    assert stored.run == run
    assert stored.versions["syne-tune"] == version("syne-tune")
    assert stored.provenance == {"hwgpt-s": sha256(find("hwgpt-s").path / MANIFEST)}
    assert results.holds(run)
    assert not results.holds(settings(seed=1))
    some = read(path, lambda run: ["expected_perplexity", "trial_id"])
    assert list(some.frame) == ["expected_perplexity", "trial_id"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 21}, "with trials 20, but 21 is asked for"),
        ({"workers": 9}, "with workers 4, but 9 is"),
        ({"noise": False}, "with noise True, but False is"),
        (
            {"cost_model": CostModel(setup_seconds=99.0)},
            rf"with cost_model\.setup_seconds {CostModel().setup_seconds}, but 99\.0 is asked for",
        ),
    ],
)
def test_same_name_other_settings(results, frame, changes, message):
    path = results.write(settings(), frame)
    before = path.read_bytes()
    with pytest.raises(InputError, match=message) as raised:
        grid.make_runs([settings(**changes), settings(seed=1)], results)
    assert str(path) in str(raised.value)
    assert files(results.folder / "runs") == [path.name]
    assert path.read_bytes() == before


def test_same_name_other_artifact(results, frame, monkeypatch):
    results.write(settings(), frame)
    monkeypatch.setattr(store, "provenance", lambda run: {"hwgpt-s": "another"})
    with pytest.raises(
        InputError, match=r"was made before the artifact hwgpt-s changed; name"
    ) as e:
        results.holds(settings())
    assert not re.search("[0-9a-f]{32}", str(e.value))  # digests tell a person nothing


def test_a_device_of_a_user_and_its_artifact_make_a_run(isolated_home, tmp_path, monkeypatch):
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path))
    manifest = tmp_path / "hwgpt-s-device-mygpu" / MANIFEST
    manifest.parent.mkdir()
    manifest.write_text("one")
    problem = Problem.parse(*PROBLEM)
    run = RunSettings(replace(problem, devices=("mygpu",)), "RS")
    before = provenance.provenance(run)
    assert list(before) == ["hwgpt-s", "hwgpt-s-device-mygpu"]
    manifest.write_text("two")
    assert provenance.changed(before, provenance.provenance(run)) == ["hwgpt-s-device-mygpu"]
    assert provenance.changed(before, {"hwgpt-s": before["hwgpt-s"], "x": ""}) == [
        "hwgpt-s-device-mygpu",
        "x",
    ]


OWN = """
from functools import partial
from hwgpt_blackbox.optimizers import make_scheduler

def factory(config_space, metrics, *, random_seed, canonical_form=None, name="RS"):
    return make_scheduler(name, config_space, metrics, random_seed=random_seed)

bound = partial(factory, name="LS")
"""


def test_an_edited_method_of_a_user_is_noticed(results, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "edited_method.py"
    file.write_text(OWN)
    runs = [settings(method=f"edited_method:{name}") for name in ("factory", "bound")]
    assert grid.make_runs(runs, results) == runs
    assert grid.make_runs(runs, results) == []
    assert read(results.path(runs[1])).provenance["edited_method:bound"] == sha256(file)
    file.write_text(OWN.replace('"RS"', '"RE"'))
    assert grid.make_runs(runs, results) == []  # this process still runs what it has imported
    methods._digest.cache_clear()
    with pytest.raises(InputError, match="before the source of method edited_method:factory chang"):
        grid.make_runs(runs, results)


def test_complete_runs_are_not_run_again(results, monkeypatch):
    runs = [settings(seed=seed) for seed in range(3)]
    seen = []
    assert grid.make_runs(runs[:2], results) == runs[:2]
    times = {path: path.stat().st_mtime_ns for path in results.paths()}
    assert grid.make_runs(runs, results, progress=seen.append) == runs[2:]
    assert seen == [40] + [1] * 20
    assert {path: path.stat().st_mtime_ns for path in times} == times
    monkeypatch.setattr(workers, "execute", None)
    assert grid.make_runs(runs, results) == []


def test_parallel_runs_equal_serial_ones(results, tmp_path):
    runs = [settings(seed=seed, workers=4**seed) for seed in range(3)]
    other = ResultStore(tmp_path / "other")
    other.prepare()
    seen = []
    grid.make_runs(runs, results)
    grid.make_runs(runs, other, jobs=2, progress=seen.append)
    assert sum(seen) == 60
    for run in runs:
        ours, theirs = (read(place.path(run)).frame for place in (results, other))
        pd.testing.assert_frame_equal(ours, theirs, rtol=0, atol=0)


def test_an_interrupt_leaves_complete_runs_only(results):
    ended = []

    def interrupt(trials):
        ended.append(trials)
        if len(ended) == 30:  # in the middle of the second run
            raise KeyboardInterrupt

    runs = [settings(seed=seed) for seed in range(3)]
    with pytest.raises(KeyboardInterrupt):
        grid.make_runs(runs, results, progress=interrupt)
    assert files(results.folder) == [store.MARKER, f"runs/{runs[0].name}.parquet"]
    assert grid.make_runs(runs, results) == runs[1:]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_failure_while_writing_leaves_nothing(results, frame, monkeypatch, error):
    def fail(descriptor):
        raise error

    monkeypatch.setattr(os, "fsync", fail)
    expected = OutputError if isinstance(error, OSError) else error
    with pytest.raises(expected) as raised:
        results.write(settings(), frame)
    if expected is OutputError:
        assert re.search(
            "cannot be written .No space left on device.; make room", str(raised.value)
        )
        assert ".tmp" not in str(raised.value)
    assert files(results.folder) == [store.MARKER]


def corrupt(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "empty":
        data = bytearray()
    elif how == "other bytes":
        data = bytearray(os.urandom(2000))
    elif how == "text":
        data = bytearray(b"trial_id,simulated_time\n0,1\n")
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "empty", "other bytes", "text"])
def test_a_corrupt_file_is_set_aside_and_its_run_made_anew(results, frame, how, caplog):
    path = results.write(settings(), frame)
    corrupt(path, how)
    found = path.read_bytes()
    with pytest.raises(DataError, match=r"no sound result file.*move it away and run again") as e:
        read(path)
    assert str(path) in str(e.value)
    assert grid.make_runs([settings()], results) == [settings()]
    broken = path.with_name(path.name + ".broken")
    assert results.broken == [broken]
    assert broken.read_bytes() == found
    assert str(path) in caplog.text
    pd.testing.assert_frame_equal(read(path).frame, frame, rtol=0, atol=0)
    corrupt(path, how)
    grid.make_runs([settings()], results)
    assert [p.name for p in results.broken] == [broken.name, f"{path.name}.2.broken"]
    assert results.paths() == [path]


def test_random_bytes_are_refused_and_never_reach_fastparquet(results, frame, monkeypatch):
    """Its C code crashes the whole process on them."""
    path = results.write(settings(), frame)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    monkeypatch.setattr(fastparquet, "ParquetFile", None)  # a call would be a TypeError
    hostile = [rng.bytes(2000), data[:4] + rng.bytes(2000) + data[-8:], data[:4] * 3]
    for position in rng.integers(0, len(data), size=200):
        changed = bytearray(data)
        changed[position] ^= 1 << rng.integers(8)
        hostile.append(bytes(changed))
    for broken in hostile:
        path.write_bytes(broken)
        with pytest.raises(DataError) as error:
            read(path)
        assert "TypeError" not in str(error.value)


def test_every_flipped_byte_of_the_values_is_noticed(results, frame):
    path = results.write(settings(), frame)
    sound = path.read_bytes()
    footer = int.from_bytes(sound[-8:-4], "little")
    rng = np.random.default_rng(0)
    for position in rng.integers(4, len(sound) - footer - 8, size=60):
        data = bytearray(sound)
        data[position] ^= 0x10
        path.write_bytes(data)
        try:
            stored = read(path)
        except DataError:
            continue
        pd.testing.assert_frame_equal(stored.frame, frame, rtol=0, atol=0)  # a byte nobody reads


def rewrite(path, frame, change):
    """Write the file anew with other metadata, and seal it, as an enemy would."""
    metadata = json.loads(fastparquet.ParquetFile(str(path)).key_value_metadata[METADATA_KEY])
    change(metadata)
    text = json.dumps({**metadata, "seal": records._OPEN_SEAL})
    options = {"write_index": False, "has_nulls": False}
    fastparquet.write(str(path), frame, **options, custom_metadata={METADATA_KEY: text})
    path.write_bytes(records._sealed(path.read_bytes()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(schema_version=3), "schema_version 3, this release reads 2"),
        (lambda m: m.update(schema_version=None), "schema_version None"),
        (lambda m: m["settings"].update(space="xxl"), "unknown space 'xxl'"),
        (lambda m: m["settings"].update(objectives=["perplexity"]), "two or more"),
        (lambda m: m["settings"].update(devices=["a100"]), "devices .*do not fit"),
        (lambda m: m["settings"].update(trials=10**12), "trials is 1000000000000"),
        (lambda m: m["settings"].update(trials=19), "holds 20 trials, not 19"),
        (lambda m: m["settings"].update(surprise=1), "surprise"),
        (lambda m: m["settings"].update(method=["RS"]), "wrong type"),
        (lambda m: m["settings"].pop("seed"), "settings are missing"),
        (lambda m: m["settings"]["cost_model"].pop("setup_seconds"), "settings are missing"),
        (lambda m: m.update(bounds=[[2, 1], [1, 2]]), "ideal and nadir"),
        (lambda m: m.update(bounds=[[1, 2]]), "do not fit"),
        (lambda m: m.pop("provenance"), "provenance"),
        (lambda m: m.update(provenance=["hwgpt-s"]), "expected texts by name"),
        (lambda m: m["versions"].update(numpy=2), "expected texts by name"),
        (lambda m: m["digests"].update(trial_id="0"), "column trial_id is not what was written"),
    ],
)
def test_hostile_metadata(results, frame, change, message):
    path = results.write(settings(), frame)
    rewrite(path, frame, change)
    with pytest.raises(DataError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("trial_id", 3, "trial_id holds 3 twice"),
        ("trial_id", -1, "trial_id holds -1 in row 7"),
        ("trial_id", 0.5, "trial_id holds values of type float64"),
        ("simulated_time", np.nan, "simulated_time holds nan in row 7"),
        ("simulated_time", 0.0, "simulated_time holds 0.0 in row 7; expected .* ascending"),
        ("config_num_layers", 13, "config_num_layers holds 13 in row 7; expected one of 10, 11"),
        ("measured_energy@rtx2080", 0.0, "measured_energy@rtx2080 holds 0.0 in row 7"),
        ("expected_perplexity", np.inf, "expected_perplexity holds inf in row 7"),
    ],
)
def test_values_that_no_run_has(results, frame, column, value, message):
    """Whoever wrote them sealed the file as we do."""
    wrong = frame.astype({column: type(value)})
    wrong.loc[7, column] = value
    path = results.write(settings(), wrong)
    with pytest.raises(DataError, match=message) as raised:
        read(path)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("seal", ["", "0", "é" * 16, 7, None])
def test_a_seal_that_is_none_is_refused(results, frame, seal):
    path = results.write(settings(), frame)
    metadata = json.loads(fastparquet.ParquetFile(str(path)).key_value_metadata[METADATA_KEY])
    text = json.dumps({**metadata, "seal": seal})
    fastparquet.write(str(path), frame, write_index=False, custom_metadata={METADATA_KEY: text})
    with pytest.raises(DataError, match="no sound result file"):
        read(path)


@pytest.mark.parametrize("name", ["", "RS\x1b[2J", "\ud800", "x" * 121])
def test_a_method_whose_name_cannot_be_shown(results, frame, name):
    path = results.write(settings(), frame)
    rewrite(path, frame, lambda m: m["settings"].update(method=name))
    with pytest.raises(DataError, match=r"method is '.*; expected 1 to 120 printable") as raised:
        read(path)
    assert str(raised.value).isprintable()


def test_a_file_of_another_version_is_not_called_broken(results, frame):
    """Whatever else is different in it: its seal may be another, or none."""
    path = results.write(settings(), frame)
    rewrite(path, frame, lambda m: m.update(schema_version=1))
    data = path.read_bytes()
    for other in (data, data.replace(b'"seal"', b'"leas"')):
        path.write_bytes(other)
        with pytest.raises(DataError, match="schema_version 1, this release reads 2"):
            grid.make_runs([settings()], results)
        assert grid.read_all(results, set_aside=True) == []
        assert path.read_bytes() == other
    assert results.broken == []


def test_columns_of_another_kind_are_not_read(results, frame):
    path = results.write(settings(), frame)
    rewrite(path, frame.assign(config_bias="no"), lambda m: None)
    with pytest.raises(DataError, match="its columns are not those of a run"):
        read(path)
    rewrite(path, frame.assign(extra=1), lambda m: None)
    with pytest.raises(DataError, match="its columns are not those of a run"):
        read(path)


def test_a_broken_file_of_another_run_is_named_and_left_out(results, frame, caplog):
    good, bad = results.write(settings(), frame), results.write(settings(seed=1), frame)
    corrupt(bad, "truncated")
    assert [stored.path for stored in grid.read_all(results)] == [good]
    assert str(bad) in caplog.text


def test_a_folder_of_somebody_else_is_not_touched(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="not empty and holds no results"):
        ResultStore(tmp_path).prepare()
    assert files(tmp_path) == ["thesis.txt"]
    with pytest.raises(OutputError, match=r"thesis\.txt cannot be used"):
        ResultStore(tmp_path / "thesis.txt").prepare()


def test_an_empty_folder_and_one_of_ours_are_used(tmp_path):
    for _ in range(2):
        ResultStore(tmp_path).prepare()
    (tmp_path / store.MARKER).write_text('{"schema_version": 7}')
    with pytest.raises(DataError, match="schema_version 7"):
        ResultStore(tmp_path).prepare()
    (tmp_path / store.MARKER).write_text("[" * 10_000)
    with pytest.raises(DataError, match="states no settings"):
        ResultStore(tmp_path).prepare()


@pytest.mark.parametrize("jobs", [0, -1, True, 1.0])
def test_bad_jobs(results, jobs):
    with pytest.raises(InputError, match="jobs is"):
        grid.make_runs([settings()], results, jobs=jobs)


def test_one_run_twice(results):
    with pytest.raises(InputError, match="seed0 is asked for twice"):
        grid.make_runs([settings(), settings()], results)
