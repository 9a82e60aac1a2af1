"""Measurement sets of a small space, drawn from sums over layers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, Encoding
from hwgpt_blackbox.domain.spaces import Space

TINY = Space(
    "tiny",
    embed_dims=(32, 64),
    num_layers=(2, 3, 4, 6),
    mlp_ratios=(1, 2, 3, 4, 6),
    num_heads=(1, 2, 4, 8),
    batch_size=4,
    sequence_length=128,
    vocabulary=512,
    head_size=8,
    network="gelu-tied",
)
"""Two, four and five choices."""


def drawn(n: int, seed: int = 0, space: Space = TINY) -> np.ndarray:
    """Architectures, as many of each embed_dim with and without bias."""
    matrix = Encoding(space).sample(n, np.random.default_rng(seed))
    widths = len(space.embed_dims)
    matrix[:, EMBED_DIM], matrix[:, BIAS] = np.arange(n) % widths, np.arange(n) // widths % 2
    return matrix


def layer_sums(matrix: np.ndarray, space: Space = TINY) -> np.ndarray:
    """A sum over layers of (log MLP ratio + heads / 8), times the place of the width."""
    encoding = Encoding(space)
    mlp, heads = encoding.layer_choices(matrix)
    each = 1.0 + np.log(space.mlp_ratios)[mlp] + np.array(space.num_heads)[heads] / 8.0
    total = np.where(encoding.active(matrix), each, 0.0).sum(axis=1)
    return np.asarray((1.0 + matrix[:, EMBED_DIM]) * total)


def true_latency(matrix: np.ndarray, space: Space = TINY) -> np.ndarray:
    """Expected latency in ms."""
    return 0.5 + 0.2 * layer_sums(matrix, space)


def true_perplexity(matrix: np.ndarray, space: Space = TINY) -> np.ndarray:
    return np.asarray(60.0 * np.exp(-0.03 * layer_sums(matrix, space)))


def hardware(
    matrix: np.ndarray,
    space: Space = TINY,
    *,
    repeats: int = 3,
    energy: bool = True,
    memory: bool = False,
    speed: float = 1.0,
    noise: float = 0.02,
    seed: int = 0,
) -> pd.DataFrame:
    """A device's table: latency in ms, energy in Wh at 50 W, memory in MB."""
    rng, latency = np.random.default_rng(seed), true_latency(matrix, space) / speed
    table = pd.DataFrame(Encoding(space).decode(matrix))
    for k in range(repeats):
        table[f"latency_{k}"] = latency * np.exp(noise * rng.standard_normal(len(matrix)))
    for k in range(repeats if energy else 0):
        draws = np.exp(noise * rng.standard_normal(len(matrix)))
        table[f"energy_{k}"] = 50.0 * latency / 3.6e6 * draws
    if memory:
        table["memory_bfloat16"] = 10.0 + 0.3 * layer_sums(matrix, space)
    return table


def quality(matrix: np.ndarray, space: Space = TINY) -> pd.DataFrame:
    """A table of perplexity and error."""
    table = pd.DataFrame(Encoding(space).decode(matrix))
    table["perplexity"] = true_perplexity(matrix, space)
    table["error"] = 0.4 + 0.002 * true_perplexity(matrix, space)
    return table


def write_set(folder: Path, tables: dict[str, pd.DataFrame], space: Space = TINY) -> Path:
    """A measurement set: the space's file, and a CSV file for each table."""
    folder.mkdir(parents=True)
    (folder / "space.toml").write_text(space.as_toml())
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return folder
