"""Gaussian processes that know nothing of layers: BoTorch models, refitted rarely.

BoTorch fits (``SingleTaskGP``, its priors, the marginal likelihood). Prediction is
written out, because a model is used for thousands of candidates per suggestion, of which only
the marginal mean and variance count: ``SingleTaskGP.posterior`` gives them with the full
covariance of all candidates, several times slower. Nothing here draws random numbers.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Any

import botorch
import gpytorch
import numpy as np
import numpy.typing as npt
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.models import SingleTaskGP
from botorch.models.utils.gpytorch_modules import (
    get_covar_module_with_dim_scaled_prior,
    get_gaussian_likelihood_with_lognormal_prior,
)
from botorch.optim.fit import fit_gpytorch_mll_scipy
from gpytorch.mlls import ExactMarginalLogLikelihood
from linear_operator.utils.cholesky import psd_safe_cholesky
from linear_operator.utils.errors import NanError, NotPSDError
from torch import Tensor

from hwgpt_blackbox.optimizers._features import Features
from hwgpt_blackbox.optimizers.bayesian.outcome import Family, OutcomeModel
from hwgpt_blackbox.optimizers.bayesian.reproducible import one_thread

logger = logging.getLogger(__name__)

Vector = npt.NDArray[np.float64]

_EVALUATIONS = 40  # of the likelihood, in a first fit and in one that starts from the last
_MIN_VARIANCE = 1e-18


@dataclass(frozen=True)
class PlainPoints:
    """See :class:`~hwgpt_blackbox.optimizers.bayesian.outcome.Points`.

    :param known: (n, columns)
    :param pending: (k, columns)
    """

    known: Features
    pending: Features

    def across(self, x: Features) -> Tensor:
        """Features (n, columns) as they are."""
        return torch.from_numpy(x)


class PlainPosterior:
    """Marginal posterior of one Gaussian process, with its Cholesky factor kept.

    :param model: hyperparameters and data, (n, columns) and (n, 1)
    :param pending: (k, columns)
    """

    def __init__(self, model: SingleTaskGP, pending: Tensor) -> None:
        self._kernel = model.covar_module
        with torch.no_grad():
            x, y = model.train_inputs[0], model.train_targets
            self._mean = model.mean_module.constant
            noise = model.likelihood.noise
            self._x = torch.cat((x, pending))
            covariance = self._kernel(self._x, self._x).to_dense()
            covariance.diagonal().add_(noise)
            factor = psd_safe_cholesky(covariance)
            eye = torch.eye(len(self._x), dtype=x.dtype)
            self._inverse = torch.linalg.solve_triangular(factor, eye, upper=False)
            # the leading block of a Cholesky factor belongs to the data alone
            n = len(x)
            self._whitened = self._inverse[:n, :n] @ (y - self._mean)

    def __call__(self, x: Tensor) -> tuple[Vector, Vector]:
        """Mean and standard deviation (without noise) at x (n, columns): (n,) each."""
        with torch.no_grad(), one_thread():
            across = self._kernel(x, self._x).to_dense() @ self._inverse.T
            mean = self._mean + across[:, : len(self._whitened)] @ self._whitened
            variance = self._kernel(x, diag=True) - across.square().sum(1)
            return mean.numpy(), variance.clamp_min(_MIN_VARIANCE).sqrt().numpy()


@dataclass
class PlainModel(OutcomeModel):
    """Model of one outcome with BoTorch's default covariance.

    :param state: hyperparameters of the last fit; None before the first
    """

    state: dict[str, Tensor] | None = None

    def _posterior(self, points: PlainPoints, y: Vector, refit: bool) -> PlainPosterior:
        x, standard = torch.from_numpy(points.known), torch.from_numpy(y).unsqueeze(-1)
        with one_thread():
            model = _build(x, standard, self.state)
            if refit:
                if _fit(model):
                    self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}
                else:
                    model = _build(x, standard, self.state)
            model.eval()
            return PlainPosterior(model, torch.from_numpy(points.pending))


PLAIN = Family(PlainPoints, PlainModel)
"""Models that see every hyperparameter on its own."""


def _build(x: Tensor, y: Tensor, state: dict[str, Any] | None) -> SingleTaskGP:
    """A model of y (n, 1) at x (n, columns).

    BoTorch's defaults: squared exponential, one length scale for each column. Their prior grows
    with the number of columns (Hvarfner et al. 2024), which lets it work in the 27 to 75 dimensions
    here. Hypervolume after 100 trials on GPT-S, perplexity and energy: Matern 5/2 in its place did
    worse (0.952 against 0.959, two seeds). So did a noise without BoTorch's constraint (0.960
    against 0.967, ten seeds): with it a fit of few steps stays near the prior, which is for the
    better where 100 points meet 27 length scales.
    """
    kernel = get_covar_module_with_dim_scaled_prior(x.shape[1], use_rbf_kernel=True)
    likelihood = get_gaussian_likelihood_with_lognormal_prior()
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
