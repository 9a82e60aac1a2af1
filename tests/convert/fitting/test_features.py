"""Features of the structured models, for any number of choices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from hwgpt_blackbox.convert.fitting.additive_tables import additive_model
from hwgpt_blackbox.convert.fitting.features import (
    Architectures,
    contrasts,
    hardware_features,
    perplexity_features,
    places,
)
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import Surrogate

SPACES = (
    Space("two", (8, 16), (2, 3), (1, 2), (1, 2), 1),
    Space("many", (8, 16, 24, 32), (2, 4, 6, 8), (1, 2, 3, 4, 5), (1, 2, 4, 8), 1),
)


@pytest.mark.parametrize("values", [range(1, n + 1) for n in range(2, 9)] + [(2, 3, 4, 6, 12)])
def test_contrasts_are_orthogonal_polynomials(values: Sequence[int]) -> None:
    basis = contrasts(places(values))
    assert len(basis) == min(len(values) - 1, 4)
    gram = basis @ basis.T
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-10)
    np.testing.assert_allclose(basis.sum(axis=1), 0.0, atol=1e-10)
    assert (np.abs(basis).max(axis=1) == 1.0).all()


def test_contrasts_of_three_choices_are_exact() -> None:
    np.testing.assert_array_equal(
        contrasts(places((4, 8, 20))), [[-1.0, 0.0, 1.0], [0.5, -1.0, 0.5]]
    )


def test_places_are_of_values_or_logarithms() -> None:
    np.testing.assert_allclose(places((1, 2, 4, 8)), np.linspace(-1.0, 1.0, 4))
    np.testing.assert_allclose(places((2, 4, 6, 8)), np.linspace(-1.0, 1.0, 4))
    depths = np.array([2, 3, 4, 6, 12])  # every layer adds to the sum: exactly linear
    linear = contrasts(places(depths, logarithms=False))[0]
    np.testing.assert_allclose(np.diff(linear) / np.diff(depths), np.diff(linear)[0], rtol=1e-9)


@pytest.mark.parametrize("features", [hardware_features, perplexity_features])
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_tables_of_any_space_are_features_times_weights(space, features) -> None:
    rng = np.random.default_rng(0)
    sample = Architectures(space, Encoding(space).sample(200, rng))
    rows = [np.flatnonzero(sample.embed == e) for e in range(len(space.embed_dims))]
    found = [features(sample.inputs(r)).values for r in rows]
    weights = [rng.normal(size=x.shape[1]) for x in found]
    model = additive_model(space, features, weights, "identity")
    surrogate = Surrogate(space, {"perplexity": model}, np.array([0.0, 0.5, 1.0]), {})
    predicted = Predictor(surrogate, [Column("perplexity")]).expected(sample.matrix)[:, 0]
    for r, x, w in zip(rows, found, weights, strict=True):
        np.testing.assert_allclose(predicted[r], x @ w, rtol=1e-9, atol=1e-9)
