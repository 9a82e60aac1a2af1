"""Features of the structured models: every one a sum over layers within its group.

Choices enter as a linear and a quadratic contrast (-1 0 1 and 1/2 -1 1/2). Effects of all layers
together come first; deviations along the depth of the network are smooth (a cosine basis, the
higher frequencies smaller), so that a penalty can shrink what the data do not show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space

Array = NDArray[np.float64]

LINEAR = np.array([-1.0, 0.0, 1.0])
QUADRATIC = np.array([0.5, -1.0, 0.5])
MAX_FREQUENCY = 23
"""Deviations along the depth have at most this many half waves."""

SHARED, MLP, HEADS = "shared", "mlp", "heads"
"""Parts of the features: equal in every layer; by layer and MLP ratio; by layer and heads."""


@dataclass(frozen=True)
class Architectures:
    """Architectures of one space.

    :param space: the space
    :param matrix: choice indices, shape (n, hyperparameters)
    """

    space: Space
    matrix: IntMatrix

    def __len__(self) -> int:
        return len(self.matrix)

    def take(self, rows: NDArray[np.intp]) -> Architectures:
        """Some of the architectures."""
        return Architectures(self.space, self.matrix[rows])

    @property
    def embed(self) -> NDArray[np.intp]:
        """Index of embed_dim, shape (n,)."""
        return self.matrix[:, EMBED_DIM].astype(np.intp)

    @property
    def bias(self) -> NDArray[np.intp]:
        """0 or 1, shape (n,)."""
        return self.matrix[:, BIAS].astype(np.intp)

    @property
    def cell(self) -> NDArray[np.intp]:
        """Index of the (embed_dim, bias) cell, shape (n,)."""
        return 2 * self.embed + self.bias

    @cached_property
    def layers(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """MLP ratio and head choices and whether the layer exists, each (n, max_layers)."""
        encoding = Encoding(self.space)
        mlp, heads = encoding.layer_choices(self.matrix)
        return mlp.astype(np.intp), heads.astype(np.intp), encoding.active(self.matrix)

    def inputs(self, rows: NDArray[np.intp]) -> FeatureInputs:
        """What the features of some of the architectures are made of."""
        mlp, heads, active = self.layers
        depth = self.matrix[rows, NUM_LAYERS].astype(np.intp)
        return FeatureInputs(mlp[rows], heads[rows], active[rows], depth, self.bias[rows])


def pair_counts(sample: Architectures) -> Array:
    """How many layers have each (mlp_ratio, num_heads) pair, shape (n, 9)."""
    mlp, heads, active = sample.layers
    code = np.where(active, 3 * mlp + heads, -1)
    return np.stack([(code == k).sum(axis=1) for k in range(9)], axis=1).astype(np.float64)


def cosines(length: int) -> Array:
    """Cosine basis over depth without its constant, shape (length, frequencies)."""
    k = np.arange(1, min(length - 1, MAX_FREQUENCY) + 1)
    i = np.arange(length)
    return np.asarray(np.cos(np.pi * np.outer(i + 0.5, k) / length) / k)


@dataclass(frozen=True)
class Features:
    """Features of architectures of one embed_dim.

    :param values: shape (n, p)
    :param block: block of each feature, shape (p,); a block shares one penalty, block 0 has none
    :param part: ``SHARED``, ``MLP`` or ``HEADS`` of each block
    """

    values: Array
    block: NDArray[np.intp]
    part: tuple[str, ...]


@dataclass(frozen=True)
class FeatureInputs:
    """What the features of architectures are made of.

    :param mlp: index of the MLP ratio of each layer, shape (n, max_layers)
    :param heads: index of the number of heads of each layer, shape (n, max_layers)
    :param active: whether the layer exists, shape (n, max_layers)
    :param depth: index of num_layers, shape (n,)
    :param bias: 0 or 1, shape (n,)
    """

    mlp: NDArray[np.intp]
    heads: NDArray[np.intp]
    active: NDArray[np.bool_]
    depth: NDArray[np.intp]
    bias: NDArray[np.intp]

    @property
    def layer_contrasts(self) -> tuple[Array, Array, Array, Array]:
        """Linear and quadratic contrasts of MLP ratio, then of heads; zero where inactive."""
        mlp_linear, mlp_quadratic, heads_linear, heads_quadratic = (
            np.where(self.active, contrast[choices], 0.0)
            for choices in (self.mlp, self.heads)
            for contrast in (LINEAR, QUADRATIC)
        )
        return mlp_linear, mlp_quadratic, heads_linear, heads_quadratic

    @property
    def group_contrasts(self) -> tuple[Array, Array, Array]:
        """Contrast of bias, linear and quadratic contrast of num_layers, each (n, 1)."""
        sign: Array = 2.0 * self.bias.astype(np.float64) - 1.0
        linear, quadratic = LINEAR[self.depth], 2.0 * QUADRATIC[self.depth]
        return sign[:, None], linear[:, None], quadratic[:, None]


FeatureFunction = Callable[[FeatureInputs], Features]


def hardware_features(inputs: FeatureInputs) -> Features:
    """Features for latency and energy."""
    ml, mq, hl, hq = inputs.layer_contrasts
    b, nl, nq = inputs.group_contrasts
    main = np.stack([x.sum(axis=1) for x in (ml, mq, hl, hq)], axis=1)
    pair = np.stack([(u * v).sum(axis=1) for u in (ml, mq) for v in (hl, hq)], axis=1)
    one = np.ones_like(b)
    shared = [
        np.hstack([one, b, nl, b * nl, main]),
        b * main,
        pair,
        b * pair,
        np.hstack([nq, b * nq]),
        np.hstack([nl * main, b * nl * main]),
        np.hstack([nq * main, b * nq * main]),
    ]
    basis = cosines(inputs.mlp.shape[1])
    by_mlp = [ml @ basis, b * (ml @ basis), mq @ basis]
    by_heads = [hl @ basis, b * (hl @ basis), hq @ basis]
    return _stack(shared, by_mlp, by_heads)


def perplexity_features(inputs: FeatureInputs) -> Features:
    """Features for perplexity: every layer its own effects, which change with depth and bias.

    A layer's place from the end matters, therefore the products with num_layers.
    """
    ml, mq, hl, hq = inputs.layer_contrasts
    b, nl, nq = inputs.group_contrasts
    main = np.stack([x.sum(axis=1) for x in (ml, mq, hl, hq)], axis=1)
    effects = [np.hstack([np.ones_like(b), b, nl, b * nl, nq, main]), ml, mq, hl, hq]
    effects += [nl * main, b * main, nq * main]
    effects += [nl * ml, nl * hl, b * ml, b * hl, ml * hl, nq * ml, nq * hl, nl * mq, nl * hq]
    effects += [ml * hq, mq * hl, mq * hq, b * mq, b * hq]
    return _stack(effects, [], [])


def _stack(shared: list[Array], by_mlp: list[Array], by_heads: list[Array]) -> Features:
    blocks = shared + by_mlp + by_heads
    sizes = [block.shape[1] for block in blocks]
    part = (SHARED,) * len(shared) + (MLP,) * len(by_mlp) + (HEADS,) * len(by_heads)
    return Features(np.hstack(blocks), np.repeat(np.arange(len(blocks)), sizes), part)
