"""The additive kernel as a GPyTorch module: what the closed form is tested against."""

from __future__ import annotations

import math
from typing import Any

import torch
from botorch.models.utils.gpytorch_modules import MIN_INFERRED_NOISE_LEVEL
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import Kernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.priors import LogNormalPrior, NormalPrior
from torch import Tensor

from hwgpt_blackbox.optimizers._features import Layout


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances of rows, (n, k) and (m, k) to (n, m)."""
    squares = a.square().sum(-1).unsqueeze(-1) + b.square().sum(-1).unsqueeze(-2)
    return (squares - 2 * a @ b.transpose(-1, -2)).clamp_min(0.0)


def _gap(count: int) -> Tensor:
    """Distances of so many positions, (count, count)."""
    position = torch.arange(count, dtype=torch.double)
    return (position[:, None] - position[None]).abs()


class AdditiveKernel(Kernel):  # type: ignore[misc]
    """The covariance that ``AdditivePrior`` describes, written out as it is defined."""

    has_lengthscale = False

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        context, blocks = len(layout.context), len(layout.blocks)
        # name: number of values, prior mean, prior standard deviation
        table = {
            "log_context_variance": (1, math.log(0.5), 1.0),
            "log_context_lengthscale": (context, 0.5, 1.0),
            "log_effect_lengthscale": (context, 0.5, 1.0),
            "log_shared_variance": (blocks, math.log(0.1), 2.0),
            "log_deviation_variance": (blocks, math.log(0.03), 2.0),
            "log_position_lengthscale": (blocks, math.log(3.0), 1.0),
            "log_rest_variance": (1, math.log(0.01), 1.5),
            "log_rest_lengthscale": (1, math.log(3.0), 1.0),
            "slope": (context, 0.0, 1.0),
        }
        for name, (count, mean, deviation) in table.items():
            value = torch.full((count,), mean, dtype=torch.double)
            self.register_parameter(name, torch.nn.Parameter(value))
            if count:
                self.register_prior(f"{name}_prior", NormalPrior(mean, deviation), name)
        self._context = list(layout.context)
        self._members = [column for block in layout.blocks for column in block]
        self._gaps = [_gap(len(block)) for block in layout.blocks]

    def forward(self, x1: Tensor, x2: Tensor, diag: bool = False, **params: Any) -> Tensor:
        """Covariance of rows of x1 (n, columns) and x2 (m, columns): (n, m), or (n,)."""
        if not diag:
            return self._between(x1, x2)
        if x1 is x2 or torch.equal(x1, x2):
            return self._variance(x1)
        diagonal: Tensor = self._between(x1, x2).diagonal(dim1=-2, dim2=-1)
        return diagonal

    def _variance(self, x: Tensor) -> Tensor:
        """Prior variance of each row of x (n, columns): (n,)."""
        scale = (2 * (x[:, self._context] - 0.5) @ self.slope).exp()
        members = x[:, self._members]
        effects = (self._coupled(members) * members).sum(-1)
        total: Tensor = scale * effects
        total += self.log_context_variance.exp() + self.log_rest_variance.exp()
        return total

    def _couplings(self) -> list[Tensor]:
        """Prior covariance of the effects of each block's members: (members, members) each."""
        shared, own = self.log_shared_variance.exp(), self.log_deviation_variance.exp()
        lengths = self.log_position_lengthscale.exp()
        # divided by the number of members: a block's variance then does not grow with it
        return [
            (shared[b] + own[b] * torch.exp(-gap / lengths[b])) / len(gap)
            for b, gap in enumerate(self._gaps)
        ]

    def _coupled(self, members: Tensor) -> Tensor:
        """Members' columns, (..., members), times the covariance of their effects."""
        couplings = self._couplings()
        parts = torch.split(members, [len(coupling) for coupling in couplings], dim=-1)
        return torch.cat([x @ c for x, c in zip(parts, couplings, strict=True)], dim=-1)

    def _between(self, x1: Tensor, x2: Tensor) -> Tensor:
        z1, z2 = x1[..., self._context], x2[..., self._context]
        m1, m2 = x1[..., self._members], x2[..., self._members]
        wide, like = self.log_context_lengthscale.exp(), self.log_effect_lengthscale.exp()
        context = torch.exp(-0.5 * _distances(z1 / wide, z2 / wide))
        alike = torch.exp(-0.5 * _distances(z1 / like, z2 / like))
        growth1, growth2 = (z1 - 0.5) @ self.slope, (z2 - 0.5) @ self.slope
        scale = alike * torch.exp(growth1.unsqueeze(-1) + growth2.unsqueeze(-2))
        effects = self._coupled(m1) @ m2.transpose(-1, -2)
        far = self.log_rest_lengthscale.exp() * math.sqrt(max(len(self._members), 1))
        rest = torch.exp(-0.5 * _distances(m1 / far, m2 / far))
        base = self.log_context_variance.exp() + self.log_rest_variance.exp() * rest
        total: Tensor = context * base + scale * effects
        return total


def reference_prior(layout: Layout) -> tuple[AdditiveKernel, GaussianLikelihood]:
    """Covariance and noise, with their priors."""
    prior = LogNormalPrior(loc=-4.0, scale=1.0)
    constraint = GreaterThan(MIN_INFERRED_NOISE_LEVEL, initial_value=prior.mode)
    likelihood = GaussianLikelihood(noise_prior=prior, noise_constraint=constraint)
    return AdditiveKernel(layout), likelihood.double()
