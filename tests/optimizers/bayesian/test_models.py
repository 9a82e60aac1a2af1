"""Features, kernels, Gaussian processes and local search of the Bayesian methods."""

import numpy as np
import pytest
from syne_tune.config_space import choice, loguniform, randint

torch = pytest.importorskip("torch")
pytest.importorskip("botorch")

from hwgpt_blackbox.errors import InputError  # noqa: E402
from hwgpt_blackbox.optimizers._canonical import Canonicaliser  # noqa: E402
from hwgpt_blackbox.optimizers._features import (  # noqa: E402
    FeatureMap,
    checked_groups,
    infer_groups,
)
from hwgpt_blackbox.optimizers._space import SearchSpace  # noqa: E402
from hwgpt_blackbox.optimizers._warping import absurd, bounded, units  # noqa: E402
from hwgpt_blackbox.optimizers.bayesian.gaussian_process import OutcomeModel, _build  # noqa: E402
from hwgpt_blackbox.optimizers.bayesian.kernels import AdditiveKernel, additive_prior, plain_prior  # noqa: E402
from hwgpt_blackbox.optimizers.bayesian.local_search import (  # noqa: E402
    maximise,
    one_step_neighbours,
)
from hwgpt_blackbox.optimizers.bayesian.models import ObjectiveModels, kept_rows, warp_sign  # noqa: E402

LAYERS = 4
GPT = {
    "layers": choice([2, 3, 4]),
    "embed": choice([192, 384, 768]),
    **{f"mlp_ratio_{i}": choice([2, 3, 4]) for i in range(LAYERS)},
    **{f"heads_{i}": choice([4, 8, 12]) for i in range(LAYERS)},
}


def _mask_form(config):
    inactive = range(config["layers"], LAYERS)
    return {
        **config,
        **{f"mlp_ratio_{i}": 2 for i in inactive},
        **{f"heads_{i}": 4 for i in inactive},
    }


def _sorted_form(config):
    ratios = sorted(config[f"mlp_ratio_{i}"] for i in range(LAYERS))
    return {**config, **{f"mlp_ratio_{i}": r for i, r in enumerate(ratios)}}


def _by_row(space, form):
    return lambda codes: space.encode(form(space.decode(codes)))


@pytest.mark.parametrize("form", [_mask_form, _sorted_form])
def test_canonical_codes_in_bulk_equal_those_one_by_one(form):
    space = SearchSpace(GPT)
    codes = space.sample(np.random.default_rng(3), 200)
    kept = codes.copy()
    bulk, active = Canonicaliser(space, _by_row(space, form))(codes)
    np.testing.assert_array_equal(bulk, [_by_row(space, form)(row) for row in codes])
    np.testing.assert_array_equal(codes, kept)
    if form is _mask_form:
        depth = codes[:, 0].astype(int) + 2
        np.testing.assert_array_equal(active[:, 2:6], np.arange(LAYERS) < depth[:, None])
        assert active[:, :2].all()


def test_without_a_canonical_form_all_is_active():
    space = SearchSpace(GPT)
    codes = space.sample(np.random.default_rng(0), 5)
    bulk, active = Canonicaliser(space, None)(codes)
    np.testing.assert_array_equal(bulk, codes)
    assert active.all()


def test_features_order_numbers_and_split_categories():
    space = SearchSpace(
        {
            "units": choice([64, 16, 32]),
            "kind": choice(["a", "b", "c"]),
            "flag": choice([True, False]),
            "rate": loguniform(1e-4, 1.0),
            "count": randint(1, 5),
            "one": choice([1]),
            "constant": 3,
        }
    )
    config = {"units": 64, "kind": "b", "flag": True, "rate": 1e-2, "count": 2, "one": 1}
    codes = space.encode(config)[None]
    features = FeatureMap(space, None)(codes, np.ones(codes.shape, bool))
    np.testing.assert_allclose(features, [[1.0, 0, 1, 0, 1.0, 0.5, 0.25]])


def test_groups_are_inferred_in_the_order_of_their_numbers():
    space = SearchSpace({**{f"w{i}": choice([1, 2]) for i in (10, 2, 0)}, "seed_1": choice([1, 2])})
    assert infer_groups(space) == {"w": ["w0", "w2", "w10"]}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": ["mlp_ratio_0", "nonsense"]}, "nonsense"),
        ({"a": ["mlp_ratio_0", "mlp_ratio_0"]}, "different names"),
        ({"a": ["mlp_ratio_0", "heads_0"]}, "different values"),
        ({"a": []}, "different names"),
    ],
)
def test_wrong_groups_are_refused(groups, message):
    with pytest.raises(InputError, match=message):
        checked_groups(SearchSpace(GPT), groups)


