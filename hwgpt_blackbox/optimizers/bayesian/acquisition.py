"""Acquisition functions over a finite set of candidates, in closed form where there is one.

All functions minimise, take marginal posteriors ``mean`` and ``std`` of shape
(candidates, objectives), independent between objectives, and return (candidates,) values to be
maximised, in double precision. They touch no random state.

BoTorch has expected hypervolume improvement in closed form without the logarithm
(``ExpectedHypervolumeImprovement``, which underflows to 0 far from the front: local search then
has nothing to climb) and with it by Monte Carlo only (``qLogExpectedHypervolumeImprovement``,
made for gradients). Over a finite set the closed form of its logarithm is exact and cheap, so it
is computed here, with BoTorch's box decomposition and its stable ``log h``.
"""

from __future__ import annotations

import torch
from botorch.acquisition.analytic import _log_ei_helper
from botorch.acquisition.multi_objective.utils import get_default_partitioning_alpha
from botorch.utils.multi_objective.box_decompositions.non_dominated import (
    FastNondominatedPartitioning,
    NondominatedPartitioning,
)
from botorch.utils.safe_math import log1mexp, log_fatplus, logmeanexp
from torch import Tensor

_FAR = 1e50  # stands for infinity in _log_ei_helper, whose domain ends at 1e100
_TINY_STD = 1e-12
_CANCELLING = 1e-6  # improvements, in standard deviations, below which rounding would show


def non_dominated_cells(front: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes that fill the region not dominated by ``front`` and better than ``reference``.

    :param front: (points, objectives), minimised; dominated points and none at all are allowed
    :param reference: (objectives,)
    :return: corners ``best`` and ``worst`` of the boxes, each (boxes, objectives), ``best <=
        worst``; ``best`` may be minus infinity. Exact up to four objectives; from five on BoTorch's
        approximation with its default level (Couckuyt et al. 2014).
    """
    count = reference.shape[0]
    if count <= 4:
        cells = FastNondominatedPartitioning(ref_point=-reference, Y=-front)
    else:
        alpha = get_default_partitioning_alpha(count)
        cells = NondominatedPartitioning(ref_point=-reference, Y=-front, alpha=alpha)
    lower, upper = cells.get_hypercell_bounds()
    return -upper, -lower


def log_expected_hypervolume_improvement(
    mean: Tensor, std: Tensor, best: Tensor, worst: Tensor
) -> Tensor:
    """Logarithm of the expected hypervolume improvement (Daulton et al. 2020, section 3).

    Within a box the improvement is the product over objectives of the part of the side that a
    new value covers, hence its expectation the product of ``E[(worst - y)+] - E[(best - y)+]``.

    :param mean: (candidates, objectives)
    :param std: (candidates, objectives), positive
    :param best: (boxes, objectives) from :func:`non_dominated_cells`
    :param worst: (boxes, objectives)
    :return: (candidates,)
    """
    std = std.clamp_min(_TINY_STD)
    # A front of p points has p + 2 distinct coordinates but many more boxes from three
    # objectives on: evaluate the costly function at the coordinates, then look it up.
    tables, places = [], []
    for k in range(mean.shape[1]):
        sides = torch.cat((worst[:, k], best[:, k]))
        values, where = torch.unique(sides, return_inverse=True)
        z = (values.clamp(-_FAR, _FAR) - mean[:, k : k + 1]) / std[:, k : k + 1]
        tables.append(_log_ei_helper(z.clamp(-_FAR, _FAR)))
        places.append(where.chunk(2))
    # Plain numbers wherever they do (they cost much less), logarithms where they would cancel.
    volume = torch.ones(len(mean), len(best), dtype=mean.dtype)
    for table, (at_worst, at_best) in zip(tables, places, strict=True):
        plain = table.exp()
        volume *= plain[:, at_worst] - plain[:, at_best]
    improvement = volume.sum(1)
    result = improvement.clamp_min(0.0).log()
    small = torch.nonzero(~(improvement > _CANCELLING)).squeeze(1)
    if len(small):
        total = torch.zeros(len(small), len(best), dtype=mean.dtype)
        for table, (at_worst, at_best) in zip(tables, places, strict=True):
            upper, lower = table[small][:, at_worst], table[small][:, at_best]
            # equal corners (an empty box) give log(0) = -inf, as they should
            total += upper + log1mexp((lower - upper).clamp_max(0.0))
        result[small] = torch.logsumexp(total, dim=1)
    return result + std.log().sum(1)


def log_expected_improvement(mean: Tensor, std: Tensor, best: float) -> Tensor:
    """Logarithm of the expected improvement below ``best`` (Ament et al. 2023).

    :param mean: (candidates,)
    :param std: (candidates,)
    :param best: smallest value so far
    :return: (candidates,)
    """
    std = std.clamp_min(_TINY_STD)
    value: Tensor = _log_ei_helper((best - mean) / std) + std.log()
    return value


def augmented_chebyshev(values: Tensor, weights: Tensor, rho: float) -> Tensor:
    """Augmented Chebyshev scalarisation, minimised (Knowles 2006, equation 2).

    :param values: (..., objectives), scaled so that 0 is the best and 1 the worst of the front
    :param weights: (objectives,), nonnegative, of sum 1
    :param rho: weight of the sum beside the maximum
    :return: (...,)
    """
    weighted = values * weights
    return weighted.amax(-1) + rho * weighted.sum(-1)


def log_expected_scalar_improvement(scalars: Tensor, best: float, softness: float = 1e-6) -> Tensor:
    """Logarithm of the expected improvement of a scalarisation, from samples of it.

    Where no sample improves, BoTorch's smooth substitute of the positive part keeps an order
    (Ament et al. 2023, whose default softness it has).

    :param scalars: (samples, candidates), minimised
    :param best: smallest value so far
    :param softness: in units of the scalarisation
    :return: (candidates,)
    """
    value: Tensor = logmeanexp(log_fatplus(best - scalars, tau=softness), dim=0)
    return value
