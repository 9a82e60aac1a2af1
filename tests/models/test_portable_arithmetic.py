"""Arithmetic with the same bits everywhere: against exact references."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgpt_blackbox.models.portable_arithmetic import (
    exp,
    exp_one,
    log,
    mix64,
    mix64_one,
    to_grid,
    unit_interval,
    unit_interval_one,
)


def error_in_ulps(x: float, value: float) -> float:
    """Distance of ``value`` from e^x, in units in the last place of e^x."""
    with localcontext() as context:
        context.prec = 50
        exact = Decimal(x).exp()
        return float(abs(Decimal(value) - exact) / Decimal(math.ulp(float(exact))))


@settings(max_examples=300, deadline=None)
@given(st.floats(-699.9, 699.9))
def test_exp_is_within_two_units_in_the_last_place(x):
    assert error_in_ulps(x, exp_one(x)) <= 2


def test_exp_is_within_two_units_near_every_change_of_the_power_of_two():
    edges = (np.arange(-60, 60) + 0.5) * math.log(2)
    x = np.concatenate([edges, np.nextafter(edges, -999), np.nextafter(edges, 999), -edges])
    assert max(map(error_in_ulps, x.tolist(), exp(x).tolist())) <= 2
    assert exp_one(0.0) == 1.0


def test_exp_of_one_and_of_many_have_the_same_bits():
    x = np.random.default_rng(0).uniform(-699, 699, size=100_000)
    before = x.copy()
    many = exp(x)
    np.testing.assert_array_equal(many, [exp_one(v) for v in x.tolist()])
    np.testing.assert_array_equal(many, exp(x.reshape(1000, 100).T).T.reshape(-1))
    np.testing.assert_array_equal(many[1::7], exp(x[1::7]))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(many, np.exp(x), rtol=5e-16)


@settings(max_examples=300, deadline=None)
@given(st.floats(1e-300, 1e300) | st.floats(0.5, 2.0))
def test_log_is_within_two_units_in_the_last_place(x):
    (found,) = log(np.array([x])).tolist()
    with localcontext() as context:
        context.prec = 50
        exact = Decimal(x).ln()
        assert abs(Decimal(found) - exact) <= 2 * Decimal(math.ulp(float(exact)))


def test_log_of_one_is_zero():
    np.testing.assert_array_equal(log(np.ones(3)), np.zeros(3))


@settings(max_examples=60, deadline=None)
@given(
    terms=st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40),
    scale=st.sampled_from([1e-6, 1.0, 1e9]),
    seed=st.integers(0, 2**32),
)
def test_sums_of_grid_coefficients_are_exact_in_any_order(terms, scale, seed):
    values = np.array(terms) * scale
    largest = max(np.abs(values).sum(), 1e-300)
    grid = to_grid(values, largest)
    exact = math.fsum(grid)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        total = 0.0
        for value in rng.permutation(grid):
            total += value
        assert total == exact
    np.testing.assert_allclose(grid, values, atol=largest * 2.0**-46, rtol=0)


def test_grid_makes_a_difference():
    values = np.random.default_rng(0).normal(size=200)
    sums = {float(np.cumsum(np.random.default_rng(k).permutation(values))[-1]) for k in range(20)}
    assert len(sums) > 1  # else the property above shows nothing


def reference_splitmix(state: int) -> int:
    """First output of SplitMix64 with this state, as in Vigna's splitmix64.c."""
    mask = 2**64 - 1
    z = (state + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def test_mix_is_splitmix64():
    # published outputs of splitmix64.c from state 1234567
    golden, outputs, state = 0x9E3779B97F4A7C15, [], 1234567
    for _ in range(5):
        state = (state + golden) & (2**64 - 1)
        outputs.append(mix64_one(state))
    assert outputs == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert mix64_one(golden) == reference_splitmix(0)


def test_mix_of_one_and_of_many_are_equal():
    x = np.random.default_rng(1).integers(0, 2**64, size=5000, dtype=np.uint64)
    x[:3] = 0, 1, 2**64 - 1
    before = x.copy()
    mixed = mix64(x)
    np.testing.assert_array_equal(mixed, [mix64_one(int(v)) for v in x])
    np.testing.assert_array_equal(x, before)
    assert mix64_one((5 << 64) + 7) == mix64_one(7)
    u = unit_interval(mixed)
    np.testing.assert_array_equal(u, [unit_interval_one(int(v)) for v in mixed])


@pytest.mark.parametrize("word", [0, 1, 4095, 4096, 2**63, 2**64 - 4096, 2**64 - 1])
def test_unit_interval_is_open(word):
    u = unit_interval_one(word)
    assert 0.0 < u < 1.0
    assert unit_interval(np.array([word], dtype=np.uint64))[0] == u
    assert u == pytest.approx(word / 2**64, abs=2**-52)
