"""The cost model behind the elapsed time."""

from __future__ import annotations

import numpy as np
import pytest

from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.errors import InputError


def test_seconds_are_setup_and_passes_at_the_expected_latency():
    model = CostModel(
        setup_seconds=7, warmup_passes=3, latency_repeats=10, energy_repeats=50,
        validation_batches=20,
    )  # fmt: skip
    assert model.seconds(200.0) == pytest.approx(7 + (3 + 10 + 50 + 20) * 0.2)
    np.testing.assert_allclose(model.seconds(np.array([0.0, 1000.0])), [7.0, 90.0])


def test_defaults_measure_what_hw_gpt_bench_measured():
    model = CostModel()
    assert (model.latency_repeats, model.energy_repeats) == (10, 50)
    assert model.seconds(1000.0) > model.seconds(0.0) > 0


def test_one_value_and_arrays_have_the_same_bits():
    model = CostModel(0.1, 0.3, 1.7, 2.9, 11.3)
    latencies = np.random.default_rng(0).lognormal(3, 2, size=5000)
    single = [model.seconds(x) for x in latencies.tolist()]
    np.testing.assert_array_equal(model.seconds(latencies), single)
    for share in (0.1, 0.7, 1.0):
        parts = [model.partial(x, share) for x in single]
        np.testing.assert_array_equal(model.partial(np.array(single), share), parts)


def test_a_share_of_the_repeats_costs_less_and_all_of_them_everything():
    model = CostModel()
    full = model.seconds(123.4)
    shares = [model.partial(full, k / 10) for k in range(1, 11)]
    assert shares == sorted(shares)
    assert len(set(shares)) == 10
    assert shares[-1] == full
    passes = model.warmup_passes + model.validation_batches + 0.3 * 60
    assert shares[2] == pytest.approx(model.setup_seconds + passes * 0.1234)


def test_without_passes_every_share_costs_the_setup():
    model = CostModel(5.0, 0, 0, 0, 0)
    assert model.partial(model.seconds(80.0), 0.1) == 5.0


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "3", None, 1 + 2j])
@pytest.mark.parametrize("name", ["setup_seconds", "validation_batches"])
def test_bad_costs_are_refused_by_name_and_value(name, value):
    with pytest.raises(InputError) as error:
        CostModel(**{name: value})
    assert name in str(error.value)
    assert repr(value) in str(error.value)


def test_free_evaluations_are_refused():
    with pytest.raises(InputError, match="free"):
        CostModel(0, 0, 0, 0, 0)
