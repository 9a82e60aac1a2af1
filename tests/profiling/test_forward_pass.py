"""Times of a pass by clocks that tests move, and passes of real networks."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fakes import TINY, FakeClock

from hwgpt_blackbox.domain.model_config import model_config
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.profiling.forward_pass import (
    DTYPES,
    METHODS,
    SHORTEST,
    ForwardPass,
    TooLargeError,
    forward_pass,
    kernel_time,
    measure_latency,
    wall_times,
    warm_up,
)
from hwgpt_blackbox.profiling.machine import CPU, Place
from hwgpt_blackbox.profiling.memory import memory_columns, memory_of_pass

torch = pytest.importorskip("torch")

LARGEST = {name: values[-1] for name, values in TINY.choices.items()}


class Model:
    """A network whose passes take given times, the last again and again."""

    def __init__(self, clock: FakeClock, *seconds: float) -> None:
        self.clock, self.seconds, self.passes = clock, seconds, 0

    def __call__(self, tokens: object) -> None:
        self.clock.move(self.seconds[min(self.passes, len(self.seconds) - 1)])
        self.passes += 1


def as_pass(model: Model) -> ForwardPass:
    return ForwardPass(model, None, Place(CPU))


def test_warm_up_takes_three_passes_and_a_tenth_of_a_second() -> None:
    clock = FakeClock()
    model = Model(clock, 1.0, 0.5, 0.2, 0.1)
    assert warm_up(as_pass(model), clock) == pytest.approx(0.2) and model.passes == 3
    model = Model(clock, 0.01)
    warm_up(as_pass(model), clock)
    assert model.passes in (10, 11)


def test_a_clock_that_stands_still_ends_the_warm_up_and_is_named() -> None:
    clock = FakeClock()
    model = Model(clock, 0.0)
    assert warm_up(as_pass(model), clock) == 0.0
    with pytest.raises(DataError, match="0 ms by the clock of this machine, 3 times in a row"):
        wall_times(as_pass(model), 10, 0.0, clock)


def test_repeats_are_in_order_and_long_enough() -> None:
    clock = FakeClock()
    assert wall_times(as_pass(Model(clock, 0.3, 0.2, 0.1)), 3, 0.2, clock) == pytest.approx(
        [300.0, 200.0, 100.0]
    )
    model = Model(clock, SHORTEST / 7.5)
    found = wall_times(as_pass(model), 2, SHORTEST / 7.5, clock)
    assert model.passes == 16 and found == pytest.approx([1e3 * SHORTEST / 7.5] * 2)


def test_a_repeat_in_which_the_clock_jumped_back_is_measured_again() -> None:
    clock = FakeClock()
    found = wall_times(as_pass(Model(clock, 0.2, -3600.0, 0.1)), 2, 0.2, clock)
    assert found == pytest.approx([200.0, 100.0])
    with pytest.raises(DataError, match="does the clock jump"):
        wall_times(as_pass(Model(clock, -1.0)), 1, 0.2, clock)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_real_networks_are_timed(dtype: str, method: str) -> None:
    config = model_config(TINY, LARGEST)
    with forward_pass(config, Place(CPU), 2, 16, dtype, compiled=False) as forward:
        assert torch.is_inference_mode_enabled()
        logits = forward.model(forward.tokens)
        assert logits.shape == (2, 16, 128) and logits.dtype == getattr(torch, dtype)
        assert next(forward.model.parameters()).dtype == torch.float32
        found = METHODS[method](forward, 2, warm_up(forward))
    assert len(found) == 2 and min(found) > 0.0


def test_the_latency_of_one_architecture_is_measured() -> None:
    config = model_config(TINY, {name: choices[0] for name, choices in TINY.choices.items()})
    assert 0 < measure_latency(config, batch=1, length=4, repeats=2) < 1e4
    longer = 2 * config.sequence_length  # as profile --length measures it
    assert 0 < measure_latency(config, batch=1, length=longer, repeats=1) < 1e4
    with pytest.raises(InputError, match="cuda:99"):
        measure_latency(config, batch=1, length=4, on="cuda:99")


def test_what_does_not_fit_into_memory_is_told_from_other_errors() -> None:
    config = model_config(TINY, LARGEST)
    with (
        pytest.raises(TooLargeError, match="allocate memory"),
        forward_pass(config, Place(CPU), 1, 16, "float32", compiled=False),
    ):
        torch.empty(1 << 60, dtype=torch.uint8)
    with (
        pytest.raises(RuntimeError, match="shape"),
        forward_pass(config, Place(CPU), 1, 16, "float32", compiled=False),
    ):
        torch.empty(3) + torch.empty(4).reshape(5)
    with (
        pytest.raises(InputError, match=r"torch\.compile fails here \(no compiler\); leave --comp"),
        forward_pass(config, Place(CPU), 1, 16, "float32", compiled=True),
    ):
        raise RuntimeError("no compiler\nand so on")
    huge = replace(config, vocabulary=1 << 50)
    with (
        pytest.raises(TooLargeError),
        forward_pass(huge, Place(CPU), 1, 16, "float32", compiled=False),
    ):
        pass


def test_kernels_of_a_gpu_are_counted_once() -> None:
    def event(kind: str, device: float, cpu: float, *, marked: bool = False) -> SimpleNamespace:
        return SimpleNamespace(
            device_type=SimpleNamespace(name=kind),
            self_device_time_total=device,
            self_cpu_time_total=cpu,
            is_user_annotation=marked,
        )

    events = [
        event("CPU", 500.0, 40.0),  # an operation, and the time of the kernel that it launched
        event("CUDA", 500.0, 0.0),
        event("CUDA", 250.0, 0.0),
        event("CUDA", 750.0, 0.0, marked=True),
    ]
    assert kernel_time(events, gpu=True) == pytest.approx(0.75)
    assert kernel_time(events, gpu=False) == pytest.approx(0.04)


def test_memory_of_a_gpu_is_after_a_pass_and_at_its_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    gpu = {"reset_peak_memory_stats": None, "memory_allocated": 3e6, "max_memory_allocated": 5e6}
    for name, value in {**gpu, "synchronize": None}.items():
        monkeypatch.setattr(
            torch.cuda, name, lambda index, name=name, value=value: said.append(name) or value
        )
    place = Place("cuda", 1)
    forward = ForwardPass(lambda tokens: said.append("pass"), None, place)
    assert memory_of_pass(forward, "float16") == [3.0, 5.0]
    assert memory_columns(place, "float16") == ["memory_float16", "memory_peak"]
    assert said == ["reset_peak_memory_stats", "pass", "synchronize", *list(gpu)[1:]]
    assert memory_of_pass(forward, "float32") == [5.0]
    assert memory_columns(place, "float32") == ["memory_peak"]
    assert memory_columns(Place(CPU), "float16") == []
