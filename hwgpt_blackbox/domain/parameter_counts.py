"""Exact parameters, FLOPs and MACs of an architecture.

The formulas reproduce all published values (30,000 architectures). Head size is 64 at every width,
the MLP is gated, the output layer untied, and products inside attention are not counted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import HEAD_SIZE, SEQUENCE_LENGTH, VOCABULARY, Space

ATTENTION_WIDTHS = 4
"""Query, key, value and output projections of a head."""


def tokens(space: Space) -> int:
    """Tokens of one forward pass."""
    return SEQUENCE_LENGTH * space.batch_size


def layer_terms(embed_dim: int, bias: int, mlp_ratio: int, num_heads: int) -> dict[str, int]:
    """What one layer adds to each count (FLOPs and MACs per token).

    :param embed_dim: width, a value of the space
    :param bias: 0 or 1
    :param mlp_ratio: MLP ratio of the layer
    :param num_heads: heads of the layer
    """
    e, b, m, h = embed_dim, bias, mlp_ratio, num_heads
    attention = ATTENTION_WIDTHS * HEAD_SIZE
    return {
        "params": e * (4 + 2 * b) + (3 * e * e + 2 * b * e) * m + (attention * e + 192 * b) * h,
        "flops": e * (10 + (6 * e + 1) * m + 2 * attention * h),
        "macs": e * (3 * e * m + attention * h),
    }


def base_terms(embed_dim: int) -> dict[str, int]:
    """What an architecture without layers counts (FLOPs and MACs per token)."""
    e = embed_dim
    return {
        "params": e * (2 * VOCABULARY + 2),
        "flops": e * (2 * VOCABULARY + 5),
        "macs": e * VOCABULARY,
    }


def count_terms(space: Space, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parameters, FLOPs or MACs as sums: of an architecture without layers, and of each layer.

    :param what: ``params`` (count), ``flops`` or ``macs`` (per forward pass of one batch)
    :return: shapes (embed_dims,) and (embed_dims, 2, mlp_ratios, num_heads), the second axis the
        bias
    """
    scale = 1 if what == "params" else tokens(space)
    start = [base_terms(e)[what] for e in space.embed_dims]
    layer = [
        [
            [[layer_terms(e, b, m, h)[what] for h in space.num_heads] for m in space.mlp_ratios]
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
