"""Parameters, FLOPs and MACs: the published values, all of them, and the formula by hand."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SPACES


def parse(name: str, encoding: Encoding) -> dict:
    """The configuration of an architecture string of the published data."""
    scale, layers, embed, *rest, bias = name.removeprefix("gpt-").split("-")
    assert scale == encoding.space.name
    n = int(layers)
    assert len(rest) == 2 * n
    config = {
        "num_layers": n,
        "embed_dim": int(embed),
        "bias": {"True": True, "False": False}[bias],
    }
    for part, values, smallest in (
        ("mlp_ratio", rest[:n], encoding.space.mlp_ratios[0]),
        ("num_heads", rest[n:], encoding.space.num_heads[0]),
    ):
        for i in range(encoding.space.max_layers):
            config[f"{part}_{i}"] = int(values[i]) if i < n else smallest
    return config


def read_published(path: Path) -> dict:
    """Names and counts of a published ``stats.pkl``, which this test trusts."""
    with path.open("rb") as file:
        stats = pickle.load(file)
    return {name: (entry["params"], entry["flops"]) for name, entry in stats.items()}


@pytest.mark.parametrize("space", ["s", "m", "l"])
def test_counts_equal_every_published_value(space, source_data):
    encoding = Encoding(SPACES[space])
    path = source_data / "data_collection" / "gpt_datasets" / f"gpt_{space}" / "stats.pkl"
    published = read_published(path)
    assert len(published) >= 9000
    matrix = encoding.encode([parse(name, encoding) for name in published])
    values = np.array(list(published.values()), dtype=np.int64)
    np.testing.assert_array_equal(count(encoding, matrix, "params"), values[:, 0])
    np.testing.assert_array_equal(count(encoding, matrix, "flops"), values[:, 1])


@pytest.mark.parametrize("name", SPACES)
def test_counts_equal_the_documented_formulas(name):
    space = SPACES[name]
    encoding = Encoding(space)
    matrix = encoding.sample(60, np.random.default_rng(0))
    expected = {"params": [], "flops": [], "macs": []}
    for config in encoding.decode(matrix):
        e, n, b = config["embed_dim"], config["num_layers"], int(config["bias"])
        m = sum(config[f"mlp_ratio_{i}"] for i in range(n))
        h = sum(config[f"num_heads_{i}"] for i in range(n))
        t = 1024 * space.batch_size
        expected["params"].append(
            e * (2 * 50254 + 2)
            + n * e * (4 + 2 * b)
            + (3 * e * e + 2 * b * e) * m
            + (256 * e + 192 * b) * h
        )
        expected["flops"].append(t * e * (2 * 50254 + 5 + 10 * n + (6 * e + 1) * m + 512 * h))
        expected["macs"].append(t * e * (50254 + 3 * e * m + 256 * h))
    for what, values in expected.items():
        np.testing.assert_array_equal(count(encoding, matrix, what), values)


@pytest.mark.parametrize("what", ["params", "flops", "macs"])
def test_counts_ignore_inactive_layers(what):
    encoding = Encoding(SPACES["s-wide"])
    rng = np.random.default_rng(1)
    matrix = rng.integers(0, encoding.sizes, size=(200, encoding.num_columns)).astype(np.uint8)
    canonical = encoding.canonical(matrix)
    assert (canonical != matrix).any()
    np.testing.assert_array_equal(count(encoding, matrix, what), count(encoding, canonical, what))
