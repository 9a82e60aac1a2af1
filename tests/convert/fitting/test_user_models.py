"""Models of what a user measured: few architectures, some metrics on some of them."""

from __future__ import annotations

import numpy as np
import pytest
from measurement_sets import TINY, drawn, true_latency, true_perplexity

from hwgpt_blackbox.convert.fitting.user_models import fit_user
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements, join
from hwgpt_blackbox.convert.source.table_measurements import TableMeasurements
from hwgpt_blackbox.errors import DataError


def measured(n: int, with_energy: int, with_quality: int) -> UserMeasurements:
    matrix, rng = drawn(n), np.random.default_rng(1)
    latency = true_latency(matrix)[:, None] * np.exp(0.02 * rng.standard_normal((n, 5)))
    energy = 0.1 * true_latency(matrix)[:, None] * np.exp(0.02 * rng.standard_normal((n, 2)))
    energy[with_energy:] = np.nan
    files = {"files": {}}
    device = TableMeasurements(TINY, matrix, {"latency": latency, "energy": energy}, files)
    some = matrix[:with_quality]
    values = {"perplexity": true_perplexity(some)[:, None]}
    return join(TINY, {"mine": device}, TableMeasurements(TINY, some, values, files))


def test_metrics_are_fitted_on_the_architectures_that_have_them() -> None:
    surrogate, notes = fit_user(measured(100, 48, 60))
    assert {name: row["architectures"] for name, row in notes.items()} == {
        "latency@mine": 100,
        "energy@mine": 48,
        "perplexity": 60,
    }
    assert surrogate.models["perplexity"].ratio is None
    unseen = drawn(500, seed=9)
    expected = predictor_of(surrogate, notes).expected(unseen)
    truth = [true_latency(unseen), 0.1 * true_latency(unseen), true_perplexity(unseen)]
    for true, predicted in zip(truth, expected.T, strict=True):
        found = location_measures(true, predicted)
        assert found["mae"] < 0.02 * found["mean"]
        assert found["kendall_tau"] > 0.95


def test_with_many_architectures_single_layers_have_effects() -> None:
    data = measured(300, 300, 300).only(["perplexity"])
    layers = np.arange(TINY.max_layers)
    place = np.where(layers < np.array(TINY.num_layers)[data.matrix[:, 0], None], layers, 0)
    heads = data.matrix[:, -TINY.max_layers :]
    data.values["perplexity"][:, 0] *= np.exp(0.01 * (heads * place).sum(axis=1))
    _, notes = fit_user(data)
    assert notes["perplexity"]["design"] == "log, effects of every layer"


def test_too_few_architectures_name_the_target() -> None:
    with pytest.raises(DataError, match=r"energy@mine: only 20 architectures; a fit needs 32, 8 "):
        fit_user(measured(40, 20, 40))
