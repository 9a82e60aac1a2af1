"""Measurement sets of a tiny space: what is in them, how they go on, and what is refused."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fakes import TINY, FakeMeter
from filelock import FileLock

from hwgpt_blackbox.errors import DataError, InputError, OutputError
from hwgpt_blackbox.profiling import Profiled, profile
from hwgpt_blackbox.profiling import memory as memory_module
from hwgpt_blackbox.profiling.forward_pass import TooLargeError
from hwgpt_blackbox.profiling.machine import Place
from hwgpt_blackbox.profiling.meters import MeterError, NoMeter
from hwgpt_blackbox.profiling.visits import Visits

pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def quick_visits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Visits that measure nothing, so that what is around them is quick; unless marked real."""
    monkeypatch.setattr("hwgpt_blackbox.profiling.visits.find_meter", lambda *_: NoMeter("none"))
    if "real" not in request.fixturenames:
        monkeypatch.setattr(
            Visits, "visit", lambda self, row: [1.0 + int(row.sum())] * self.conditions.repeats
        )


@pytest.fixture
def real() -> None:
    """Let visits measure."""


def measured(folder: Path, **options: Any) -> Profiled:
    """A set of 12 architectures, unless something else is asked for."""
    options = {"architectures": 12, "threads": 1, "repeats": 2, "progress": False} | options
    space, device = options.pop("space", TINY), options.pop("device", "mine")
    return profile(space, device, folder, **options)


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "mine.csv")


def test_a_set_holds_the_space_the_rows_and_the_conditions(tmp_path: Path, real: None) -> None:
    found = measured(tmp_path / "m", repeats=3)
    assert (found.architectures, found.new, found.skipped) == (12, 12, [])
    assert found.no_energy == "none"
    assert (tmp_path / "m" / "space.toml").read_text() == TINY.as_toml()
    rows = table(tmp_path / "m")
    assert list(rows.columns) == [
        *TINY.choices,
        *(f"latency_{i}" for i in range(3)),
        "reference",
        "seconds",
    ]
    assert (rows[[f"latency_{i}" for i in range(3)]] > 0.0).all(axis=None)
    assert rows["seconds"].is_monotonic_increasing and rows["seconds"].iloc[0] >= 0.0
    # First, last, and after each tenth of the architectures.
    assert rows["reference"].iloc[[0, -1]].tolist() == [1, 1] and rows["reference"].sum() == 13
    configurations = rows[rows["reference"] == 0][list(TINY.choices)]
    assert len(configurations.drop_duplicates()) == 12
    conditions = json.loads((tmp_path / "m" / "mine.json").read_text())
    assert conditions["batch_size"] == 2 and conditions["sequence_length"] == 16
    for key in ("device", "dtype", "method", "threads", "torch", "processor", "space", "energy"):
        assert key in conditions
    (session,) = conditions["sessions"]
    assert session["start"] < session["end"] and "load_average" in session


def test_the_same_command_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(tmp_path / "whole")
    visit, visits = Visits.visit, []

    def stop(self: Visits, row: np.ndarray) -> list[float]:
        if len(visits) == 9:
            raise KeyboardInterrupt
        visits.append(row)
        return visit(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Visits, "visit", stop)
        with pytest.raises(KeyboardInterrupt):
            measured(tmp_path / "m")
    before = (tmp_path / "m" / "mine.csv").read_bytes()
    found = measured(tmp_path / "m")
    assert (tmp_path / "m" / "mine.csv").read_bytes().startswith(before)
    assert found.architectures == 12 and found.new < 12
    names = list(TINY.choices)
    whole, parts = (
        t[t["reference"] == 0][names].reset_index(drop=True)
        for t in map(table, (tmp_path / "whole", tmp_path / "m"))
    )
    assert whole.equals(parts)  # in the same order, each once
    again = (tmp_path / "m" / "mine.csv").read_bytes()
    assert measured(tmp_path / "m").new == 0
    assert (tmp_path / "m" / "mine.csv").read_bytes() == again
    sessions = json.loads((tmp_path / "m" / "mine.json").read_text())["sessions"]
    assert ["end" in session for session in sessions] == [False, True, True]


def test_a_row_that_a_killed_process_left_half_is_measured_again(tmp_path: Path) -> None:
    measured(tmp_path / "m")
    path = tmp_path / "m" / "mine.csv"
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:8]) + rows[8][:-3])
    found = measured(tmp_path / "m")
    assert found.architectures == 12 and found.new > 0
    configurations = table(tmp_path / "m").query("reference == 0")[list(TINY.choices)]
    assert len(configurations) == len(configurations.drop_duplicates()) == 12


def test_more_architectures_prolong_a_set(tmp_path: Path) -> None:
    measured(tmp_path / "m")
    found = measured(tmp_path / "m", architectures=20)
    assert (found.architectures, found.new) == (20, 8)
    measured(tmp_path / "whole", architectures=20)
    names = list(TINY.choices)
    keys = [
        {tuple(row) for row in table(tmp_path / name).query("reference == 0")[names].to_numpy()}
        for name in ("m", "whole")
    ]
    assert keys[0] == keys[1]


