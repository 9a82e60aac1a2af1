"""Which design of a model of the expected value is chosen."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest
from device_tables import SPACE, architectures, true_latency
from fakes import TINY
from measurement_sets import true_latency as set_latency

from hwgpt_blackbox.convert.fitting import expected_value as location
from hwgpt_blackbox.convert.fitting.expected_value import (
    DESIGNS,
    LOG_MARGIN,
    Choice,
    Regression,
    choose_design,
    make_folds,
)
from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.fitting.few_architectures import fit_few
from hwgpt_blackbox.convert.fitting.noise_tables import quantile_levels
from hwgpt_blackbox.profiling.design import design


def choose(values: np.ndarray) -> Choice:
    matrix = architectures(len(values))
    regression = Regression(Architectures(SPACE, matrix), np.arange(len(matrix)))
    return choose_design(regression, values[:, None], make_folds(regression), lambda fit: True)


def test_a_score_that_is_no_number_does_not_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """It came first and nothing is smaller than NaN."""
    fit_design = location.fit_design

    def spoilt(*args: Any) -> location.ExpectedValueFit:
        fit = fit_design(*args)
        return fit.scaled(np.full(6, np.nan)) if args[3] == DESIGNS[0] else fit

    monkeypatch.setattr(location, "fit_design", spoilt)
    choice = choose(true_latency(architectures(120)))
    assert choice.scores[str(DESIGNS[0])] == np.inf
    assert np.isfinite(choice.out_of_fold).all()


def test_numbers_of_features_are_compared_by_the_design_that_is_used() -> None:
    """Another design's score may be smaller, by less than its margin."""
    rng = np.random.default_rng(3)
    values = np.exp(0.05 * rng.standard_normal(120)) * true_latency(architectures(120))
    choice = choose(values)
    assert choice.score == choice.scores[str(choice.fit.design)]
    better = min(choice.scores.values())
    assert better <= choice.score < better + LOG_MARGIN + location.SIMPLE_MARGIN


def test_a_fit_that_is_negative_out_of_fold_does_not_win() -> None:
    """A machine was interrupted again and again; its noise tables were negative."""
    matrix = np.array(list(islice(design(TINY, 0), 48)))
    latency = set_latency(matrix, TINY)
    rng = np.random.default_rng(0)
    interrupted = [(rng.random(48) < 0.3) * rng.exponential(2.0, 48) for _ in range(3)]
    repeats = np.stack([0.3 * latency / latency.min() + more for more in interrupted], axis=1)
    model, choice, _ = fit_few(Architectures(TINY, matrix), repeats, quantile_levels())
    assert (choice.out_of_fold > 0.0).all()
    assert model.ratio is not None and (model.ratio > 0.0).all()