def test_no_groups_to_infer():
    with pytest.raises(InputError, match="groups="):
        checked_groups(SearchSpace({"a": choice([1, 2])}), None)


def _data(n, seed, kernel="plain"):
    """Features of random networks and an additive function of them, scaled by the width."""
    space = SearchSpace(GPT)
    groups = infer_groups(space) if kernel == "additive" else None
    codes, active = Canonicaliser(space, _by_row(space, _mask_form))(
        space.sample(np.random.default_rng(seed), n)
    )
    features = FeatureMap(space, groups)
    ratios = (codes[:, 2:6] + 2) * active[:, 2:6]
    heads = (codes[:, 6:10] + 1) * active[:, 6:10]
    width = 2.0 ** codes[:, 1]
    values = width * (1 + ratios.sum(1) + heads @ [0.5, 0.52, 0.54, 0.56])
    x = torch.from_numpy(features(codes, active))
    factory = plain_prior if groups is None else lambda _: additive_prior(features.layout)
    return x, torch.from_numpy(values), factory


@pytest.mark.parametrize("kernel", ["plain", "additive"])
def test_prediction_equals_botorchs_posterior(kernel):
    x, y, factory = _data(30, 0, kernel)
    new, _, _ = _data(7, 1, kernel)
    outcome = OutcomeModel()
    posterior = outcome.posterior(x, y, x[:0], factory, observations=30, refit=True)
    standard = ((y - y.mean()) / y.std()).unsqueeze(-1)
    theirs = _build(x, standard, factory, outcome.state).eval().posterior(new)
    mean, std = posterior(new)
    torch.testing.assert_close(mean, theirs.mean[:, 0].detach(), rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(std, theirs.variance[:, 0].detach().sqrt(), rtol=1e-4, atol=1e-6)


def test_a_pending_trial_lowers_the_variance_and_leaves_the_mean():
    x, y, factory = _data(20, 0)
    outcome = OutcomeModel()
    without = outcome.posterior(x, y, x[:0], factory, observations=20, refit=True)
    new, _, _ = _data(1, 9)
    pending = outcome.posterior(x, y, new, factory, observations=20, refit=False)
    torch.testing.assert_close(pending(new)[0], without(new)[0])
    assert pending(new)[1] < 0.5 * without(new)[1]


def test_additive_kernel_is_a_covariance():
    x, _, factory = _data(40, 0, "additive")
    kernel, _ = factory(x.shape[1])
    with torch.no_grad():
        kernel.slope.fill_(0.7)
        matrix = kernel(x).to_dense()
        assert torch.linalg.eigvalsh(matrix).min() > -1e-9
        torch.testing.assert_close(matrix, matrix.T)
        torch.testing.assert_close(kernel(x, diag=True), matrix.diagonal())
        across = kernel(x[:3], x[3:]).to_dense()
        torch.testing.assert_close(across, matrix[:3, 3:])


def test_shared_effects_do_not_care_which_layer():
    space = SearchSpace({f"w{i}": choice([1, 2, 3]) for i in range(3)})
    features = FeatureMap(space, infer_groups(space))
    kernel = AdditiveKernel(features.layout)
    with torch.no_grad():
        kernel.log_deviation_variance.fill_(-60.0)
        kernel.log_rest_variance.fill_(-60.0)
        codes = np.array([[0.0, 1, 2], [2, 0, 1], [2, 2, 2]])
        matrix = kernel(torch.from_numpy(features(codes, np.ones(codes.shape, bool)))).to_dense()
    torch.testing.assert_close(matrix[0], matrix[1])
    assert not torch.isclose(matrix[0, 0], matrix[2, 2])


def test_additive_kernel_learns_structure_from_few_points():
    error = {}
    for kernel in ("plain", "additive"):
        x, y, factory = _data(25, 0, kernel)
        new, truth, _ = _data(200, 1, kernel)
        outcome = OutcomeModel()
        posterior = outcome.posterior(x, y, x[:0], factory, observations=25, refit=True)
        mean = posterior(new)[0] * outcome.scale + outcome.shift
        error[kernel] = float((mean - truth).square().mean().sqrt() / truth.std())
    assert error["additive"] < 0.5 * error["plain"]


def test_fitting_touches_no_global_random_state():
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    x, y, factory = _data(12, 0)
    OutcomeModel().posterior(x, y, x[:2], factory, observations=12, refit=True)
    assert torch.equal(torch.get_rng_state(), before_torch)
    np.testing.assert_array_equal(np.random.get_state()[1], before_numpy)


def test_a_constant_objective_is_no_obstacle():
    x, y, factory = _data(10, 0)
    model = OutcomeModel()
    posterior = model.posterior(x, 0 * y + 3, x[:0], factory, observations=10, refit=True)
    mean, std = posterior(x)
    assert torch.isfinite(mean).all() and torch.isfinite(std).all()
    assert model.shift == 3 and model.scale == 1


def test_hyperparameters_are_fitted_at_growing_intervals_and_one_model_at_a_time():
    x, _, factory = _data(60, 0)
    values = np.random.default_rng(0).random((60, 2))
    objectives, fits = ObjectiveModels(limit=40, logarithms=False), []
    for n in range(10, 61):
        old = [model.fitted_at for model in objectives.models] or [0, 0]
        objectives.belief(x[:n].numpy(), values[:n], x[:0].numpy(), x[:0].numpy(), factory)
        fits.append(sum(a != m.fitted_at for a, m in zip(old, objectives.models, strict=True)))
    assert fits[0] == 2 and max(fits[1:]) == 1
    assert sum(fits[-20:]) <= 10


def test_kept_rows_are_bounded_and_hold_the_front():
    values = np.random.default_rng(0).random((500, 2))
    rows = kept_rows(values, 60)
    assert len(rows) == 60 == len(set(rows.tolist()))
    assert (np.diff(rows) > 0).all()
    front = [
        i for i, v in enumerate(values) if not ((values <= v).all(1) & (values < v).any(1)).any()
    ]
    assert set(front) <= set(rows.tolist())
    np.testing.assert_array_equal(kept_rows(values[:9], 60), np.arange(9))


@pytest.mark.parametrize(
    ("values", "sign"), [([1, 10], 1), ([-1, -10], -1), ([-1, 5], 0), ([0, 5], 0)]
)
def test_logarithms_need_one_sign(values, sign):
    assert warp_sign(np.array(values, dtype=float)) == sign


def test_only_bad_values_are_bounded():
    rng = np.random.default_rng(0)
    usual = np.column_stack([rng.random(100), -rng.lognormal(size=100)])
    np.testing.assert_array_equal(bounded(usual), usual)
    assert not absurd(usual).any()
    assert not absurd(rng.normal(size=(1000, 3))).any()
    odd = usual.copy()
    odd[3], odd[50], odd[60] = [1e300, 1e9], [-1e6, -1e6], [2.2, 0.0]
    assert np.flatnonzero(absurd(odd)).tolist() == [3]
    found = bounded(odd)
    assert (found[3] < [2.5, 2.5]).all()
    np.testing.assert_array_equal(found[50], odd[50])
    kept = np.delete(np.arange(100), [3, 50, 60])
    np.testing.assert_array_equal(found[kept], usual[kept])
    mostly_one = np.array([[0.0]] * 9 + [[5.0]])
    np.testing.assert_array_equal(bounded(mostly_one), mostly_one)
    assert not absurd(mostly_one).any()


def test_units_are_powers_of_two():
    values = np.array([[3.0, 0.0, -1.7e308, 5e-324], [1.0, 0.0, 1.0, 0.0]])
    found = units(values)
    assert found.tolist() == [2.0, 1.0, 2.0**1023, 5e-324]
    assert (np.abs(values / found) < 2).all()


def test_one_step_neighbours_are_all_and_differ_once():
    space = SearchSpace(GPT)
    codes = space.sample(np.random.default_rng(0), 1)[0]
    free = np.ones(len(space), bool)
    free[2] = False
    around = one_step_neighbours(space, codes, free, np.random.default_rng(0))
    assert len(np.unique(around, axis=0)) == len(around) == 2 * (len(space) - 1)
    assert ((around != codes).sum(1) == 1).all()
    assert (around[:, 2] == codes[2]).all()


def test_one_step_neighbours_of_long_ranges_stay_inside():
    space = SearchSpace(
        {"n": randint(1, 100), "rate": loguniform(1e-3, 1.0), "name": choice(list("abcdefghijkl"))}
    )
    codes = np.array([0.0, 1.0, 5.0])
    around = one_step_neighbours(space, codes, np.ones(3, bool), np.random.default_rng(0))
    assert 1.0 in around[:, 0]  # the next integer
    for row in around:
        np.testing.assert_allclose(space.encode(space.decode(row)), row)


def test_local_search_climbs_and_obeys_the_filter():
    space = SearchSpace({f"x{i}": choice(list(range(5))) for i in range(6)})
    target = np.array([4.0, 3, 2, 1, 0, 2])
    rng = np.random.default_rng(0)
    calls = []

    def score(codes):
        calls.append(len(codes))
        return -np.abs(codes - target).sum(1)

    def neighbours(codes):
        around = one_step_neighbours(space, codes[0], np.ones(6, bool), rng)
        return around[(around != target).any(1)]  # the optimum itself is taken

    best, values = maximise(score, neighbours, space.sample(rng, 10), starts=3, max_steps=30)
    assert values[0] == -1.0 and (np.diff(values) <= 0).all()
    assert not (best == target).all(1).any()
    assert len(calls) < 32
