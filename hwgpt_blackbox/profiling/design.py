"""Which architectures are measured: a D-optimal sequence for models that are sums over layers.

Every (embed_dim, bias) in turn gets the architecture whose effects are known least after those
before it (the greatest gain of log det of the information matrix, of all candidates). Effects of
single layers have a prior: they are smaller than effects of all layers together. A prefix of the
sequence is a design too, so that a run can be longer later without losing what it measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space

Array = NDArray[np.float64]

CANDIDATES = 500
"""Random architectures of each (embed_dim, bias) that are chosen from."""

CONCENTRATION = 0.5
"""Of the Dirichlet distribution from which half of the candidates have the shares of their layers'
choices: below 1, most layers of an architecture are alike. Uniform draws have about the same totals
all, and say little about them, nor of what is at the edge of the space, where fronts are."""

FREQUENCIES = 6
"""Half waves along the depth that effects of single layers may have."""

MAIN, PRODUCTS, LAYERS = 0.1, 3.0, 10.0
"""Prior precision of effects of the architecture, of their products, and of its single layers, in
architectures (an effect's precision without a prior is about their number)."""


def contrasts(choices: int) -> Array:
    """Linear and, of three or more choices, quadratic contrast; shape (choices, contrasts)."""
    linear = np.linspace(-1.0, 1.0, choices)
    if choices < 3:
        return linear[:, None]
    return np.stack([linear, linear**2 - np.mean(linear**2)], axis=1)


def features(space: Space, matrix: IntMatrix) -> tuple[Array, Array]:
    """What models of one embed_dim see of architectures, each column of variance 1.

    :param matrix: choice indices, shape (n, hyperparameters)
    :return: shape (n, p), and the prior precision of each column, shape (p,)
    """
    encoding = Encoding(space)
    active = encoding.active(matrix)[:, :, None]
    choices = [len(space.mlp_ratios), len(space.num_heads)]
    layers = [
        np.where(active, contrasts(k)[indices], 0.0)
        for k, indices in zip(choices, encoding.layer_choices(matrix), strict=True)
    ]  # each (n, max_layers, contrasts)
    bias = 2.0 * matrix[:, BIAS, None] - 1.0
    depth = contrasts(len(space.num_layers))[matrix[:, NUM_LAYERS]]
    totals = np.hstack([part.sum(axis=1) for part in layers])
    pairs = np.einsum("nlj,nlk->njk", *layers).reshape(len(matrix), -1)
    place = (np.arange(space.max_layers) + 0.5) / space.max_layers
    waves = np.cos(np.pi * np.outer(place, np.arange(1, min(space.max_layers, FREQUENCIES + 1))))
    along = np.hstack([np.einsum("nl,lf->nf", part[:, :, 0], waves) for part in layers])
    main = np.hstack([bias, depth, totals])
    products = np.hstack([bias * depth, bias * totals, depth[:, :1] * totals, pairs])
    blocks = ((main, MAIN), (products, PRODUCTS), (along, LAYERS))
    values = np.hstack([block for block, _ in blocks])
    spread = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    precision = np.concatenate([np.full(block.shape[1], prior) for block, prior in blocks])
    return np.column_stack([np.ones(len(matrix)), scaled]), np.r_[MAIN, precision]


def d_optimal(space: Space, matrix: IntMatrix) -> Iterator[int]:
    """Rows of candidates in the order of choice, each once: round by round one of every cell.

    :param matrix: candidates, choice indices, shape (n, hyperparameters)
    """
    embed = matrix[:, EMBED_DIM]
    values, precision = features(space, matrix)
    covariance = [np.diag(1.0 / precision) for _ in space.embed_dims]
    left = np.ones(len(matrix), dtype=bool)
    while left.any():
        for e in range(len(space.embed_dims)):
            for b in range(2):
                rows = np.flatnonzero(left & (embed == e) & (matrix[:, BIAS] == b))
                if not len(rows):
                    continue
                own = values[rows]
                gains = np.einsum("np,pq,nq->n", own, covariance[e], own, optimize=True)
                best = int(gains.argmax())
                moved = covariance[e] @ own[best]
                covariance[e] -= np.outer(moved, moved) / (1.0 + gains[best])
                left[rows[best]] = False
                yield int(rows[best])


def design(space: Space, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Architectures to measure, in the order of choice, as long as there are candidates.

    :return: canonical choice indices, each of shape (hyperparameters,)
    """
    pool = candidates(space, np.random.default_rng(seed))
    for row in d_optimal(space, pool):
        yield pool[row]


def candidates(space: Space, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Random architectures, half of them with mostly equal layers.

    :return: canonical choice indices, distinct, shape (n, hyperparameters)
    """
    encoding = Encoding(space)
    pool = encoding.sample(CANDIDATES * 2 * len(space.embed_dims), rng, stratified=True)
    alike = pool[::2]
    sizes = (len(space.mlp_ratios), len(space.num_heads))
    for choices, columns in zip(sizes, encoding.layer_choices(alike), strict=True):  # views
        shares = rng.dirichlet(np.full(choices, CONCENTRATION), len(alike))
        draws = rng.random(columns.shape)
        columns[:] = (draws[:, :, None] > shares.cumsum(axis=1)[:, None, :-1]).sum(axis=2)
    return np.unique(encoding.canonical(pool), axis=0).astype(np.uint8)


def reference_architecture(space: Space) -> NDArray[np.uint8]:
    """The middle choice of everything, canonical choice indices, shape (hyperparameters,)."""
    encoding = Encoding(space)
    middle = (encoding.sizes // 2).astype(np.uint8)
    middle[BIAS] = 0
    found: NDArray[np.uint8] = encoding.canonical(middle[None])[0].astype(np.uint8)
    return found
