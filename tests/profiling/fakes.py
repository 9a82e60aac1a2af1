"""A tiny space, a clock that tests move, and a meter that they script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.profiling.meters import Meter

TINY = Space(
    "tiny",
    embed_dims=(16, 32, 64),
    num_layers=(2, 3, 4),
    mlp_ratios=(1, 2, 4),
    num_heads=(1, 2),
    batch_size=2,
    sequence_length=16,
    vocabulary=128,
    head_size=16,
)


class FakeClock:
    """A clock that moves when it is told to, and at each reading by ``tick`` seconds."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 100.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now

    def move(self, seconds: float) -> None:
        self.now += seconds


class FakeMeter(Meter):
    """A counter whose readings are what a script gives; an exception in it is raised."""

    name = "a fake meter"

    def __init__(self, script: Iterable[float | Exception]) -> None:
        self.script: Iterator[float | Exception] = iter(script)

    def joules(self) -> float:
        found = next(self.script)
        if isinstance(found, Exception):
            raise found
        return found


class WorkingMeter(Meter):
    """A counter of a device of 100 W that shows what it counted every ``update`` seconds."""

    name = "a fake meter"

    def __init__(self, clock: FakeClock, update: float = 0.05) -> None:
        self.clock, self.update = clock, update
        self.add = 0.0

    def joules(self) -> float:
        return 100.0 * (self.clock.now // self.update) * self.update + self.add
