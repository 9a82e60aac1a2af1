"""Bad input in ``stats.pkl``, and what later versions of it may hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_checkout import Source, make_source

from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.stats_file import Stats, read_stats
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError

FIXED = make_source(n=24)
BAD = 5
"""The entry that is spoilt."""


@pytest.fixture
def source() -> Source:
    return FIXED.copy()


def read(source: Source, root: Path) -> Stats:
    return read_stats(Checkout(source.write(root), source.space))


def test_units_shapes_and_order(source: Source, tmp_path: Path) -> None:
    stats = read(source, tmp_path)
    assert stats.names == source.names
    np.testing.assert_array_equal(stats.matrix, source.matrix)
    assert stats.matrix.dtype == np.uint8
    for d, device in enumerate(DEVICES.values()):
        for i, entry in enumerate(source.stats.values()):
            latency, energy = entry[device.name]["latencies"], entry[device.name]["energies"]
            assert (stats.series["latencies"][d, i] == np.array(latency)).all()
            in_wh = np.array(energy) * (1000.0 if isinstance(energy, list) else 1.0)
            assert (stats.series["energies"][d, i] == in_wh).all()
    assert stats.measured["latencies"]["cpu_amd_7513"] == 1
    assert stats.measured["latencies"]["cpu_amd_7452"] == 10
    assert stats.measured["energies"]["cpu_amd_7513"] == 1
    assert stats.measured["energies"]["a100"] == 50


def _arrays(values: Any) -> Any:
    return np.array(values)


def _scalars(values: Any) -> Any:
    return [np.float64(v) for v in values] if isinstance(values, list) else np.float64(values)


@pytest.mark.parametrize("wrap", [_arrays, _scalars, lambda v: tuple(v) if type(v) is list else v])
def test_arrays_and_scalars_of_numpy_read_as_lists_do(
    wrap: Callable[[Any], Any], source: Source, tmp_path: Path
) -> None:
    expected = read(source, tmp_path / "a")
    for entry in source.stats.values():
        for device in DEVICES:
            for key in ("latencies", "energies"):
                entry[device][key] = wrap(entry[device][key])
        for key in ("float16_memory", "bfloat16_memory", "perplexity"):
            entry[key] = np.float64(entry[key])
        for key in ("flops", "params"):
            entry[key] = np.int64(entry[key])
    again = read(source, tmp_path / "b")
    for key in ("latencies", "energies"):
        np.testing.assert_array_equal(again.series[key], expected.series[key])
    assert again.measured == expected.measured
    np.testing.assert_array_equal(again.perplexity, expected.perplexity)
    np.testing.assert_array_equal(again.counts["flops"], expected.counts["flops"])


def test_a_single_wild_repeat_is_kept(source: Source, tmp_path: Path) -> None:
    entry = source.stats[source.names[BAD]]
    entry["a100"]["energies"][7] *= 1900.0
    entry["cpu_xeon_gold"]["latencies"][0] *= 25.0
    stats = read(source, tmp_path)
    wild = entry["a100"]["energies"][7] * 1000.0
    assert stats.series["energies"][list(DEVICES).index("a100"), BAD, 7] == wild


def test_an_absent_perplexity_is_not_an_error(source: Source, tmp_path: Path) -> None:
    del source.stats[source.names[BAD]]["perplexity"]
    assert np.isnan(read(source, tmp_path).perplexity).sum() == 1


Spoil = Callable[[dict[str, Any]], Any]


def _set(*keys: Any) -> Callable[[Any], Spoil]:
    def to(value: Any) -> Spoil:
        def spoil(entry: dict[str, Any]) -> None:
            target = entry
            for key in keys[:-1]:
                target = target[key]
            target[keys[-1]] = value(target[keys[-1]]) if callable(value) else value

        return spoil

    return to


def _drop(*keys: Any) -> Spoil:
    def spoil(entry: dict[str, Any]) -> None:
        target = entry
        for key in keys[:-1]:
            target = target[key]
        del target[keys[-1]]

    return spoil


LATENCIES, ENERGIES = ("rtx2080", "latencies"), ("rtx2080", "energies")
CPU_ENERGY = ("cpu_xeon_gold", "energies")

SPOILT: dict[str, tuple[Spoil, list[str]]] = {
    "missing device": (_drop("rtx2080"), ["rtx2080"]),
    "device is no dict": (_set("rtx2080")([1.0]), ["rtx2080"]),
    "missing latencies": (_drop(*LATENCIES), ["rtx2080.latencies", "missing"]),
    "missing energies": (_drop(*CPU_ENERGY), ["cpu_xeon_gold.energies", "missing"]),
    "missing memory": (_drop("float16_memory"), ["float16_memory", "missing"]),
    "missing flops": (_drop("flops"), ["flops", "missing"]),
    "NaN": (_set(*LATENCIES, 3)(float("nan")), ["rtx2080.latencies", "nan"]),
    "infinite": (_set(*ENERGIES, 3)(float("inf")), ["rtx2080.energies", "inf"]),
    "NaN energy of a CPU": (_set(*CPU_ENERGY)(float("nan")), ["cpu_xeon_gold", "nan"]),
    "NaN perplexity": (_set("perplexity")(float("nan")), ["perplexity", "nan"]),
    "NaN memory": (_set("bfloat16_memory")(float("nan")), ["bfloat16_memory", "nan"]),
    "negative": (_set(*LATENCIES, 3)(-2.5), ["rtx2080.latencies", "-2.5"]),
    "zero": (_set(*ENERGIES, 49)(0.0), ["rtx2080.energies", "0"]),
    "negative memory": (_set("float16_memory")(-5.0), ["float16_memory", "-5"]),
    "negative energy of a CPU": (_set(*CPU_ENERGY)(-0.5), ["cpu_xeon_gold.energies", "-0.5"]),
    "too few repeats": (_set(*LATENCIES)(lambda v: v[:9]), ["rtx2080.latencies", "9 repeats"]),
    "no repeats": (_set(*LATENCIES)([]), ["rtx2080.latencies", "0 repeats"]),
    "too many repeats": (_set(*ENERGIES)(lambda v: v * 2), ["rtx2080.energies", "100 repeats"]),
    "one of ten repeats": (_set(*LATENCIES)(lambda v: v[0]), ["rtx2080.latencies", "1 repeats"]),
    "text": (_set(*LATENCIES, 3)("65.7"), ["rtx2080.latencies", "str"]),
    "truth": (_set(*LATENCIES, 3)(True), ["rtx2080.latencies", "bool"]),
    "none": (_set(*LATENCIES, 3)(None), ["rtx2080.latencies", "NoneType"]),
    "nested": (_set(*LATENCIES, 3)([1.0]), ["rtx2080.latencies", "list"]),
    "matrix": (_set(*LATENCIES)(np.ones((2, 5))), ["rtx2080.latencies", "(2, 5)"]),
    "array of text": (_set(*LATENCIES)(np.array(["1"] * 10)), ["rtx2080.latencies", "<U1"]),
    "huge integer": (_set(*LATENCIES, 3)(10**400), ["rtx2080.latencies"]),
    "slip of 1000 up": (
        _set(*LATENCIES)(lambda v: [x * 1000 for x in v]),
        ["rtx2080.latencies", "unit", " ms"],
    ),
    "slip of 1000 down": (
        _set(*ENERGIES)(lambda v: [x / 1000 for x in v]),
        ["rtx2080.energies", "unit", " Wh"],
    ),
    "energy of a CPU in kWh": (
        _set(*CPU_ENERGY)(lambda v: v / 1000),
        ["cpu_xeon_gold.energies", "unit"],
    ),
    "energy of a GPU in Wh": (
        _set(*ENERGIES)(lambda v: [x * 1000 for x in v]),
        ["rtx2080.energies", "unit"],
    ),
    "latency of a CPU in s": (
        _set("cpu_xeon_gold", "latencies")(lambda v: [x / 1000 for x in v]),
        ["cpu_xeon_gold.latencies", "unit"],
    ),
    "memory in bytes": (_set("float16_memory")(lambda v: v * 2**20), ["float16_memory", "MB"]),
    "absurd perplexity": (_set("perplexity")(1e6), ["perplexity", "1000000"]),
    "flops of another": (_set("flops")(lambda v: v + 1), ["flops", "another architecture"]),
    "params of another": (_set("params")(lambda v: v - 64), ["params", "another architecture"]),
    "fractional params": (_set("params")(lambda v: v + 0.5), ["params", "integer"]),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_bad_value_names_file_architecture_and_value(
    name: str, source: Source, tmp_path: Path
) -> None:
    spoil, words = SPOILT[name]
    spoil(source.stats[source.names[BAD]])
    with pytest.raises(DataError) as caught:
        read(source, tmp_path)
    for word in ("gpt_s/stats.pkl", source.names[BAD], *words):
        assert word in str(caught.value)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("key", ["latencies", "energies"])
@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_unit_slip_of_any_device_is_an_error(
    device: str, key: str, factor: float, source: Source, tmp_path: Path
) -> None:
    for entry in source.stats.values():
        entry[device][key] = (np.array(entry[device][key]) * factor).tolist()
    with pytest.raises(DataError, match=rf"stats\.pkl: gpt-s-.*: {device}\.{key} is .*24 of 24"):
        read(source, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("gpt-s", "gpt-m"),
        lambda name: name.replace("gpt-s", "bert-s"),
        lambda name: name + "-True",
        lambda name: name.rsplit("-", 1)[0] + "-Maybe",
        lambda name: name.rsplit("-", 1)[0] + "-true",
        lambda name: name.replace("-s-1", "-s-01"),
        lambda name: name.replace("-4-", "-7-", 1),
        lambda name: name.replace("gpt-s-1", "gpt-s-3"),
        lambda name: name.replace("768", "769").replace("384", "385").replace("192", "193"),
        lambda name: "",
    ],
)
def test_an_architecture_of_no_space(
    change: Callable[[str], str], source: Source, tmp_path: Path
) -> None:
    name = next(n for n in source.names if "-4-" in n)
    source.stats[change(name)] = source.stats.pop(name)
    with pytest.raises(DataError, match=r"stats\.pkl: .* is no architecture of space s"):
        read(source, tmp_path)


@pytest.mark.parametrize("data", [[], {}, {"gpt-s": 1}, [1, 2], None, "text", 3.5])
def test_a_file_that_is_something_else(data: Any, source: Source, tmp_path: Path) -> None:
    source.stats = data
    source.write(tmp_path)
    with pytest.raises(DataError, match=r"stats\.pkl"):
        read_stats(Checkout(tmp_path, SPACES["s"]))


def test_an_entry_that_is_no_dict(source: Source, tmp_path: Path) -> None:
    source.stats[source.names[BAD]] = [1.0]  # type: ignore[assignment]
    with pytest.raises(DataError, match="is a list, not a dict"):
        read(source, tmp_path)


def test_a_source_that_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no folder; expected a checkout"):
        Checkout(tmp_path / "none", SPACES["s"])
    with pytest.raises(DataError, match=r"has no data_collection/gpt_datasets/gpt_m/stats\.pkl"):
        Checkout(tmp_path, SPACES["m"])
