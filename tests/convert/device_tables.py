"""Tables of a user's device, drawn from a latency that is a sum over layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, Encoding
from hwgpt_blackbox.domain.spaces import SPACES

SPACE = SPACES["s"]
ENCODING = Encoding(SPACE)


def architectures(n: int, seed: int = 0) -> np.ndarray:
    """Canonical architectures, every (embed_dim, bias) in equal numbers."""
    matrix = ENCODING.sample(n, np.random.default_rng(seed))
    matrix[:, EMBED_DIM], matrix[:, BIAS] = np.arange(n) % 3, np.arange(n) // 3 % 2
    return matrix


def true_latency(matrix: np.ndarray) -> np.ndarray:
    """Expected latency in ms: a sum over layers."""
    mlp, heads = ENCODING.layer_choices(matrix)
    layers = np.where(ENCODING.active(matrix), 1.0 + 0.5 * mlp + 0.3 * heads, 0.0)
    return (1.0 + matrix[:, EMBED_DIM]) * layers.sum(axis=1)


def frame(
    matrix: np.ndarray, repeats: int = 4, *, energy: bool = True, noise: float = 0.02, seed: int = 0
) -> pd.DataFrame:
    """A user's table: latency in ms, energy in Wh (a tenth of it)."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(ENCODING.decode(matrix))
    for metric, scale in {"latency": 1.0, "energy": 0.1}.items():
        for k in range(repeats if metric == "latency" or energy else 0):
            draws = np.exp(noise * rng.standard_normal(len(matrix)))
            table[f"{metric}_{k}"] = scale * true_latency(matrix) * draws
    return table


def write(table: pd.DataFrame, path: Path) -> Path:
    table.to_csv(path, index=False)
    return path
