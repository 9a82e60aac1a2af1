"""Acquisition functions against BoTorch, brute force and quadrature."""

import numpy as np
import pytest

moocore = pytest.importorskip("moocore")
pytest.importorskip("scipy")

from scipy import integrate, stats  # noqa: E402

from hwgpt_blackbox.optimizers.bayesian import acquisition, methods  # noqa: E402

FRONTS = {
    2: [[0.1, 0.9], [0.4, 0.5], [0.8, 0.2], [0.9, 0.9]],  # the last is dominated
    3: [[0.1, 0.9, 0.5], [0.4, 0.5, 0.6], [0.8, 0.2, 0.3], [0.5, 0.6, 0.1]],
    4: [[0.1, 0.9, 0.5, 0.5], [0.4, 0.5, 0.6, 0.2], [0.8, 0.2, 0.3, 0.9]],
}


def _case(objectives: int, candidates: int = 6):
    rng = np.random.default_rng(objectives)
    mean = rng.random((candidates, objectives))
    std = 0.05 + 0.3 * rng.random((candidates, objectives))
    return np.array(FRONTS[objectives]), np.ones(objectives), mean, std


@pytest.mark.parametrize("objectives", FRONTS)
def test_log_ehvi_is_the_logarithm_of_botorchs(objectives):
    torch = pytest.importorskip("torch")
    pytest.importorskip("botorch")
    from botorch.acquisition.multi_objective.analytic import ExpectedHypervolumeImprovement
    from botorch.utils.multi_objective.box_decompositions.non_dominated import (
        FastNondominatedPartitioning,
    )
    from botorch.utils.testing import MockModel, MockPosterior

    front, reference, mean, std = _case(objectives)
    ours = acquisition.Cells(front, reference).log_expected_improvement(mean, std)
    worst = -torch.from_numpy(reference)
    partitioning = FastNondominatedPartitioning(ref_point=worst, Y=-torch.from_numpy(front))
    for i in range(len(mean)):
        at = torch.from_numpy(mean[i : i + 1]), torch.from_numpy(std[i : i + 1])
        model = MockModel(MockPosterior(mean=-at[0], variance=at[1] ** 2))
        theirs = ExpectedHypervolumeImprovement(model, worst.tolist(), partitioning)
        expected = theirs(torch.zeros(1, 1, 1, dtype=torch.double))
        assert np.exp(ours[i]) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("objectives", FRONTS)
def test_ehvi_equals_brute_force(objectives):
    front, reference, mean, std = _case(objectives, candidates=2)
    ours = np.exp(acquisition.Cells(front, reference).log_expected_improvement(mean, std))
    rng = np.random.default_rng(0)
    before = moocore.hypervolume(front, ref=reference)
    for i in range(len(mean)):
        draws = mean[i] + std[i] * rng.standard_normal((1000, objectives))
        gains = np.array(
            [moocore.hypervolume(np.vstack([front, draw]), ref=reference) for draw in draws]
        )
        gains -= before
        error = gains.std() / np.sqrt(len(gains))
        assert abs(gains.mean() - ours[i]) < 4 * error + 1e-12


@pytest.mark.parametrize("objectives", [2, 3, 4, 5])
def test_cells_fill_what_is_not_dominated(objectives):
    rng = np.random.default_rng(objectives)
    front, reference = rng.random((12, objectives)), np.full(objectives, 0.9)
    cells = acquisition.Cells(front, reference)
    low = np.maximum(cells.best, 0.0)
    assert (low < cells.worst).all()
    inside = [i for i, point in enumerate(front) if (point < reference).all()]
    dominated = moocore.hypervolume(front[inside], ref=reference) if inside else 0.0
    volume = (cells.worst - low).prod(axis=1).sum()
    assert volume == pytest.approx(0.9**objectives - dominated, rel=1e-12)
    points = rng.random((200, 1, objectives))
    hits = ((points >= low) & (points < cells.worst)).all(-1).sum(-1)
    beaten = (front[None] <= points).all(-1).any(-1) | (points[:, 0] >= reference).any(-1)
    np.testing.assert_array_equal(hits, ~beaten)


