"""Features of the structured models: every one a sum over layers within its group.

Choices enter as orthogonal polynomials of their values, or of the logarithms where these are more
evenly spaced; depth in its values, since every layer adds to the sum. For three choices: a linear
and a quadratic contrast (-1 0 1 and 1/2 -1 1/2). Effects of all layers together come first;
deviations along the depth of the network are smooth (a cosine basis, the higher frequencies
smaller), so that a penalty can shrink what the data do not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space

Array = NDArray[np.float64]

MAX_DEGREE, MAX_DEPTH_DEGREE = 4, 2
"""Degrees of the contrasts of MLP ratio and heads, and of num_layers, at most."""

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

    @property
    def cells(self) -> int:
        """Number of (embed_dim, bias) cells."""
        return 2 * len(self.space.embed_dims)

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
        return FeatureInputs(
            self.space, mlp[rows], heads[rows], active[rows], depth, self.bias[rows]
        )


def pair_counts(sample: Architectures) -> Array:
    """How many layers have each (mlp_ratio, num_heads) pair, shape (n, layer codes)."""
    mlp, heads, active = sample.layers
    code = np.where(active, len(sample.space.num_heads) * mlp + heads, -1)
    counts = [(code == k).sum(axis=1) for k in range(sample.space.layer_codes)]
    return np.stack(counts, axis=1).astype(np.float64)


def places(values: Sequence[int], *, logarithms: bool = True) -> Array:
    """Where choices lie on the axis of their contrasts, from -1 to 1, shape (choices,).

    Up to three are taken as evenly spaced: their contrasts can take any values anyway.

    :param logarithms: whether the logarithms may be more evenly spaced
    """
    if len(values) <= 3:
        return np.linspace(-1.0, 1.0, len(values))
    forms = [np.array(values, dtype=np.float64)]
    forms += [np.log(forms[0])] if logarithms else []
    steps = [np.diff(form) for form in forms]
    form = forms[int(np.argmin([step.std() / step.mean() for step in steps]))]
    return np.asarray(2.0 * (form - form[0]) / (form[-1] - form[0]) - 1.0)


def contrasts(place: Array, most: int = MAX_DEGREE) -> Array:
    """Orthogonal polynomials of degree 1, 2, ... of choices, shape (degrees, choices).

    The largest of each is 1 in magnitude, the last choice of each is positive.

    :param place: of the choices, see :func:`places`; 2 or more
    :param most: largest degree
    """
    degree = min(len(place) - 1, most)
    basis = np.linalg.qr(np.polynomial.legendre.legvander(place, degree))[0].T[1:]
    scale = np.abs(basis).max(axis=1) * np.sign(basis[:, -1])
    return np.asarray(np.round(basis / scale[:, None], 12) + 0.0)


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

    :param space: the space
    :param mlp: index of the MLP ratio of each layer, shape (n, max_layers)
    :param heads: index of the number of heads of each layer, shape (n, max_layers)
    :param active: whether the layer exists, shape (n, max_layers)
    :param depth: index of num_layers, shape (n,)
    :param bias: 0 or 1, shape (n,)
    """

    space: Space
    mlp: NDArray[np.intp]
    heads: NDArray[np.intp]
    active: NDArray[np.bool_]
    depth: NDArray[np.intp]
    bias: NDArray[np.intp]

    @cached_property
    def layer_contrasts(self) -> tuple[list[Array], list[Array]]:
        """Contrasts of MLP ratio and of heads, linear first, each (n, max_layers); zero where
        inactive.
        """
        space = self.space
        mlp, heads = (
            [
                np.where(self.active, contrast[choices], 0.0)
                for contrast in contrasts(places(values))
            ]
            for choices, values in ((self.mlp, space.mlp_ratios), (self.heads, space.num_heads))
        )
        return mlp, heads

    @cached_property
    def group_contrasts(self) -> tuple[Array, Array, list[Array]]:
        """Contrast of bias, linear contrast of num_layers, its higher ones, each (n, 1)."""
        sign: Array = 2.0 * self.bias.astype(np.float64) - 1.0
        place = places(self.space.num_layers, logarithms=False)
        linear, *higher = contrasts(place, MAX_DEPTH_DEGREE)
        curved = [2.0 * contrast[self.depth][:, None] for contrast in higher]
        return sign[:, None], linear[self.depth][:, None], curved


