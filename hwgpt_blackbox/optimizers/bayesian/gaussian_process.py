"""Gaussian processes of the objectives: BoTorch models, refitted rarely, of bounded size.

BoTorch fits (``SingleTaskGP``, its priors, the marginal likelihood). Prediction is
written out, because a model is used for thousands of candidates per suggestion, of which only
the marginal mean and variance count: ``SingleTaskGP.posterior`` gives them with the full
covariance of all candidates, several times slower. Nothing here draws random numbers.
"""

from __future__ import annotations

import logging
import math
import warnings
from dataclasses import dataclass
from typing import Any

import botorch
import gpytorch
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.models import SingleTaskGP
from botorch.optim.fit import fit_gpytorch_mll_scipy
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.cholesky import psd_safe_cholesky
from linear_operator.utils.errors import NanError, NotPSDError
from torch import Tensor

from hwgpt_blackbox.optimizers.bayesian.kernels import MakePrior

logger = logging.getLogger(__name__)

_EVALUATIONS = 40  # of the likelihood, in a first fit and in one that starts from the last
_MIN_VARIANCE = 1e-18
_GROWTH = 0.1  # share of new observations after which hyperparameters are fitted again


class Posterior:
    """Marginal posterior of one Gaussian process, with its Cholesky factor kept.

    :param model: hyperparameters and data, (n, columns) and (n, 1)
    :param extra: (k, columns): points whose results are still to come. They lower the variance as
        if they had come in at the posterior mean, which leaves the mean as it is (the kriging
        believer, Ginsbourger et al. 2010).
    """

    def __init__(self, model: SingleTaskGP, extra: Tensor) -> None:
        self._kernel = model.covar_module
        with torch.no_grad():
            x, y = model.train_inputs[0], model.train_targets
            self._mean = model.mean_module.constant
            noise = model.likelihood.noise
            self._x = torch.cat((x, extra))
            covariance = self._kernel(self._x, self._x).to_dense()
            covariance.diagonal().add_(noise)
            factor = psd_safe_cholesky(covariance)
            eye = torch.eye(len(self._x), dtype=x.dtype)
            self._inverse = torch.linalg.solve_triangular(factor, eye, upper=False)
            # the leading block of a Cholesky factor belongs to the data alone
            n = len(x)
            self._whitened = self._inverse[:n, :n] @ (y - self._mean)

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (without noise) at x (m, columns): (m,) each."""
        with torch.no_grad():
            across = self._kernel(x, self._x).to_dense() @ self._inverse.T
            mean = self._mean + across[:, : len(self._whitened)] @ self._whitened
            variance = self._kernel(x, diag=True) - across.square().sum(1)
            return mean, variance.clamp_min(_MIN_VARIANCE).sqrt()


@dataclass
class OutcomeModel:
    """Model of one outcome: what of it lasts from one suggestion to the next.

    :param state: hyperparameters of the last fit; None before the first
    :param fitted_at: number of observations at the last fit; 0 before the first
    :param shift: what was taken from the outcome last modelled
    :param scale: what it was then divided by
    """

    state: dict[str, Tensor] | None = None
    fitted_at: int = 0
    shift: float = 0.0
    scale: float = 1.0

    def outdated(self, observations: int) -> bool:
        """Whether there are so many observations that the hyperparameters want a refit."""
        return observations >= self.fitted_at + max(1, math.ceil(_GROWTH * self.fitted_at))

    def posterior(
        self,
        x: Tensor,
        y: Tensor,
        extra: Tensor,
        make_prior: MakePrior,
        *,
        observations: int,
        refit: bool,
    ) -> Posterior:
        """Posterior of the standardised outcome, after a refit if asked.

        :param x: (n, columns), n >= 2
        :param y: (n,), finite. ``shift`` and ``scale`` are set to its mean and standard deviation
        :param extra: (k, columns), pending points
        :param make_prior: see :data:`MakePrior`
        :param observations: all there are, of which x may be a subset; noted when refitted
        :param refit: whether to fit the hyperparameters, warm from the last fit
        """
        self.shift = float(y.mean())
        spread = float(y.std())
        self.scale = spread if spread > 1e-12 * float(y.abs().max()) else 1.0
        standard = ((y - self.shift) / self.scale).unsqueeze(-1)
        model = _build(x, standard, make_prior, self.state)
        if refit or self.state is None:
            if _fit(model):
                self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}
            else:
                model = _build(x, standard, make_prior, self.state)
            self.fitted_at = observations
        model.eval()
        return Posterior(model, extra)


def _build(
    x: Tensor, y: Tensor, make_prior: MakePrior, state: dict[str, Any] | None
) -> SingleTaskGP:
    kernel, likelihood = make_prior(x.shape[1])
    with botorch.settings.validate_input_scaling(False):
        model = SingleTaskGP(
            x, y, likelihood=likelihood, covar_module=kernel, outcome_transform=None
        ).double()
    if state is not None:
        model.load_state_dict(state)
    return model


def _fit(model: SingleTaskGP) -> bool:
    """Maximise the marginal likelihood in place; whether that worked."""
    model.train()
    objective = ExactMarginalLogLikelihood(model.likelihood, model)
    try:
        # Exact Cholesky at every size: the alternative (conjugate gradients) draws random probes.
        # fit_gpytorch_mll would restart from random draws of torch's global generator.
        with warnings.catch_warnings(), gpytorch.settings.max_cholesky_size(100_000):
            warnings.simplefilter("ignore")
            # TNC has its own loops; L-BFGS-B asks a BLAS, whose sums depend on the processor.
            fit_gpytorch_mll_scipy(objective, method="TNC", options={"maxfun": _EVALUATIONS})
    except (NotPSDError, NanError, ModelFittingError, RuntimeError, ValueError) as error:
        logger.debug("hyperparameters kept: %s", error)
        return False
    return all(bool(torch.isfinite(p).all()) for p in model.parameters())
