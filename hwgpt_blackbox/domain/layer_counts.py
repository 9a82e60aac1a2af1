"""What a layer adds to parameters, FLOPs and MACs, and what there is without layers.

The formulas reproduce all published values (30,000 architectures of the gated network). Products
inside attention are not counted; a normalisation counts five FLOPs an entry, an activation one.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

ATTENTION_WIDTHS = 4
"""Query, key, value and output projections of a head."""


class _Maps(NamedTuple):
    """How many linear maps a kind of network has in each MLP, and tables of the vocabulary."""

    mlp: int
    tables: int


_MAPS = {"gated": _Maps(3, 2), "gelu-tied": _Maps(2, 1)}


class Sizes(Protocol):
    """What counts depend on beside the layers; spaces and model configurations have it."""

    @property
    def vocabulary(self) -> int:
        """Entries of the token embedding."""

    @property
    def head_size(self) -> int:
        """Width of a head."""

    @property
    def network(self) -> str:
        """Kind of network, of ``NETWORKS``."""


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
