"""Acquisition functions against BoTorch, brute force and quadrature."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

import moocore  # noqa: E402
from botorch.acquisition.multi_objective.analytic import (  # noqa: E402
    ExpectedHypervolumeImprovement,
)
from botorch.utils.multi_objective.box_decompositions.non_dominated import (  # noqa: E402
    FastNondominatedPartitioning,
)
from botorch.utils.testing import MockModel, MockPosterior  # noqa: E402
from scipy import integrate, stats  # noqa: E402

from hwgpt_blackbox.optimizers.bayesian import acquisition as acquisition  # noqa: E402

FRONTS = {
    2: [[0.1, 0.9], [0.4, 0.5], [0.8, 0.2], [0.9, 0.9]],  # the last is dominated
    3: [[0.1, 0.9, 0.5], [0.4, 0.5, 0.6], [0.8, 0.2, 0.3], [0.5, 0.6, 0.1]],
    4: [[0.1, 0.9, 0.5, 0.5], [0.4, 0.5, 0.6, 0.2], [0.8, 0.2, 0.3, 0.9]],
}


def _case(objectives: int, candidates: int = 6):
    rng = np.random.default_rng(objectives)
    front = torch.tensor(FRONTS[objectives], dtype=torch.double)
    mean = torch.from_numpy(rng.random((candidates, objectives)))
    std = torch.from_numpy(0.05 + 0.3 * rng.random((candidates, objectives)))
    return front, torch.ones(objectives, dtype=torch.double), mean, std


@pytest.mark.parametrize("objectives", FRONTS)
def test_log_ehvi_is_the_logarithm_of_botorchs(objectives):
    front, reference, mean, std = _case(objectives)
    cells = acquisition.non_dominated_cells(front, reference)
    ours = acquisition.log_expected_hypervolume_improvement(mean, std, *cells)
    partitioning = FastNondominatedPartitioning(ref_point=-reference, Y=-front)
    for i in range(len(mean)):
        model = MockModel(MockPosterior(mean=-mean[i : i + 1], variance=std[i : i + 1] ** 2))
        theirs = ExpectedHypervolumeImprovement(model, (-reference).tolist(), partitioning)
        expected = theirs(torch.zeros(1, 1, 1, dtype=torch.double))
        assert float(ours[i].exp()) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("objectives", FRONTS)
def test_ehvi_equals_brute_force(objectives):
    front, reference, mean, std = _case(objectives, candidates=2)
    cells = acquisition.non_dominated_cells(front, reference)
    ours = acquisition.log_expected_hypervolume_improvement(mean, std, *cells).exp()
    rng = np.random.default_rng(0)
    before = moocore.hypervolume(front.numpy(), ref=reference.numpy())
    for i in range(len(mean)):
        draws = mean[i].numpy() + std[i].numpy() * rng.standard_normal((1000, objectives))
        gains = np.array(
            [
                moocore.hypervolume(np.vstack([front.numpy(), draw]), ref=reference.numpy())
                for draw in draws
            ]
        )
        gains -= before
        error = gains.std() / np.sqrt(len(gains))
        assert abs(gains.mean() - float(ours[i])) < 4 * error + 1e-12


def test_log_ehvi_keeps_an_order_where_the_improvement_underflows():
    front, reference, _, _ = _case(2)
    cells = acquisition.non_dominated_cells(front, reference)
    mean = torch.tensor([[2.0, 2.0], [3.0, 3.0], [40.0, 50.0]], dtype=torch.double)
    std = torch.full_like(mean, 1e-3)
    value = acquisition.log_expected_hypervolume_improvement(mean, std, *cells)
    assert torch.isfinite(value).all()
    assert value[0] > value[1] > value[2]


def test_ehvi_without_a_front_is_the_whole_box():
    reference = torch.ones(2, dtype=torch.double)
    cells = acquisition.non_dominated_cells(torch.empty(0, 2, dtype=torch.double), reference)
    mean = torch.tensor([[0.25, 0.5]], dtype=torch.double)
    value = acquisition.log_expected_hypervolume_improvement(mean, 1e-9 + 0 * mean, *cells)
    assert float(value.exp()) == pytest.approx(0.75 * 0.5)


def test_a_certain_point_gains_its_exact_hypervolume():
    front, reference, mean, _ = _case(3)
    cells = acquisition.non_dominated_cells(front, reference)
    value = acquisition.log_expected_hypervolume_improvement(mean, 0 * mean, *cells).exp()
    before = moocore.hypervolume(front.numpy(), ref=reference.numpy())
    for i, row in enumerate(mean.numpy()):
        after = moocore.hypervolume(np.vstack([front.numpy(), row]), ref=reference.numpy())
        assert float(value[i]) == pytest.approx(after - before, abs=1e-9)


def test_log_expected_improvement_equals_quadrature():
    mean = torch.tensor([0.3, 1.0, 2.0], dtype=torch.double)
    std = torch.tensor([0.1, 0.5, 0.4], dtype=torch.double)
    ours = acquisition.log_expected_improvement(mean, std, 0.7).exp()
    for value, m, s in zip(ours.tolist(), mean.tolist(), std.tolist(), strict=True):
        exact, _ = integrate.quad(lambda t, m=m, s=s: stats.norm.cdf(t, m, s), m - 12 * s, 0.7)
        assert value == pytest.approx(exact, rel=1e-6)


def test_augmented_chebyshev():
    values = torch.tensor([[1.0, 4.0], [3.0, 2.0]], dtype=torch.double)
    weights = torch.tensor([0.5, 0.5], dtype=torch.double)
    result = acquisition.augmented_chebyshev(values, weights, 0.1)
    assert result.tolist() == pytest.approx([2.0 + 0.25, 1.5 + 0.25])


def test_scalar_improvement_is_the_mean_and_ranks_where_there_is_none():
    scalars = torch.tensor([[0.2, 3.0, 5.0], [0.6, 4.0, 5.0]], dtype=torch.double)
    value = acquisition.log_expected_scalar_improvement(scalars, 1.0)
    assert float(value[0].exp()) == pytest.approx((0.8 + 0.4) / 2, rel=1e-4)
    assert value[0] > value[1] > value[2] > -float("inf")
