"""One forward pass of an architecture's network, and how its time and memory are measured."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.model_config import ModelConfig
from hwgpt_blackbox.errors import DataError, HWGPTError, InputError
from hwgpt_blackbox.profiling.machine import CPU, CUDA, Place, find_place
from hwgpt_blackbox.profiling.machine import threads as torch_threads
from hwgpt_blackbox.profiling.meters.common import Clock

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
"""Precisions; the lower ones by autocast, as in HW-GPT-Bench: weights are stored in float32."""

WARM_UP_PASSES, WARM_UP_SECONDS, MOST_WARM_UP_PASSES = 3, 0.1, 10_000
"""Passes before the first that is kept: so many, and for so long; but no more than the last, if the
clock stands still."""

SHORTEST = 2e-3
"""Seconds that a repeat takes at least: a shorter pass is repeated within it, and its mean counts.
Reading the clock takes about a microsecond, synchronising with a GPU some ten."""

CLOCK_ATTEMPTS = 3
"""Times that a repeat is measured before the clock is given up."""


class TooLargeError(HWGPTError):
    """A network does not fit into the memory of the device."""


@dataclass(frozen=True)
class ForwardPass:
    """A network and a batch of tokens on a device.

    :param model: the network
    :param tokens: shape (batch, length)
    :param place: the device
    """

    model: Callable[[torch.Tensor], torch.Tensor]
    tokens: torch.Tensor
    place: Place

    def run(self) -> None:
        """One pass, until the device has done it."""
        self.model(self.tokens)
        self.synchronise()

    def run_many(self, passes: int) -> None:
        """Several passes, until the device has done the last."""
        for _ in range(passes):
            self.model(self.tokens)
        self.synchronise()

    def synchronise(self) -> None:
        """Wait for the GPU; a CPU has finished when a pass returns."""
        if self.place.kind == CUDA:
            import torch

            torch.cuda.synchronize(self.place.index)


@contextmanager
def forward_pass(
    config: ModelConfig, place: Place, batch: int, length: int, dtype: str, *, compiled: bool
) -> Iterator[ForwardPass]:
    """A network with random weights on a device, within ``inference_mode`` and its precision.

    :param length: of sequences, also longer than those of the configuration
    :param dtype: of ``DTYPES``
    :param compiled: by ``torch.compile``
    :raises TooLargeError: it does not fit into memory, here or in the block
    :raises InputError: it cannot be compiled
    """
    import torch

    from hwgpt_blackbox.network.build import build_model

    precision = torch.autocast(place.kind, getattr(torch, dtype), enabled=dtype != DTYPES[0])
    try:
        config = replace(config, sequence_length=length)
        model: Any = build_model(config, device=str(place)).eval()
        tokens = torch.randint(config.vocabulary, (batch, length), device=str(place))
        with torch.inference_mode(), precision:
            if compiled:
                torch.compiler.reset()  # else networks count as one, and are not compiled any more
                model = torch.compile(model)
            yield ForwardPass(model, tokens, place)
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise TooLargeError(str(error).split("\n", 1)[0]) from None
    except (MemoryError, RuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
            raise TooLargeError(reason or "out of memory") from None
        if compiled:
            raise InputError(
                f"torch.compile fails here ({reason:.200}); leave --compile out, or install what "
                "it needs"
            ) from None
        raise


def warm_up(forward: ForwardPass, clock: Clock = time.perf_counter) -> float:
    """Passes that are not kept.

    :return: seconds that the last took
    """
    begin = now = before = clock()
    for passes in range(MOST_WARM_UP_PASSES):
        if passes >= WARM_UP_PASSES and now - begin >= WARM_UP_SECONDS:
            break
        before = clock()
        forward.run()
        now = clock()
    return now - before


def wall_times(
    forward: ForwardPass, repeats: int, pass_seconds: float, clock: Clock = time.perf_counter
) -> list[float]:
    """Wall time of a forward pass, in ms, in the order of measuring.

    :param repeats: how many
    :param pass_seconds: about how long a pass takes
    :raises DataError: the clock stands still or runs backwards
    """
    passes = max(1, math.ceil(SHORTEST / max(pass_seconds, 1e-6)))

    def repeat() -> float:
        begin = clock()
        forward.run_many(passes)
        return 1e3 * (clock() - begin) / passes

    return _positive(repeat, repeats)


def kernel_times(
    forward: ForwardPass, repeats: int, pass_seconds: float, clock: Clock = time.perf_counter
) -> list[float]:
    """Self time of all kernels of a forward pass by torch's profiler, in ms: the paper's latency.

    :param repeats: how many
    :raises DataError: the profiler has seen no kernel
    """
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it prints two lines a pass
    gpu = forward.place.kind == CUDA
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * gpu

    def repeat() -> float:
        with profile(activities=activities) as profiled:
            forward.run()
        return kernel_time(profiled.key_averages(), gpu=gpu)

    return _positive(repeat, repeats)


def kernel_time(events: Iterable[Any], *, gpu: bool) -> float:
    """Self time of all kernels, in ms.

    :param events: of torch's profiler, times in microseconds
    :param gpu: count what ran on a GPU. An operation on the CPU that launched a kernel has the
        kernel's time too, which is not counted twice
    """
    if not gpu:
        return sum(float(event.self_cpu_time_total) for event in events) / 1e3
    return (
        sum(
            float(event.self_device_time_total)
            for event in events
            if event.device_type.name == "CUDA" and not event.is_user_annotation
        )
        / 1e3
    )


METHODS = {"wall": wall_times, "kernels": kernel_times}
"""How latency is measured."""


def _positive(repeat: Callable[[], float], repeats: int) -> list[float]:
    """Repeats in ms; one that cannot be is measured again.

    :raises DataError: it cannot be again and again
    """
    found = []
    for _ in range(repeats):
        for _ in range(CLOCK_ATTEMPTS):
            value = repeat()
            if 0.0 < value < math.inf:
                break
        else:
            raise DataError(
                f"a forward pass took {value:g} ms by the clock of this machine, "
                f"{CLOCK_ATTEMPTS} times in a row; does the clock jump or stand still?"
            )
        found.append(value)
    return found


def measure_latency(
    config: ModelConfig,
    *,
    batch: int,
    length: int,
    dtype: str = DTYPES[0],
    on: str = CPU,
    repeats: int = 10,
    threads: int | None = None,
) -> float:
    """Mean wall time of a forward pass of one architecture on this machine, in ms.

    :param batch: sequences
    :param length: tokens of each
    :param dtype: of ``DTYPES``
    :param on: ``cpu``, ``cuda`` or ``cuda:<i>``
    :param repeats: of which the mean is taken, after warm-up passes
    :param threads: of torch; default: as many as it has
    :raises InputError: there is no such device
    :raises TooLargeError: the network does not fit into memory
    :raises DataError: the clock stands still or runs backwards
    """
    with (
        nullcontext() if threads is None else torch_threads(threads),
        forward_pass(config, find_place(on), batch, length, dtype, compiled=False) as forward,
    ):
        return fmean(wall_times(forward, repeats, warm_up(forward)))
