"""The energy of a pass from counters that are slow, wrap, jump, stand still or fail."""

from __future__ import annotations

import itertools

import pytest
from fakes import FakeClock, FakeMeter, WorkingMeter

from hwgpt_blackbox.profiling.meters import MeterError, energy_of_pass


def passes(clock: FakeClock, seconds: float):
    """A pass that takes this time."""
    return lambda: clock.move(seconds)


@pytest.mark.parametrize("seconds", [0.0004, 0.013, 0.3, 5.0])
@pytest.mark.parametrize("update", [0.001, 0.1])
def test_energy_is_power_times_the_time_of_a_pass(seconds: float, update: float) -> None:
    clock = FakeClock()
    found = energy_of_pass(WorkingMeter(clock, update), passes(clock, seconds), clock, clock.move)
    # Updates come between two passes: the count is off by a pass or an update at most.
    assert found == pytest.approx(100.0 * seconds / 3600.0, rel=0.08)


def test_the_loop_is_long_enough_for_a_slow_counter_and_no_longer() -> None:
    clock = FakeClock()
    energy_of_pass(WorkingMeter(clock, 0.1), passes(clock, 0.001), clock, clock.move)
    assert 1.9 <= clock.now - 100.0 <= 2.2
    clock = FakeClock()
    energy_of_pass(WorkingMeter(clock, 0.001), passes(clock, 0.0005), clock, clock.move)
    assert clock.now - 100.0 <= 0.1


def test_what_was_counted_before_the_first_update_does_not_matter() -> None:
    clock = FakeClock()
    meter = FakeMeter([7.0, 50.0, 51.0, 52.0, 53.0, 54.0])
    found = energy_of_pass(meter, passes(clock, 0.5), clock, clock.move)
    assert found == pytest.approx(1.0 / 3600.0)


def wrapping(clock: FakeClock):
    """A counter that wraps once, and is corrected two seconds later, as zeus does."""
    meter = WorkingMeter(clock)

    def reading() -> float:
        passed = clock.now - 100.0
        meter.add = -262_144.0 if 0.3 < passed < 1.5 else 0.0
        return WorkingMeter.joules(meter)

    return FakeMeter(iter(reading, None))


def test_a_counter_that_wraps_is_read_again() -> None:
    clock = FakeClock()
    found = energy_of_pass(wrapping(clock), passes(clock, 0.02), clock, clock.move)
    assert found == pytest.approx(100.0 * 0.02 / 3600.0, rel=0.05)


def test_a_counter_that_falls_again_and_again_is_given_up() -> None:
    clock = FakeClock()
    falling = FakeMeter(itertools.count(1e6, -1.0))
    with pytest.raises(MeterError, match="fell or jumped in 3 loops"):
        energy_of_pass(falling, passes(clock, 0.02), clock, clock.move)


def test_a_counter_that_jumps_is_not_believed() -> None:
    clock = FakeClock()
    jumping = FakeMeter(itertools.count(0.0, 1e9))
    with pytest.raises(MeterError, match="jumped"):
        energy_of_pass(jumping, passes(clock, 0.02), clock, clock.move)


def test_a_counter_that_stands_still_is_named() -> None:
    clock = FakeClock()
    with pytest.raises(MeterError, match="a fake meter stood still for 15 s"):
        energy_of_pass(FakeMeter(itertools.repeat(5.0)), passes(clock, 0.5), clock, clock.move)


def test_a_failure_of_the_meter_goes_through() -> None:
    clock = FakeClock()
    meter = FakeMeter([1.0, 2.0, MeterError("the GPU is lost")])
    with pytest.raises(MeterError, match="the GPU is lost"):
        energy_of_pass(meter, passes(clock, 0.1), clock, clock.move)
