"""Exact parameters, FLOPs and MACs of the architectures of a space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, Encoding, IntMatrix
from hwgpt_blackbox.domain.layer_counts import base_terms, layer_terms
from hwgpt_blackbox.domain.spaces import Space


def count_terms(space: Space, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Parameters, FLOPs or MACs as sums: of an architecture without layers, and of each layer.

    :param what: ``params`` (count), ``flops`` or ``macs`` (per forward pass of one batch)
    :return: shapes (embed_dims,) and (embed_dims, 2, mlp_ratios, num_heads), the second axis the
        bias
    """
    scale = 1 if what == "params" else space.tokens
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
