"""Parameters, FLOPs and MACs: the published values, all of them, and the formula by hand."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import own_space

from hwgpt_blackbox import build_model
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import model_config
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import NETWORKS, SPACES


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


def maps_of(config):
    """The maps and normalisations of the trained network, in any order; weights take no memory."""
    linear, e, bias = torch.nn.Linear, config.embed_dim, config.bias
    with torch.device("meta"):
        found = [torch.nn.Embedding(config.vocabulary, e), torch.nn.LayerNorm(e)]
        for ratio, heads in zip(config.mlp_ratios, config.num_heads, strict=True):
            width = heads * config.head_size
            found += [torch.nn.LayerNorm(e), torch.nn.LayerNorm(e)]
            found += [linear(e, 3 * width, bias), linear(width, e, bias)]
            found += [linear(e, ratio * e, bias), linear(ratio * e, e, bias)]
    return torch.nn.ModuleList(found)


def counted(config, modules):
    """Parameters, FLOPs and MACs a token, counted on torch's modules."""
    norms = [m for m in modules if isinstance(m, torch.nn.LayerNorm)]
    macs = sum(m.weight.numel() for m in modules if isinstance(m, torch.nn.Linear))
    if config.network == "gelu-tied":  # the output layer is the embedding
        macs += config.embed_dim * config.vocabulary
    activated = config.embed_dim * sum(config.mlp_ratios)
    return {
        "params": sum(p.numel() for m in modules for p in m.parameters(recurse=False)),
        "flops": 2 * macs + 5 * sum(m.weight.numel() for m in norms) + activated,
        "macs": macs,
    }


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", ["s", "m-wide", "mine"])
def test_counts_equal_those_of_built_modules(name, network):
    space = own_space() if name == "mine" else SPACES[name]
    space = dataclasses.replace(space, name="mine", network=network)
    encoding = Encoding(space)
    matrix = encoding.sample(12, np.random.default_rng(3))
    tokens = space.batch_size * space.sequence_length
    for row, configuration in zip(matrix, encoding.decode(matrix), strict=True):
        config = model_config(space, configuration)
        built = build_model(config, device="meta") if network == "gated" else maps_of(config)
        expected = counted(config, list(built.modules()))
        assert config.num_parameters == expected["params"]
        for what, value in expected.items():
            scale = 1 if what == "params" else tokens
            assert count(encoding, row[None], what) == scale * value, what