def test_cells_of_a_long_front_are_bounded():
    points = np.abs(np.random.default_rng(0).standard_normal((300, 5)))
    front = 1 - points / np.linalg.norm(points, axis=1, keepdims=True)
    assert len(acquisition.Cells(front, np.full(5, 1.1)).best) < 4000


def test_log_ehvi_keeps_an_order_where_the_improvement_underflows():
    front, reference, _, _ = _case(2)
    cells = acquisition.Cells(front, reference)
    mean = np.array([[2.0, 2.0], [3.0, 3.0], [40.0, 50.0]])
    value = cells.log_expected_improvement(mean, np.full_like(mean, 1e-3))
    assert np.isfinite(value).all()
    assert value[0] > value[1] > value[2]


def test_ehvi_without_a_front_is_the_whole_box():
    cells = acquisition.Cells(np.empty((0, 2)), np.ones(2))
    value = cells.log_expected_improvement(np.array([[0.25, 0.5]]), np.full((1, 2), 1e-9))
    assert np.exp(value) == pytest.approx(0.75 * 0.5)


def test_a_certain_point_gains_its_exact_hypervolume():
    front, reference, mean, _ = _case(3)
    value = np.exp(acquisition.Cells(front, reference).log_expected_improvement(mean, 0 * mean))
    before = moocore.hypervolume(front, ref=reference)
    for i, row in enumerate(mean):
        after = moocore.hypervolume(np.vstack([front, row]), ref=reference)
        assert value[i] == pytest.approx(after - before, abs=1e-9)


def test_log_expected_gain_equals_its_definition_and_its_asymptote():
    z = np.linspace(-30.0, 10.0, 81)
    found = acquisition.log_expected_gain(z)
    for at, value in zip(z[z >= -8], found[z >= -8], strict=True):
        exact, _ = integrate.quad(lambda t: stats.norm.cdf(t), at - 40, at, epsabs=0, limit=200)
        assert value == pytest.approx(np.log(exact), abs=1e-7)
    far = z[z < -20]
    series = stats.norm.logpdf(far) + np.log(far**-2 - 3 * far**-4 + 15 * far**-6)
    np.testing.assert_allclose(found[z < -20], series, atol=1e-4)
    assert (np.diff(found) > 0).all()
    assert np.isfinite(acquisition.log_expected_gain(np.array([-1e5]))).all()


def test_log_expected_improvement_equals_quadrature():
    mean, std = np.array([0.3, 1.0, 2.0]), np.array([0.1, 0.5, 0.4])
    ours = np.exp(acquisition.log_expected_improvement(mean, std, 0.7))
    for value, m, s in zip(ours, mean, std, strict=True):
        exact, _ = integrate.quad(lambda t, m=m, s=s: stats.norm.cdf(t, m, s), m - 12 * s, 0.7)
        assert value == pytest.approx(exact, rel=1e-6)


def test_augmented_chebyshev():
    values, weights = np.array([[1.0, 4.0], [3.0, 2.0]]), np.array([0.5, 0.5])
    result = acquisition.augmented_chebyshev(values, weights, 0.1)
    assert result.tolist() == pytest.approx([2.0 + 0.25, 1.5 + 0.25])


def test_scalar_improvement_is_the_mean_and_ranks_where_there_is_none():
    scalars = np.array([[0.2, 3.0, 5.0], [0.6, 4.0, 5.0]])
    value = acquisition.log_expected_scalar_improvement(scalars, 1.0)
    assert np.exp(value[0]) == pytest.approx((0.8 + 0.4) / 2, rel=1e-4)
    assert value[0] > value[1] > value[2] > -np.inf


def test_draws_are_standard_normal_in_every_objective():
    for count in (2, 3, 6):
        draws = methods._normal_draws(count, np.random.default_rng(0))
        assert np.abs(draws.mean(axis=0)).max() < 1e-12
        assert np.abs(draws.std(axis=0) - 1).max() < 0.1
        assert np.abs(np.corrcoef(draws.T) - np.eye(count)).max() < 0.4