def test_a_time_ends_profiling_with_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = Visits.visit

    def slow(self: Visits, row: np.ndarray) -> list[float]:
        time.sleep(0.02)
        return visit(self, row)

    monkeypatch.setattr(Visits, "visit", slow)
    found = measured(tmp_path / "m", architectures=None, minutes=0.01)
    assert 0 < found.architectures < 31
    assert table(tmp_path / "m")["reference"].iloc[[0, -1]].tolist() == [1, 1]


def test_the_order_is_random_and_that_of_the_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        measured(tmp_path / name, seed=seed)
    a, b, c = (table(tmp_path / name).query("reference == 0") for name in "abc")
    assert a["embed_dim"].tolist() == b["embed_dim"].tolist() != c["embed_dim"].tolist()
    assert a["embed_dim"].tolist() != [16, 16, 32, 32, 64, 64] * 2


@pytest.mark.parametrize(
    ("other", "key"),
    [
        ({"batch": 3}, "batch_size"),
        ({"length": 8}, "sequence_length"),
        ({"dtype": "bfloat16"}, "dtype"),
        ({"method": "kernels"}, "method"),
        ({"threads": 2}, "threads"),
        ({"repeats": 3}, "repeats"),
        ({"compiled": True}, "compiled"),
    ],
)
def test_other_conditions_are_refused(tmp_path: Path, other: dict[str, Any], key: str) -> None:
    measured(tmp_path / "m")
    before = {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    with pytest.raises(InputError, match=f"measured with {key} .*choose another folder"):
        measured(tmp_path / "m", architectures=20, **other)
    assert {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()} == before


def test_another_machine_torch_or_meter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(tmp_path / "m")
    path = tmp_path / "m" / "mine.json"
    conditions = json.loads(path.read_text())
    for key, value in (("processor", "Z80"), ("torch", "1.0"), ("energy", "RAPL")):
        path.write_text(json.dumps(conditions | {key: value}))
        with pytest.raises(InputError, match=f"measured with {key} {value}"):
            measured(tmp_path / "m")


def test_another_space_is_refused(tmp_path: Path) -> None:
    measured(tmp_path / "m")
    with pytest.raises(InputError, match="is of another space, tiny"):
        measured(tmp_path / "m", space=replace(TINY, mlp_ratios=(1, 2)))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"sessions": [{}]}', '{"sessions": 3}'])
def test_conditions_that_are_none_are_named(tmp_path: Path, content: str) -> None:
    measured(tmp_path / "m")
    (tmp_path / "m" / "mine.json").write_text(content)
    with pytest.raises(DataError, match=r"mine\.json holds no conditions of profiling"):
        measured(tmp_path / "m")


def test_rows_without_conditions_are_not_gone_on_with(tmp_path: Path) -> None:
    measured(tmp_path / "m")
    (tmp_path / "m" / "mine.json").unlink()
    with pytest.raises(InputError, match=r"mine\.json is missing"):
        measured(tmp_path / "m")


