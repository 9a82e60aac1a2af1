"""The methods search: on an additive problem they leave random search behind."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from syne_tune.config_space import choice

from hwgpt_blackbox.optimizers import make_scheduler

LAYERS = 12
SPACE = {f"w{i}": choice([1, 2, 4]) for i in range(LAYERS)}


def metrics(config: dict[str, int]) -> dict[str, float]:
    """Wider layers err less and cost more, each in its own proportion."""
    widths = np.array(list(config.values()))
    i = np.arange(LAYERS)
    return {"error": float(((1 + i) / widths).sum()), "cost": float(((12 - i) * widths).sum())}


def hypervolume(results: list[dict[str, float]]) -> float:
    """Area between the front and the worst corner, as a share of the box of all values."""
    ends = [metrics(dict.fromkeys(SPACE, w)) for w in (4, 1)]
    low = np.array([ends[0]["error"], ends[1]["cost"]])
    high = np.array([ends[1]["error"], ends[0]["cost"]])
    values = np.array([[result["error"], result["cost"]] for result in results])
    points = sorted(((values - low) / (high - low)).tolist())
    area, best = 0.0, 1.0
    for x, y in points:
        area += (1 - x) * max(0.0, best - y)
        best = min(best, y)
    return area


@pytest.mark.parametrize(
    ("method", "trials"), [("RE", 300), ("NSGA2", 300), ("LS", 300), ("RSBO", 40), ("EHVI", 40)]
)
def test_better_than_random_search(method: str, trials: int, simulate: Any) -> None:
    module = {"NSGA2": "pymoo", "RSBO": "botorch", "EHVI": "botorch"}.get(method)
    if module:
        pytest.importorskip(module)
    volumes = {
        name: [
            hypervolume(
                [metrics(config) for config in simulate(scheduler, metrics, 4).run(trials).configs]
            )
            for scheduler in (
                make_scheduler(name, SPACE, ["error", "cost"], random_seed=seed)
                for seed in range(3 if trials > 100 else 1)
            )
        ]
        for name in (method, "RS")
    }
    assert min(volumes[method]) > max(volumes["RS"]) + 0.01


@pytest.mark.parametrize("method", ["RSBO", "EHVI"])
def test_penalties_blind_nobody(method: str, simulate: Any) -> None:
    calls = itertools.count()

    def penalised(config: dict[str, int]) -> dict[str, float]:
        return {"error": 1e6, "cost": 1e6} if next(calls) in (3, 20) else metrics(config)

    def reached(name: str, problem: Any) -> float:
        scheduler = make_scheduler(name, SPACE, ["error", "cost"], random_seed=0)
        found = simulate(scheduler, problem, 4).run(40)
        return hypervolume([metrics(config) for config in found.configs])

    assert reached(method, penalised) > reached("RS", metrics) + 0.05
