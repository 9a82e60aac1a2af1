"""How the repeats of a session differ by their position in it: caches warm up, clocks fall.

The levels of ten repeats, ranked among those of all architectures of a width, are uniform over the
ten positions together. What is kept is how they are distributed at each position. So draws by
position have, together, the distribution and the mean that draws without positions have.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.features import Architectures, Array
from hwgpt_blackbox.convert.judging.measures import levels_of
from hwgpt_blackbox.models.noise import POSITION_LEVELS, POSITIONS
from hwgpt_blackbox.models.surrogate import Surrogate

PRIOR = 40.0
"""Repeats at each position, spread as if it did not matter, that are added to the measured ones.

More of them find effects on fewer architectures and weaken every effect: with 4, a thousand
architectures of s show none on rtx2080; with 100, 300 do; from 9,000 all predict as well."""

SURE = 4.0
"""Standard errors by which an effect must help on held-out architectures to be kept."""

_SWEEPS, _SEED = 500, 0


def ranks_in_width(levels: Array, width: NDArray[np.intp]) -> Array:
    """Ranks of repeats among those of all architectures of a width, from 0 to 1.

    :param levels: of repeats, shape (n, POSITIONS)
    :param width: index of the embed_dim, shape (n,)
    """
    out = np.empty_like(levels)
    for e in np.unique(width):
        own = levels[width == e]
        order = np.argsort(own, axis=None, kind="stable")
        ranks = np.empty(own.size)
        ranks[order] = (np.arange(own.size) + 0.5) / own.size
        out[width == e] = ranks.reshape(own.shape)
    return out


def position_tables(ranks: Array, width: NDArray[np.intp], widths: int) -> Array:
    """Distribution of the ranks at each position, for each width.

    :param ranks: shape (n, POSITIONS)
    :return: at ``POSITION_LEVELS``, shape (widths, POSITIONS, its length): ascending from 0 to 1,
        over all positions together uniform, single precision values
    """
    size = np.diff(POSITION_LEVELS)
    cell = _cells(ranks)
    out = np.empty((widths, POSITIONS, len(POSITION_LEVELS)))
    for e in range(widths):
        own = cell[width == e]
        share = np.stack(
            [np.bincount(own[:, k], minlength=len(size)) + PRIOR * size for k in range(POSITIONS)]
        )
        for _ in range(_SWEEPS):  # Sinkhorn: every position and every cell gets its share
            share /= share.sum(axis=1, keepdims=True)
            share *= POSITIONS * size / share.sum(axis=0)
        out[e] = np.concatenate([np.zeros((POSITIONS, 1)), np.cumsum(share, axis=1)], axis=1)
        out[e, :, -1] = 1.0
    return out.astype(np.float32).astype(np.float64)


def gain(ranks: Array, width: NDArray[np.intp], tables: Array) -> Array:
    """Logarithm of the density of the ranks of each architecture, 0 where positions do not matter.

    :return: shape (n,)
    """
    density = np.diff(tables) / np.diff(POSITION_LEVELS)
    found = density[width[:, None], np.arange(POSITIONS), _cells(ranks)]
    return np.asarray(np.log(found).sum(axis=1))


def is_there(ranks: Array, width: NDArray[np.intp], widths: int) -> bool:
    """Whether positions matter on architectures that their effect was not estimated from."""
    half = np.random.default_rng(_SEED).permutation(len(ranks)) % 2 == 0
    scores = np.empty(len(ranks))
    for held in (half, ~half):
        tables = position_tables(ranks[~held], width[~held], widths)
        scores[held] = gain(ranks[held], width[held], tables)
    error = scores.std() / np.sqrt(len(scores))
    return bool(scores.mean() > SURE * error > 0.0)


def with_positions(
    surrogate: Surrogate, sample: Architectures, expected: dict[str, Array], noisy: dict[str, Array]
) -> Surrogate:
    """The surrogate with the effect of a repeat's position, of targets where it is there.

    Of more than ten repeats the first ten count.

    :param surrogate: models with their ratio tables
    :param sample: the architectures, n of them
    :param expected: their expected values by target, shape (n,)
    :param noisy: their measurements by target, shape (n, r), in the order of measuring
    """
    models, widths = dict(surrogate.models), len(sample.space.embed_dims)
    for name, repeats in noisy.items():
        if repeats.shape[1] < POSITIONS:
            continue
        ratio = repeats[:, :POSITIONS] / expected[name][:, None]
        levels = levels_of(surrogate, name, sample.matrix, ratio)
        ranks = ranks_in_width(levels, sample.embed)
        if is_there(ranks, sample.embed, widths):
            tables = position_tables(ranks, sample.embed, widths)
            models[name] = replace(models[name], positions=tables[:, None, None])
    return Surrogate(surrogate.space, models, surrogate.levels, surrogate.manifest)


def _cells(ranks: Array) -> NDArray[np.intp]:
    return np.searchsorted(POSITION_LEVELS[1:-1], ranks, side="right")