def test_a_table_with_a_row_that_is_no_row_is_named(tmp_path: Path) -> None:
    measured(tmp_path / "m")
    with (tmp_path / "m" / "mine.csv").open("a") as file:
        file.write("1,2,3\n")
    with pytest.raises(DataError, match="has a row that is not whole"):
        measured(tmp_path / "m")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "a100"}, "taken by HW-GPT-Bench"),
        ({"device": "my laptop"}, "letters, digits"),
        ({"device": "../x"}, "letters, digits"),
        ({"device": "quality"}, "table of perplexities"),
        ({"dtype": "float64"}, "unknown dtype 'float64'"),
        ({"method": "walls"}, "did you mean 'wall'"),
        ({"threads": 0}, "threads is 0"),
        ({"repeats": 0}, "repeats is 0"),
        ({"batch": 0}, "batch is 0"),
        ({"length": -1}, "length is -1"),
        ({"architectures": 0}, "architectures is 0"),
        ({"architectures": None, "minutes": -1.0}, "minutes is -1"),
        ({"architectures": None, "minutes": float("nan")}, "minutes is nan"),
        ({"minutes": 1.0}, "give one of them"),
        ({"seed": -1}, "seed is -1"),
        ({"on": "tpu"}, "expected cpu, cuda"),
        ({"space": "t"}, "unknown space"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        measured(tmp_path / "m", **options)
    assert not (tmp_path / "m").exists()


def test_too_little_memory_stops_before_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Place, "free_memory", lambda self: 200_000)
    with pytest.raises(InputError, match=r"takes about 0\.0 GB at batch 2 and length 16"):
        measured(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_memory_needed_holds_weights_and_logits() -> None:
    from hwgpt_blackbox.domain.model_config import model_config
    from hwgpt_blackbox.domain.spaces import SPACES

    largest = {name: values[-1] for name, values in SPACES["s"].choices.items()}
    config = model_config("s", largest)
    least = 4 * 190_594_560 + 4 * 8 * 1024 * 50254
    assert least < memory_module.memory_needed(config, 8, 1024, "float32") < 1.5 * least
    low = memory_module.memory_needed(config, 8, 1024, "float16")
    assert 6 * 190_594_560 + 2 * 8 * 1024 * 50254 < low < least


def test_an_architecture_that_does_not_fit_is_skipped_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    visit = Visits.visit

    def too_large(self: Visits, row: np.ndarray) -> list[float]:
        if row[1] == 2:
            raise TooLargeError("CUDA out of memory")
        return visit(self, row)

    monkeypatch.setattr(Visits, "visit", too_large)
    found = measured(tmp_path / "m")
    assert found.architectures == 8 and len(found.skipped) == 4
    assert all(name.startswith("gpt-tiny-") and "-64-" in name for name in found.skipped)
    assert "does not fit into memory (CUDA out of memory)" in caplog.text


def test_a_reference_that_does_not_fit_ends_profiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_large(self: Visits, row: np.ndarray) -> list[float]:
        raise TooLargeError("out of memory")

    monkeypatch.setattr(Visits, "visit", too_large)
    with pytest.raises(InputError, match="give a smaller --batch or --length"):
        measured(tmp_path / "m")


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(tmp_path / "m", architectures=6)
    before = (tmp_path / "m" / "mine.csv").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    visit = Visits.visit

    def fill(self: Visits, row: np.ndarray) -> list[float]:
        monkeypatch.setattr(os, "fsync", full)
        return visit(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Visits, "visit", fill)
        with pytest.raises(OutputError, match=r"No space left on device; the rows before stay"):
            measured(tmp_path / "m")
    assert (tmp_path / "m" / "mine.csv").read_bytes() == before
    monkeypatch.undo()


def test_a_clock_that_was_set_back_is_named_and_times_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measured(tmp_path / "m")
    path = tmp_path / "m" / "mine.json"
    conditions = json.loads(path.read_text())
    conditions["sessions"][0]["start"] += 1e6
    path.write_text(json.dumps(conditions))
    measured(tmp_path / "m", architectures=20)
    assert "it was set back" in caplog.text
    assert table(tmp_path / "m")["seconds"].is_monotonic_increasing


def test_two_processes_do_not_measure_into_one_folder(tmp_path: Path) -> None:
    measured(tmp_path / "m", architectures=6)
    with (
        FileLock(tmp_path / "m" / ".profiling.lock"),
        pytest.raises(InputError, match="another process measures into"),
    ):
        measured(tmp_path / "m")
    assert measured(tmp_path / "m").architectures == 12


def test_a_machine_that_changed_gets_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert measured(tmp_path / "steady").change == 0.0 and not caplog.text
    times = iter(np.linspace(1.0, 1.5, 100))
    monkeypatch.setattr(Visits, "visit", lambda self, row: [next(times)] * 2)
    found = measured(tmp_path / "m")
    assert found.change == pytest.approx(24 * 0.5 / 99, rel=0.01)
    assert "this machine changed" in caplog.text


def test_energy_is_a_column_where_a_meter_works(
    tmp_path: Path, real: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hwgpt_blackbox.profiling.visits.find_meter", lambda *_: FakeMeter(map(float, range(10**6)))
    )
    found = measured(tmp_path / "m", architectures=6)
    assert found.no_energy is None
    # Each pass raises this meter by a joule.
    assert table(tmp_path / "m")["energy_0"].to_numpy() == pytest.approx(1.0 / 3600.0)
    assert json.loads((tmp_path / "m" / "mine.json").read_text())["energy"] == "a fake meter"
    monkeypatch.setattr("hwgpt_blackbox.profiling.visits.find_meter", lambda *_: NoMeter("gone"))
    with pytest.raises(InputError, match=r"measured with energy a fake meter.*\(gone\)"):
        measured(tmp_path / "m")


def test_a_meter_that_does_not_work_at_first_is_left_out(
    tmp_path: Path, real: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = FakeMeter([1.0, 2.0, MeterError("the counter is gone")])
    monkeypatch.setattr("hwgpt_blackbox.profiling.visits.find_meter", lambda *_: broken)
    found = measured(tmp_path / "m", architectures=6)
    assert found.no_energy == "the counter is gone" and found.architectures == 6
    assert "energy_0" not in table(tmp_path / "m")


def test_a_meter_that_fails_later_stops_and_keeps_the_rows(
    tmp_path: Path, real: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = [*map(float, range(100)), MeterError("the GPU is lost")]
    monkeypatch.setattr(
        "hwgpt_blackbox.profiling.visits.find_meter", lambda *_: FakeMeter(readings)
    )
    with pytest.raises(MeterError, match="the GPU is lost"):
        measured(tmp_path / "m")
    rows = table(tmp_path / "m")
    assert len(rows) > 0 and rows.notna().all(axis=None)


def test_importing_does_not_load_torch(run_python: Any) -> None:
    done = run_python("import sys, hwgpt_blackbox.profiling; print('torch' in sys.modules)")
    assert done.stdout.strip() == "False"
