"""Exact parameters, FLOPs and MACs of an architecture.

The formulas reproduce all published values (30,000 architectures of the gated network). Products
inside attention are not counted; a normalisation counts five FLOPs an entry, an activation one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space

ATTENTION_WIDTHS = 4
"""Query, key, value and output projections of a head."""


class _Maps(NamedTuple):
    """How many linear maps a kind of network has in each MLP, and tables of the vocabulary."""

    mlp: int
    tables: int


_MAPS = {"gated": _Maps(3, 2), "gelu-tied": _Maps(2, 1)}


class Sizes(Protocol):
    """What else determines counts: a space has it, and a model configuration."""

    @property
    def vocabulary(self) -> int:
        """Entries of the token embedding."""

    @property
    def head_size(self) -> int:
        """Width of a head."""

    @property
    def network(self) -> str:
        """Kind of network, of ``NETWORKS``."""


def tokens(space: Space) -> int:
    """Tokens of one forward pass."""
    return space.sequence_length * space.batch_size


def layer_terms(
    sizes: Sizes, embed_dim: int, bias: int, mlp_ratio: int, num_heads: int
) -> dict[str, int]:
    """What one layer adds to each count (FLOPs and MACs per token).

    :param sizes: a space or a model configuration
    :param embed_dim: width, a value of the space
    :param bias: 0 or 1
    :param mlp_ratio: MLP ratio of the layer
    :param num_heads: heads of the layer
    """
    e, b, m, h = embed_dim, bias, mlp_ratio, num_heads
    maps, size = _MAPS[sizes.network].mlp, sizes.head_size
    heads = ATTENTION_WIDTHS * size * e * h
    inputs = (ATTENTION_WIDTHS - 1) * size * h  # of attention that have a bias each
    return {
        "params": e * (4 + 2 * b) + (maps * e * e + (maps - 1) * b * e) * m + heads + b * inputs,
        "flops": e * (10 + (2 * maps * e + 1) * m) + 2 * heads,
        "macs": maps * e * e * m + heads,
    }


def base_terms(sizes: Sizes, embed_dim: int) -> dict[str, int]:
    """What an architecture without layers counts (FLOPs and MACs per token)."""
    e, tables = embed_dim, _MAPS[sizes.network].tables
    return {
        "params": e * (tables * sizes.vocabulary + 2),
        "flops": e * (2 * sizes.vocabulary + 5),
        "macs": e * sizes.vocabulary,
    }


def largest_flops(space: Space) -> int:
    """FLOPs of a forward pass of the largest architecture of a space."""
    e = space.embed_dims[-1]
    layer = layer_terms(space, e, 1, space.mlp_ratios[-1], space.num_heads[-1])["flops"]
    return tokens(space) * (base_terms(space, e)["flops"] + space.max_layers * layer)


def count_terms(space: Space, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parameters, FLOPs or MACs as sums: of an architecture without layers, and of each layer.

    :param what: ``params`` (count), ``flops`` or ``macs`` (per forward pass of one batch)
    :return: shapes (embed_dims,) and (embed_dims, 2, mlp_ratios, num_heads), the second axis the
        bias
    """
    scale = 1 if what == "params" else tokens(space)
    start = [base_terms(space, e)[what] for e in space.embed_dims]
    layer = [
        [
            [
                [layer_terms(space, e, b, m, h)[what] for h in space.num_heads]
                for m in space.mlp_ratios
            ]
            for b in (0, 1)
        ]
        for e in space.embed_dims
    ]
    return scale * np.array(start, dtype=np.int64), scale * np.array(layer, dtype=np.int64)


def count(encoding: Encoding, matrix: IntMatrix, what: str) -> NDArray[np.int64]:
    """Parameters, FLOPs or MACs of architectures.

    :param encoding: encoding of the space
    :param matrix: choice indices, shape (n, num_columns); need not be canonical
    :param what: ``params`` (count), ``flops`` or ``macs`` (per forward pass of one batch)
    :return: shape (n,)
    """
    start, layer = count_terms(encoding.space, what)
    embed, bias = matrix[:, EMBED_DIM], matrix[:, BIAS]
    mlp, heads = encoding.layer_choices(matrix)
    terms = layer[embed[:, None], bias[:, None], mlp, heads]
    return np.asarray(start[embed] + np.where(encoding.active(matrix), terms, 0).sum(axis=1))
