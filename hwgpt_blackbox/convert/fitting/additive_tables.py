"""From weights of features to the tables of an artifact, exactly: features are linear in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgpt_blackbox.convert.fitting.features import (
    HEADS,
    MLP,
    SHARED,
    Array,
    FeatureFunction,
    FeatureInputs,
    Features,
    contrasts,
    places,
)
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.models.portable_arithmetic import to_grid
from hwgpt_blackbox.models.surrogate import AdditiveModel


def additive_model(
    space: Space,
    features: FeatureFunction,
    weights: Sequence[Array],
    link: str,
    log_scale: Array | None = None,
) -> AdditiveModel:
    """Tables of a model whose linear predictor is features times weights, on the binary grid.

    :param features: see :mod:`hwgpt_blackbox.convert.fitting.features`
    :param weights: per embed_dim, shape (p,)
    :param link: ``identity`` or ``log``
    :param log_scale: log of a factor per (embed_dim, bias) cell, shape (cells,)
    """
    embeds, depths, layers = len(space.embed_dims), len(space.num_layers), space.max_layers
    intercept = np.zeros((embeds, depths, 2))
    pairs = len(space.mlp_ratios), len(space.num_heads)
    full = (embeds, depths, 2, layers, *pairs)
    parts = {name: np.zeros(full) for name in (SHARED, MLP, HEADS)}
    for n in range(depths):
        for b in (0, 1):
            probe = _probe(features, space, n, b)
            named = np.array(probe.part)[probe.block]
            for e, w in enumerate(weights):
                intercept[e, n, b] = probe.values[0] @ w
                for name, effect in parts.items():
                    lone = probe.values @ np.where(named == name, w, 0.0)
                    effect[e, n, b] = (lone[1:] - lone[0]).reshape(layers, *pairs)
    if log_scale is not None:
        cell = log_scale.reshape(embeds, 1, 2)
        if link == "log":
            intercept += cell
        else:
            intercept *= np.exp(cell)
            for effect in parts.values():
                effect *= np.exp(cell)[..., None, None, None]
    model = AdditiveModel(
        link,
        _shrunk(intercept),
        _shrunk(parts[SHARED]),
        None,
        tuple(_shrunk(parts[name]) for name in (MLP, HEADS) if parts[name].any()),
    )
    return on_grid(model, space)


def neighbour_table(space: Space, apart: int, weights: Sequence[Array]) -> Array:
    """Effects of pairs of layers some layers apart, shape (embed_dims, 1, 1, max_layers, codes,
    codes), at the place of the later layer.

    :param weights: of :func:`neighbour_features` per embed_dim, shape (p,)
    """
    mlp, heads = contrasts(places(space.mlp_ratios)), contrasts(places(space.num_heads))
    by_code = np.vstack(
        [np.repeat(mlp, len(space.num_heads), axis=1), np.tile(heads, len(space.mlp_ratios))]
    )
    layers, codes = space.max_layers, space.layer_codes
    out = np.zeros((len(weights), 1, 1, layers, codes, codes))
    for e, w in enumerate(weights):
        products = w.reshape(len(by_code), len(by_code), 1 + layers - apart)
        effects = products[:, :, :1] + products[:, :, 1:]
        out[e, 0, 0, apart:] = np.einsum("uvi,uc,vd->icd", effects, by_code, by_code)
    return out


def _probe(features: FeatureFunction, space: Space, depth: int, bias: int) -> Features:
    """Features of a network without layers, then of one with a single layer: place by choice."""
    layers, codes = space.max_layers, space.layer_codes
    size = 1 + codes * layers
    place = np.r_[-1, np.repeat(np.arange(layers), codes)]
    active = np.arange(layers) == place[:, None]
    code = np.where(active, np.r_[0, np.tile(np.arange(codes), layers)][:, None], 0)
    mlp, heads = np.divmod(code, len(space.num_heads))
    inputs = FeatureInputs(space, mlp, heads, active, np.full(size, depth), np.full(size, bias))
    return features(inputs)


def _shrunk(array: Array) -> Array:
    """The array with every axis along which it is constant reduced to 1."""
    for axis in range(array.ndim):
        first = array.take([0], axis=axis)
        if np.allclose(array, first, rtol=1e-12, atol=1e-12 * np.abs(array).max(initial=0.0)):
            array = first
    return array


def on_grid(model: AdditiveModel, space: Space) -> AdditiveModel:
    """The model with coefficients rounded so that all its sums are exact."""
    bound = np.abs(model.intercept).max() + space.max_layers * sum(
        np.abs(part).max() for part in (model.effect, *model.corrections, *model.neighbours)
    )
    bound = max(float(bound), 1e-300)
    return AdditiveModel(
        model.link,
        to_grid(model.intercept, bound),
        to_grid(model.effect, bound),
        model.ratio,
        tuple(to_grid(part, bound) for part in model.corrections),
        neighbours=tuple(to_grid(part, bound) for part in model.neighbours),
    )
