"""Which design of a model of the expected value is chosen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from device_tables import SPACE, architectures, true_latency

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
