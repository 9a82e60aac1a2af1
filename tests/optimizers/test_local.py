"""LS: neighbours of the Pareto front, until there are none left."""

from __future__ import annotations

from typing import Any

import pytest
from syne_tune.config_space import choice

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import LS, MultiObjectiveScheduler

SPACE = {f"x{i}": choice(list(range(4))) for i in range(8)}


def metrics(config: dict[str, int]) -> dict[str, float]:
    values = list(config.values())
    return {"low": float(sum(values)), "high": float(sum((3 - v) ** 2 for v in values))}


def dominated(a: dict[str, float], b: dict[str, float]) -> bool:
    return all(b[k] <= a[k] for k in a) and any(b[k] < a[k] for k in a)


@pytest.mark.parametrize("sample_size", [1, 10])
def test_suggests_neighbours_of_the_front(simulate: Any, sample_size: int) -> None:
    searcher = LS(SPACE, random_seed=0, initial=4, sample_size=sample_size)
    scheduler = MultiObjectiveScheduler(SPACE, ["low", "high"], searcher)
    configs = simulate(scheduler, metrics, workers=1).run(60).configs
    results = [metrics(config) for config in configs]
    for n in range(4, 60):
        front = [
            config
            for config, result in zip(configs[:n], results[:n], strict=True)
            if not any(dominated(result, other) for other in results[:n])
        ]
        assert any(sum(a[k] != configs[n][k] for k in a) == 1 for a in front)


def test_goes_on_at_random_when_the_neighbourhood_is_used_up(simulate: Any) -> None:
    best = dict.fromkeys(SPACE, 0)
    searcher = LS(SPACE, random_seed=0, initial=1, points_to_evaluate=[best])
    scheduler = MultiObjectiveScheduler(SPACE, ["low", "high"], searcher)

    def alone(config: dict[str, int]) -> dict[str, float]:
        return {k: float(config != best) for k in ("low", "high")}

    configs = simulate(scheduler, alone, workers=1).run(40).configs
    assert len({tuple(config.values()) for config in configs}) == 40
    assert sum(sum(v != 0 for v in config.values()) > 1 for config in configs) >= 40 - 25


@pytest.mark.parametrize("size", ["initial", "sample_size"])
def test_sizes_are_checked(size: str) -> None:
    with pytest.raises(InputError, match=f"{size}=0"):
        LS(SPACE, random_seed=0, **{size: 0})
