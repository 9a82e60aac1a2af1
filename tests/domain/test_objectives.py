"""Names of objectives: those of the blackboxes and those that users write."""

from __future__ import annotations

import pytest

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import Column, check_device, dataset_columns, parse_objective
from hwgpt_blackbox.errors import InputError

CONTRACT = [
    "metric_perplexity",
    "metric_error",
    "metric_latency",
    "metric_energy",
    "metric_memory_float16",
    "metric_memory_bfloat16",
    "metric_flops",
    "metric_params",
    "metric_elapsed_time",
]
THIRTEEN = [
    "a100",
    "a40",
    "h100",
    "rtx2080",
    "rtx3080",
    "a6000",
    "v100",
    "P100",
    "cpu_xeon_silver",
    "cpu_xeon_gold",
    "cpu_amd_7502",
    "cpu_amd_7513",
    "cpu_amd_7452",
]


def test_the_thirteen_devices():
    assert sorted(DEVICES) == sorted(THIRTEEN)


@pytest.mark.parametrize("device", THIRTEEN)
def test_objectives_of_a_device_are_the_contract(device):
    columns = dataset_columns(device)
    assert list(columns) == CONTRACT
    assert columns["metric_latency"] == Column("latency", device)
    assert columns["metric_perplexity"] == Column("perplexity")


def test_all_has_hardware_metrics_of_every_device_and_one_of_each_other():
    columns = dataset_columns("all")
    hardware = {f"metric_{m}_{d}" for m in ("latency", "energy", "elapsed_time") for d in THIRTEEN}
    shared = set(CONTRACT) - {"metric_latency", "metric_energy"}
    assert set(columns) == hardware | shared
    assert len(columns) == len(hardware) + len(shared)
    assert columns["metric_latency_rtx2080"] == Column("latency", "rtx2080")
    assert columns["metric_elapsed_time"] == Column("elapsed_time", "all")


@pytest.mark.parametrize("device", ["gtx", "", "ALL", "A100", None, 1, ("a100",)])
def test_unknown_device_names_the_value_and_the_known_ones(device):
    for function in (check_device, dataset_columns):
        with pytest.raises(InputError) as error:
            function(device)
        assert repr(device) in str(error.value)
        assert "rtx2080" in str(error.value)


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("perplexity", Column("perplexity")),
        ("latency@a100", Column("latency", "a100")),
        ("energy@cpu_amd_7513", Column("energy", "cpu_amd_7513")),
        ("elapsed_time@h100", Column("elapsed_time", "h100")),
        ("flops", Column("flops")),
        ("memory_float16", Column("memory_float16")),
    ],
)
def test_objectives_as_users_write_them(text, column):
    assert parse_objective(text) == column
    assert parse_objective(text).target == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("accuracy", "unknown objective 'accuracy'"),
        ("", "unknown objective"),
        (None, "unknown objective"),
        ("metric_latency@a100", "latency@a100"),
        ("latency_a100", "latency@DEVICE"),
        ("latncy@a100", "did you mean 'latency@a100'?"),
        ("Latency@V100", "did you mean 'v100'?"),
        ("Latency@v100", "did you mean 'latency@v100'?"),
        ("latency", "latency@rtx2080"),
        ("latency@", "needs a device"),
        ("latency@gtx", "unknown device 'gtx'"),
        ("latency@all", "unknown device 'all'"),
        ("latency@a100@a40", "unknown device 'a100@a40'"),
        ("perplexity@a100", "write perplexity"),
        ("perplexity@", "write perplexity"),
        ("Perplexity", "did you mean 'perplexity'?"),
        ("perplexty", "did you mean 'perplexity'?"),
    ],
)
def test_bad_objectives_name_value_and_cure(text, says):
    with pytest.raises(InputError) as error:
        parse_objective(text)
    assert says in str(error.value)
