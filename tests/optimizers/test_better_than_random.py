"""The methods search: on an additive problem they leave random search behind."""

from __future__ import annotations

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


@pytest.mark.parametrize("method", ["RE", "NSGA2", "LS"])
def test_better_than_random_search(method: str, simulate: Any) -> None:
    if method == "NSGA2":
        pytest.importorskip("pymoo")
    volumes = {
        name: [
            hypervolume(
                [metrics(config) for config in simulate(scheduler, metrics, 4).run(300).configs]
            )
            for scheduler in (
                make_scheduler(name, SPACE, ["error", "cost"], random_seed=seed)
                for seed in range(3)
            )
        ]
        for name in (method, "RS")
    }
    assert min(volumes[method]) > max(volumes["RS"]) + 0.01
