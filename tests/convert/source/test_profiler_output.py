"""The traps of the raw profiler output, and its disagreements with ``stats.pkl``."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_checkout import RAW, SUFFIX, Source, make_source

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.architecture_strings import ArchitectureStrings
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError

SOURCES = {space: make_source(space, n=24) for space in SUFFIX}
N = {space: len(source.names) for space, source in SOURCES.items()}

LATENCY, ENERGY = (
    "efficiency_observations_0_900.pkl",
    ("efficiency_energy_observations_tracker_0_900.pkl"),
)


@pytest.fixture
def source() -> Source:
    return SOURCES["s"].copy()


def read(source: Source, root: Path) -> Measurements:
    return read_measurements(Checkout(source.write(root), source.space))


@pytest.mark.parametrize("space", SUFFIX)
def test_every_kind_of_raw_output_is_compared(space: str, tmp_path: Path) -> None:
    data = read(SOURCES[space].copy(), tmp_path)
    assert data.source["architectures_compared_with_raw_output"] == dict.fromkeys(
        (
            "rtx2080.latencies",
            "rtx2080.energies",
            "cpu_xeon_gold.latencies",
            "cpu_amd_7513.latencies",
            "float16_memory",
            "bfloat16_memory",
            "perplexity",
        ),
        N[space],
    )
    assert (data.accuracy == 0.4).all()
    folder = f"{RAW}/latency_helix_cpu{SUFFIX[space]}"
    assert f"{folder}/efficiency_observations_900_10000.pkl" in data.source["files"]
    assert len(data) == N[space]


def test_units_are_read_per_repeat(source: Source, tmp_path: Path) -> None:
    entry = source.stats[source.names[0]]["cpu_xeon_gold"]
    row = source.raw["latency_cpu_meta"][LATENCY][0]
    entry["latencies"][:3] = [870.5, 2660.0, 2500.0]
    row["times_profiler_cpu"][:3] = [870.5, 2.66, 2_500_000.0]
    row["unit_cpu"][:3] = ["ms", "s", "us"]
    read(source, tmp_path)
    row["unit_cpu"][1] = "ms"
    with pytest.raises(DataError, match=r"repeat 1 of cpu_xeon_gold.latencies \(ms\) is 2.66;"):
        read(source, tmp_path)


def test_a_difference_in_the_last_bit_is_none(source: Source, tmp_path: Path) -> None:
    for row in source.raw["latency_rtx2080"][ENERGY]:
        row["energy_gpu"] = [np.nextafter(v, 1.0) for v in row["energy_gpu"]]
    read(source, tmp_path)


def test_values_of_inactive_layers_do_not_matter(source: Source, tmp_path: Path) -> None:
    shallow = source.raw["mem_a100"]["efficiency_observations_0_10000.pkl"]
    samples = [row["arch"] for row in shallow if row["arch"]["sample_n_layer"] == 10]
    assert samples
    for sample in samples:
        sample["sample_n_head"][10:] = [99, -1]
    read(source, tmp_path)


def test_gpu_mean_energies_in_the_latency_files_are_not_read(
    source: Source, tmp_path: Path
) -> None:
    for row in source.raw["latency_rtx2080"][LATENCY]:
        row["mean_energy_gpu"] = 1e9
    read(source, tmp_path)


def test_raw_output_may_lack_or_exceed_the_data_set(source: Source, tmp_path: Path) -> None:
    extra = source.names[-1]
    del source.stats[extra]
    del source.raw["latency_rtx2080"][ENERGY]
    del source.raw["mem_a100"]
    compared = read(source, tmp_path).source["architectures_compared_with_raw_output"]
    assert compared["cpu_xeon_gold.latencies"] == N["s"] - 1
    assert compared["rtx2080.energies"] == N["s"] - N["s"] // 2 - 1
    assert "bfloat16_memory" not in compared


def test_no_raw_output_at_all(source: Source, tmp_path: Path) -> None:
    source.raw, source.perplexity = {}, {}
    data = read(source, tmp_path)
    assert data.source["architectures_compared_with_raw_output"] == {}
    assert np.isnan(data.accuracy).all()
    assert np.isfinite(data.perplexity).all()


def test_a_perplexity_that_only_the_raw_output_has_counts(source: Source, tmp_path: Path) -> None:
    expected = source.stats[source.names[3]].pop("perplexity")
    assert read(source, tmp_path).perplexity[3] == expected


def test_numpy_1_pickles_of_protocol_3(source: Source, tmp_path: Path) -> None:
    def dump(data: Any) -> bytes:
        written = pickle.dumps(data, protocol=3)
        return written.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")

    source.write(tmp_path, dump=dump)
    raw = (tmp_path / RAW / "latency_cpu_meta" / LATENCY).read_bytes()
    assert b"numpy.core.multiarray" in raw
    read_measurements(Checkout(tmp_path, source.space))


Change = Callable[[Source], Any]


def _row(folder: str, file: str = LATENCY) -> Callable[[Source], dict[str, Any]]:
    return lambda source: source.raw[folder][file][2]


def _update(row: Callable[[Source], dict[str, Any]], **values: Any) -> Change:
    def change(source: Source) -> None:
        target = row(source)
        for key, value in values.items():
            target[key] = value(target[key]) if callable(value) else value

    return change


GPU, CPU = _row("latency_rtx2080"), _row("latency_cpu_meta")
TRACKER = _row("latency_rtx2080", ENERGY)
MEMORY = _row("mem_rtx2080", "efficiency_observations_0_10000.pkl")


def _perplexity_row(source: Source) -> dict[str, Any]:
    rows = source.perplexity["ppl_observations_tracker_0_1000.pkl"]
    return rows[len(rows) - 3]  # they stand in reverse


SPOILT: dict[str, tuple[Change, list[str]]] = {
    "another latency": (
        _update(GPU, times_profiler_gpu=lambda v: [v[0] * 1.001, *v[1:]]),
        ["latency_rtx2080", "rtx2080.latencies", "repeat 0", "stats.pkl has"],
    ),
    "units ignored": (
        _update(CPU, unit_cpu=["ms"] * 10),
        ["latency_cpu_meta/", "cpu_xeon_gold.latencies", "stats.pkl has"],
    ),
    "another energy": (
        _update(TRACKER, energy_gpu=lambda v: [*v[:-1], v[-1] * 2]),
        ["rtx2080.energies (Wh)", "repeat 49"],
    ),
    "energies said to be Wh": (_update(TRACKER, unit_energy="Wh"), ["rtx2080.energies (Wh)"]),
    "another energy of a CPU": (
        _update(CPU, mean_energy_cpu=lambda v: v * 1.01),
        ["cpu_xeon_gold.energies (Wh)"],
    ),
    "another memory": (_update(MEMORY, mean_mem=lambda v: v + 1), ["float16_memory (MB)"]),
    "another perplexity": (
        _update(_perplexity_row, perplexity=lambda v: v * 1.01),
        ["arch_ppl_bench_s", "perplexity is", "stats.pkl has"],
    ),
    "NaN accuracy": (_update(_perplexity_row, accuracy=float("nan")), ["accuracy", "nan"]),
    "accuracy in percent": (_update(_perplexity_row, accuracy=40.0), ["accuracy is 40"]),
    "unknown unit": (_update(CPU, unit_cpu=["min"] * 10), ["unknown unit 'min'", "known: s, ms"]),
    "unit of no text": (_update(CPU, unit_cpu=[None] * 10), ["unknown unit of type NoneType"]),
    "unknown unit of energy": (_update(TRACKER, unit_energy="J"), ["unknown unit 'J'"]),
    "too few units": (_update(CPU, unit_cpu=["s"]), ["1 units for 10 times"]),
    "no units": (_update(CPU, unit_cpu=None), ["0 units for 10 times"]),
    "no times": (_update(GPU, times_profiler_gpu=[]), ["neither GPU nor CPU"]),
    "two kinds of times": (_update(GPU, times_profiler_cpu=[1.0]), ["gpu and cpu"]),
    "fewer repeats": (
        _update(GPU, times_profiler_gpu=lambda v: v[:9], unit_gpu=["ms"] * 9),
        ["9 repeats of rtx2080.latencies", "stats.pkl has 10"],
    ),
    "NaN": (
        _update(GPU, times_profiler_gpu=lambda v: [float("nan"), *v[1:]]),
        ["times_profiler_gpu holds nan"],
    ),
    "missing energies": (_update(TRACKER, energy_gpu=None), ["0 repeats of rtx2080.energies"]),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_disagreement_names_file_architecture_and_values(
    name: str, source: Source, tmp_path: Path
) -> None:
    change, words = SPOILT[name]
    change(source)
    with pytest.raises(DataError) as caught:
        read(source, tmp_path)
    for word in (source.names[2], *words):
        assert word in str(caught.value)


def test_an_architecture_twice(source: Source, tmp_path: Path) -> None:
    rows = source.raw["latency_rtx2080"]["efficiency_observations_900_10000.pkl"]
    rows.append(source.raw["latency_rtx2080"][LATENCY][1])
    with pytest.raises(DataError, match=f"{source.names[1]} is there twice"):
        read(source, tmp_path)


@pytest.mark.parametrize(
    "sample",
    [
        None,
        [],
        {},
        {"sample_n_layer": 10},
        {"sample_n_layer": 11.5, "sample_n_head": [4] * 12, "sample_mlp_ratio": [2] * 12},
        {"sample_n_layer": [10], "sample_n_head": [4] * 12, "sample_mlp_ratio": [2] * 12},
    ],
)
def test_a_row_without_an_architecture(sample: Any, source: Source, tmp_path: Path) -> None:
    source.raw["mem_rtx2080"]["efficiency_observations_0_10000.pkl"][2]["arch"] = sample
    with pytest.raises(DataError, match=r"0_10000\.pkl: row 2: 'arch' is no architecture"):
        read(source, tmp_path)


@pytest.mark.parametrize("write", [str, np.bool_, bool])
def test_bias_is_a_boolean_or_its_text(write: Callable[[Any], Any]) -> None:
    sample = {
        "sample_n_layer": 10,
        "sample_embed_dim": 192,
        "sample_mlp_ratio": [2] * 12,
        "sample_n_head": [4] * 12,
    }
    rows = ArchitectureStrings(get_space("s"))
    found = [rows.from_sample(sample | {"sample_bias": write(b)}, "x")[2] for b in (False, True)]
    assert found == [0, 1]
    with pytest.raises(DataError, match="no architecture"):
        rows.from_sample(sample | {"sample_bias": "no"}, "x")


def test_a_folder_of_another_scale(source: Source, tmp_path: Path) -> None:
    source.raw["mem_rtx2080"] = SOURCES["m"].raw["mem_rtx2080"]
    with pytest.raises(DataError, match="folder of its own scale"):
        read(source, tmp_path)


@pytest.mark.parametrize("rows", [{}, [1], "x"])
def test_a_file_that_is_no_list_of_rows(rows: Any, source: Source, tmp_path: Path) -> None:
    source.raw["latency_rtx2080"][LATENCY] = rows
    with pytest.raises(DataError, match="is no list of dicts"):
        read(source, tmp_path)


def test_chunks_are_read_by_number_not_by_name(tmp_path: Path) -> None:
    source = SOURCES["s"].copy()
    checkout = Checkout(source.write(tmp_path), source.space)
    (tmp_path / RAW / "latency_rtx2080" / "notes.txt").write_text("x")
    (tmp_path / RAW / "latency_rtx2080" / "efficiency_observations_10000_20000.pkl").write_text("")
    names = [p.name for p in checkout.raw_chunks("latency_rtx2080", "efficiency_observations")]
    assert names == [
        "efficiency_observations_0_900.pkl",
        "efficiency_observations_900_10000.pkl",
        "efficiency_observations_10000_20000.pkl",
    ]