FeatureFunction = Callable[[FeatureInputs], Features]


def hardware_features(inputs: FeatureInputs) -> Features:
    """Features for latency and energy."""
    mlp, heads = inputs.layer_contrasts
    b, nl, curved = inputs.group_contrasts
    main = np.stack([x.sum(axis=1) for x in (*mlp, *heads)], axis=1)
    pair = np.stack([(u * v).sum(axis=1) for u in mlp for v in heads], axis=1)
    one = np.ones_like(b)
    shared = [
        np.hstack([one, b, nl, b * nl, main]),
        b * main,
        pair,
        b * pair,
        *[np.hstack([nq, b * nq]) for nq in curved],
        np.hstack([nl * main, b * nl * main]),
        *[np.hstack([nq * main, b * nq * main]) for nq in curved],
    ]
    basis = cosines(inputs.mlp.shape[1])
    by_mlp, by_heads = (
        [linear @ basis, b * (linear @ basis), *[x @ basis for x in higher]]
        for linear, *higher in (mlp, heads)
    )
    return _stack(shared, by_mlp, by_heads)


def perplexity_features(inputs: FeatureInputs) -> Features:
    """Features for perplexity: every layer its own effects, which change with depth and bias.

    A layer's place from the end matters, therefore the products with num_layers.
    """
    (ml, *mlp), (hl, *heads) = inputs.layer_contrasts
    b, nl, curved = inputs.group_contrasts
    main = np.stack([x.sum(axis=1) for x in (ml, *mlp, hl, *heads)], axis=1)
    effects = [np.hstack([np.ones_like(b), b, nl, b * nl, *curved, main]), ml, *mlp, hl, *heads]
    effects += [nl * main, b * main, *[nq * main for nq in curved]]
    effects += [nl * ml, nl * hl, b * ml, b * hl, ml * hl]
    effects += [nq * x for nq in curved for x in (ml, hl)]
    effects += [nl * x for x in (*mlp, *heads)]
    effects += [ml * hq for hq in heads] + [mq * hl for mq in mlp]
    effects += [mq * hq for mq in mlp for hq in heads]
    effects += [b * x for x in (*mlp, *heads)]
    return _stack(effects, [], [])


def neighbour_features(inputs: FeatureInputs, apart: int) -> Features:
    """Features of pairs of layers some layers apart: products of their contrasts.

    Each product is one feature that all places share, then one for every place.
    """
    mlp, heads = inputs.layer_contrasts
    every = (*mlp, *heads)
    products = [u[:, :-apart] * v[:, apart:] for u in every for v in every]
    return _stack([y for p in products for y in (p.sum(axis=1, keepdims=True), p)], [], [])


def joined(parts: Sequence[Features]) -> Features:
    """Features side by side."""
    first = np.cumsum([0, *[int(f.block.max()) + 1 for f in parts[:-1]]])
    return Features(
        np.hstack([f.values for f in parts]),
        np.concatenate([f.block + begin for f, begin in zip(parts, first, strict=True)]),
        tuple(name for f in parts for name in f.part),
    )


def _stack(shared: list[Array], by_mlp: list[Array], by_heads: list[Array]) -> Features:
    blocks = shared + by_mlp + by_heads
    sizes = [block.shape[1] for block in blocks]
    part = (SHARED,) * len(shared) + (MLP,) * len(by_mlp) + (HEADS,) * len(by_heads)
    return Features(np.hstack(blocks), np.repeat(np.arange(len(blocks)), sizes), part)
