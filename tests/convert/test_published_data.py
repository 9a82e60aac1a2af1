"""The published data: needs a checkout, named by the environment variable HW_GPT_BENCH."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from syne_tune.blackbox_repository.blackbox_tabular import deserialize

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.perplexity_checkpoint import fitted_network
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import SPACES

RAW_COMPARED = {
    "s": {
        "rtx2080.latencies",
        "rtx2080.energies",
        "cpu_xeon_gold.latencies",
        "cpu_amd_7513.latencies",
        "float16_memory",
        "bfloat16_memory",
        "perplexity",
    },
    "m": {"perplexity"},
    "l": {"cpu_xeon_gold.latencies", "perplexity"},
}


@pytest.fixture(
    scope="module",
    params=["s", *(pytest.param(space, marks=pytest.mark.slow) for space in ("m", "l"))],
)
def published(request: pytest.FixtureRequest, source_data: Path) -> Iterator[tuple[str, Any, Any]]:
    """Space, measurements, and the dict as the standard unpickler reads it (it is trusted)."""
    space = request.param
    checkout = Checkout(source_data, SPACES[space])
    data = read_measurements(checkout)
    with checkout.stats.open("rb") as file:
        yield space, data, pickle.load(file)


def test_values_equal_the_source_exactly(
    published: tuple[str, Measurements, dict[str, Any]],
) -> None:
    space, data, stats = published
    assert set(data.source["architectures_compared_with_raw_output"]) == RAW_COMPARED[space]
    assert len(data) == len(stats)
    entries = list(stats.values())
    for d, device in enumerate(DEVICES.values()):
        latency = np.array([e[device.name]["latencies"] for e in entries])
        energy = np.array([e[device.name]["energies"] for e in entries]).reshape(len(entries), -1)
        assert (data.latency[d] == latency).all()
        assert (data.energy[d] == energy * device.energy_to_wh).all()
        assert data.latency_repeats[device.name] == latency.shape[1]
        assert data.energy_repeats[device.name] == energy.shape[1]
    for name, key in (("memory_float16", "float16_memory"), ("memory_bfloat16", "bfloat16_memory")):
        assert (getattr(data, name) == [e[key] for e in entries]).all()
    for key in ("flops", "params"):
        assert (getattr(data, key) == [e[key] for e in entries]).all()
    perplexity = [e.get("perplexity", np.nan) for e in entries]
    np.testing.assert_array_equal(data.perplexity, perplexity)
    np.testing.assert_array_equal(np.isnan(data.accuracy), np.isnan(data.perplexity))
    np.testing.assert_array_equal(data.error, 1.0 - data.accuracy)
    assert 0.55 < np.nanmin(data.error) < np.nanmax(data.error) < 0.65


def test_plausible_ranges_have_a_margin_of_two(
    published: tuple[str, Measurements, dict[str, Any]],
) -> None:
    _, data, _ = published
    for d, device in enumerate(DEVICES.values()):
        for values, (low, high) in (
            (data.latency[d], device.latency_range),
            (data.energy[d], device.energy_range),
        ):
            median = np.median(values, axis=1)
            assert 2 * low <= median.min() <= median.max() <= high / 2, device.name
            assert 1000 * median.min() > high, device.name
            assert median.max() / 1000 < low, device.name


def test_the_offset_of_the_published_network(
    published: tuple[str, Measurements, dict[str, Any]], source_data: Path
) -> None:
    pytest.importorskip("torch")
    space, data, _ = published
    network = fitted_network(Checkout(source_data, data.space), data.matrix, data.perplexity)
    expected = {"s": 0.0, "m": 0.0012678, "l": 0.0020271}[space]
    assert network.log_offset == pytest.approx(expected, abs=3e-5)
    both = ~np.isnan(data.perplexity)
    error = network(data.matrix[both]) - data.perplexity[both]
    assert abs(np.median(error)) < 0.003
    assert np.std(error) < 0.02
    for k in range(3):  # flat over the widths, on which perplexity depends most
        of_width = data.matrix[both][:, 1] == k
        assert abs(np.median(error[of_width])) < 0.006


@pytest.mark.slow
def test_the_command_within_memory(source_data: Path, tmp_path: Path, run_python: Any) -> None:
    """The largest space, by the command, and what Syne Tune then loads."""
    pytest.importorskip("torch")
    out = tmp_path / "out"
    words = ["convert", str(source_data), "--space", "l", "--out", str(out)]
    code = (
        "from hwgpt_blackbox.cli import main\n"
        f"code = main({words!r})\n"
        "peak = open('/proc/self/status').read().split('VmHWM:')[1].split()[0]\n"
        "print('MEASURED', code, peak)\n"
    )
    line = run_python(code).stdout.splitlines()[-1]
    _, code_, peak_kb = line.split()
    assert code_ == "0"
    assert int(peak_kb) < 2_000_000
    data = read_measurements(Checkout(source_data, SPACES["l"]))
    boxes = deserialize(str(out / "hwgpt-l-tabular"))
    repeat = np.arange(50) % 10
    for d, device in enumerate(DEVICES):
        values = dict(
            zip(
                (name for name in METRICS if name != "error"),  # which was not measured on all
                np.moveaxis(boxes[device].objectives_evaluations[:, :, 0], -1, 0),
                strict=True,
            )
        )
        assert (values["latency"] == data.latency[d][:, repeat]).all()
        assert (values["energy"] == data.energy[d]).all()
        assert (values["params"] == data.params[:, None]).all()
        measured = ~np.isnan(data.perplexity)
        assert (values["perplexity"][measured] == data.perplexity[measured, None]).all()
    with np.load(out / "hwgpt-l-tabular" / "side.npz", allow_pickle=False) as side:
        assert side["perplexity_filled"].sum() == (~measured).sum() == 8603
        assert np.isfinite(side["accuracy"]).sum() == 397
    assert (out / "hwgpt-l" / "manifest.json").is_file()
