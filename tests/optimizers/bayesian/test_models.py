"""Features, kernels, Gaussian processes and local search of the Bayesian methods."""

import numpy as np
import pytest
from syne_tune.config_space import choice, loguniform, randint

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._canonical import Canonicaliser
from hwgpt_blackbox.optimizers._features import (
    FeatureMap,
    checked_groups,
    infer_groups,
)
from hwgpt_blackbox.optimizers._space import SearchSpace
from hwgpt_blackbox.optimizers._warping import absurd, bounded, units, warp_sign
from hwgpt_blackbox.optimizers.bayesian.additive import (
    AdditiveModel,
    AdditivePoints,
    AdditivePosterior,
    AdditivePrior,
    Evidence,
    additive,
)
from hwgpt_blackbox.optimizers.bayesian.local_search import Neighbourhood, maximise, names
from hwgpt_blackbox.optimizers.bayesian.models import ObjectiveModels, kept_rows
from hwgpt_blackbox.optimizers.bayesian.quasi_newton import minimise

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
    return features(codes, active), values, features.layout


def _family(kernel, layout):
    if kernel == "additive":
        return additive(layout)
    pytest.importorskip("botorch")
    from hwgpt_blackbox.optimizers.bayesian.plain import PLAIN

    return PLAIN


def _fitted(kernel, x, y, pending, layout=None):
    """Points, a fitted model and its posterior."""
    family = _family(kernel, layout)
    points, model = family.points(x, pending), family.model()
    return points, model, model.posterior(points, y, observations=len(y), refit=True)


def _standard(y):
    return (y - y.mean()) / y.std(ddof=1)


def _random_state(prior, seed=0):
    return prior.centre + 0.3 * np.random.default_rng(seed).standard_normal(len(prior.centre))


def _reference(x, y, layout, prior, state):
    """BoTorch's model with the same covariance, hyperparameters and data."""
    torch = pytest.importorskip("torch")
    models = pytest.importorskip("botorch.models")
    from reference_kernel import reference_prior

    kernel, likelihood = reference_prior(layout)
    values = prior.named(state)
    with torch.no_grad():
        for name, _ in kernel.named_parameters():
            value = values[name.removeprefix("log_")]
            getattr(kernel, name).copy_(
                torch.from_numpy(value if name == "slope" else np.log(value))
            )
    likelihood.noise = torch.from_numpy(values["noise"])
    targets = torch.from_numpy(y).unsqueeze(-1)
    model = models.SingleTaskGP(
        torch.from_numpy(x),
        targets,
        likelihood=likelihood,
        covar_module=kernel,
        outcome_transform=None,
    ).double()
    precision = np.linalg.inv(
        kernel(torch.from_numpy(x)).to_dense().detach().numpy() + values["noise"] * np.eye(len(y))
    )
    with torch.no_grad():
        model.mean_module.raw_constant.fill_((precision @ y).sum() / precision.sum())
    return model


@pytest.mark.parametrize("seed", [0, 1])
def test_likelihood_and_gradient_equal_botorchs(seed):
    torch = pytest.importorskip("torch")
    mlls = pytest.importorskip("gpytorch.mlls")
    x, y, layout = _data(40, seed, "additive")
    prior, y = AdditivePrior(layout), _standard(y)
    states = _random_state(prior), _random_state(prior, 1)
    evidence = Evidence(AdditivePoints(prior, x, x[:0]), y)
    found, slopes = zip(*map(evidence, states), strict=True)
    theirs = []
    for state, slope in zip(states, slopes, strict=True):
        model = _reference(x, y, layout, prior, state).train()
        objective = mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        loss = -len(y) * objective(model(torch.from_numpy(x)), torch.from_numpy(y))
        loss.backward()
        theirs.append(float(loss.detach()))
        expected = {n: p.grad.numpy() for n, p in model.covar_module.named_parameters()}
        ours = dict(zip(prior._places, [slope[at] for at in prior._places.values()], strict=True))
        assert ours.keys() - expected.keys() == {"log_noise_above_least"}
        for name, value in expected.items():
            np.testing.assert_allclose(ours[name], value, rtol=1e-6, atol=1e-6)
    # the constants of the densities cancel
    assert found[0] - found[1] == pytest.approx(theirs[0] - theirs[1], abs=1e-6)


def test_gradient_equals_differences():
    x, y, layout = _data(30, 0, "additive")
    prior = AdditivePrior(layout)
    evidence, state = Evidence(AdditivePoints(prior, x, x[:0]), _standard(y)), _random_state(prior)
    steps = 1e-5 * np.eye(len(state))
    differences = [(evidence(state + s)[0] - evidence(state - s)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(evidence(state)[1], differences, rtol=1e-5, atol=1e-5)


def test_additive_posterior_equals_botorchs():
    torch = pytest.importorskip("torch")
    x, y, layout = _data(40, 0, "additive")
    new, _, _ = _data(9, 1, "additive")
    prior, y = AdditivePrior(layout), _standard(y)
    points, state = AdditivePoints(prior, x, x[:0]), _random_state(prior)
    model = AdditiveModel(fitted_at=40, state=state)
    posterior = model._posterior(points, y, refit=False)
    assert isinstance(posterior, AdditivePosterior)
    theirs = _reference(x, y, layout, prior, state).eval().posterior(torch.from_numpy(new))
    mean, std = posterior(points.across(new))
    np.testing.assert_allclose(mean, theirs.mean[:, 0].detach().numpy(), rtol=1e-6, atol=1e-6)
    expected = theirs.variance[:, 0].detach().numpy()
    np.testing.assert_allclose(std**2, expected, rtol=1e-6, atol=1e-6)


def test_plain_posterior_equals_botorchs():
    torch = pytest.importorskip("torch")
    x, y, _ = _data(30, 0)
    new, _, _ = _data(7, 1)
    points, model, posterior = _fitted("plain", x, y, x[:0])
    from hwgpt_blackbox.optimizers.bayesian.plain import _build

    standard = torch.from_numpy(_standard(y)).unsqueeze(-1)
    theirs = _build(torch.from_numpy(x), standard, model.state).eval()
    theirs = theirs.posterior(torch.from_numpy(new))
    mean, std = posterior(points.across(new))
    np.testing.assert_allclose(mean, theirs.mean[:, 0].detach().numpy(), rtol=1e-6, atol=1e-7)
    variance = theirs.variance[:, 0].detach().numpy()
    np.testing.assert_allclose(std, np.sqrt(variance), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", ["plain", "additive"])
def test_a_pending_trial_lowers_the_variance_and_leaves_the_mean(kernel):
    x, y, layout = _data(20, 0, kernel)
    points, model, without = _fitted(kernel, x, y, x[:0], layout)
    new, _, _ = _data(1, 9, kernel)
    more = _family(kernel, layout).points(x, new)
    pending = model.posterior(more, y, observations=20, refit=False)
    np.testing.assert_allclose(pending(more.across(new))[0], without(points.across(new))[0])
    assert pending(more.across(new))[1] < 0.7 * without(points.across(new))[1]


def test_a_model_that_grows_row_by_row_has_the_same_bits_as_one_made_at_once():
    x, y, layout = _data(80, 0, "additive")
    family, state = additive(layout), _random_state(AdditivePrior(layout))
    grown = AdditiveModel(fitted_at=20, state=state)
    for n in range(20, 81, 7):
        points = family.points(x[:n], x[n : n + 3])
        one = grown.posterior(points, y[:n], observations=n, refit=False)
        fresh = AdditiveModel(fitted_at=20, state=state)
        other = fresh.posterior(points, y[:n], observations=n, refit=False)
        at = points.across(x)
        np.testing.assert_array_equal(one(at), other(at))


def test_additive_covariance_is_one():
    x, _, layout = _data(40, 0, "additive")
    prior = AdditivePrior(layout)
    values = prior.named(_random_state(prior))
    parts = AdditivePoints(prior, x, x[:0]).covariance(values)
    matrix = parts.first + parts.second
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)


def test_shared_effects_do_not_care_which_layer():
    space = SearchSpace({f"w{i}": choice([1, 2, 3]) for i in range(3)})
    features = FeatureMap(space, infer_groups(space))
    prior = AdditivePrior(features.layout)
    state = prior.centre.copy()
    for name in ("log_deviation_variance", "log_rest_variance"):
        state[prior._places[name]] = -60.0
    codes = np.array([[0.0, 1, 2], [2, 0, 1], [2, 2, 2]])
    x = features(codes, np.ones(codes.shape, bool))
    parts = AdditivePoints(prior, x, x[:0]).covariance(prior.named(state))
    matrix = parts.first + parts.second
    np.testing.assert_allclose(matrix[0], matrix[1])
    assert not np.isclose(matrix[0, 0], matrix[2, 2])


def test_additive_kernel_learns_structure_from_few_points():
    error = {}
    for kernel in ("plain", "additive"):
        x, y, layout = _data(25, 0, kernel)
        new, truth, _ = _data(200, 1, kernel)
        points, model, posterior = _fitted(kernel, x, y, x[:0], layout)
        mean = posterior(points.across(new))[0] * model.scale + model.shift
        error[kernel] = float(np.sqrt(((mean - truth) ** 2).mean()) / truth.std())
    assert error["additive"] < 0.5 * error["plain"]


def test_a_fit_finds_a_minimum():
    x, y, layout = _data(40, 0, "additive")
    prior = AdditivePrior(layout)
    evidence = Evidence(AdditivePoints(prior, x, x[:0]), _standard(y))

    def scaled(u):
        value, slope = evidence(prior.centre + prior.spread * u)
        return value, slope * prior.spread

    found = minimise(scaled, np.zeros(len(prior.centre)), evaluations=300, tolerance=1e-8)
    assert np.abs(scaled(found)[1]).max() < 1e-2
    assert scaled(found)[0] < evidence(prior.centre)[0] - 10


def test_minimise_goes_round_a_valley_and_past_what_has_no_value():
    def valley(u):
        if u[0] < -1.5:
            return np.inf, np.zeros(2)
        bend = u[1] - u[0] ** 2
        slope = np.array([2 * (u[0] - 1) - 40 * bend * u[0], 20 * bend])
        return float((u[0] - 1) ** 2 + 10 * bend**2), slope

    start = np.array([-1.4, 2.0])
    found = minimise(valley, start, evaluations=200, tolerance=1e-12)
    np.testing.assert_allclose(found, [1.0, 1.0], atol=1e-4)
    assert start.tolist() == [-1.4, 2.0]
    np.testing.assert_array_equal(minimise(valley, start, evaluations=1, tolerance=0.0), start)


def test_fitting_touches_no_global_random_state():
    torch = pytest.importorskip("torch")
    before_torch, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    for kernel in ("plain", "additive"):
        x, y, layout = _data(12, 0, kernel)
        _fitted(kernel, x, y, x[:2], layout)
    assert torch.equal(torch.get_rng_state(), before_torch)
    np.testing.assert_array_equal(np.random.get_state()[1], before_numpy)


@pytest.mark.parametrize("kernel", ["plain", "additive"])
def test_a_constant_objective_is_no_obstacle(kernel):
    x, y, layout = _data(10, 0, kernel)
    points, model, posterior = _fitted(kernel, x, 0 * y + 3, x[:0], layout)
    mean, std = posterior(points.across(x))
    assert np.isfinite(mean).all() and np.isfinite(std).all()
    assert model.shift == 3 and model.scale == 1


def test_hyperparameters_are_fitted_at_growing_intervals_and_one_model_at_a_time():
    x, _, layout = _data(60, 0, "additive")
    values = np.random.default_rng(0).random((60, 2))
    objectives, fits = ObjectiveModels(additive(layout), limit=40, logarithms=False), []
    for n in range(10, 61):
        old = [model.fitted_at for model in objectives.models] or [0, 0]
        objectives.belief(x[:n], values[:n], x[:0], x[:0])
        fits.append(sum(a != m.fitted_at for a, m in zip(old, objectives.models, strict=True)))
    assert fits[0] == 2 and max(fits[1:]) == 1
    assert sum(fits[-20:]) <= 10


def test_kept_rows_are_bounded_and_hold_the_front():
    values = np.random.default_rng(0).random((500, 2))
    rows = kept_rows(values, 60)
    assert 54 <= len(rows) <= 60 and len(rows) == len(set(rows.tolist()))
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
    codes = space.sample(np.random.default_rng(0), 2)
    free = np.ones(codes.shape, bool)
    free[:, 2] = False
    around, owners, moves = Neighbourhood(space)(codes, free, np.random.default_rng(0))
    for row in range(2):
        mine = around[owners == row]
        assert len(np.unique(mine, axis=0)) == len(mine) == 2 * (len(space) - 1)
        assert ((mine != codes[row]).sum(1) == 1).all()
        assert (mine[:, 2] == codes[row, 2]).all()
    assert (np.diff(owners) >= 0).all() and (moves >= 0).all()


def test_a_move_means_the_same_from_everywhere():
    space = SearchSpace(GPT)
    codes = space.sample(np.random.default_rng(0), 2)
    free, rng = np.ones(codes.shape, bool), np.random.default_rng(0)
    neighbourhood = Neighbourhood(space)
    first = neighbourhood(codes[:1], free[:1], rng)
    some = first.moves[3:9]
    again = neighbourhood(codes, free, rng, [some, None])
    np.testing.assert_array_equal(again.points[again.owners == 0], first.points[3:9])
    other = neighbourhood(codes[1:], free[1:], rng, [some])
    changed = (other.points != codes[1]).argmax(1)
    assert set(other.moves) <= set(some)
    for point, at, move in zip(other.points, changed, other.moves, strict=True):
        (there,) = first.points[first.moves == move]
        assert point[at] == there[at]


def test_one_step_neighbours_of_long_ranges_stay_inside():
    space = SearchSpace(
        {"n": randint(1, 100), "rate": loguniform(1e-3, 1.0), "name": choice(list("abcdefghijkl"))}
    )
    codes = np.array([[0.0, 1.0, 5.0]])
    around = Neighbourhood(space)(codes, np.ones((1, 3), bool), np.random.default_rng(0))
    assert 1.0 in around.points[:, 0]  # the next integer
    assert (around.moves == -1).all()
    for row in around.points:
        np.testing.assert_allclose(space.encode(space.decode(row)), row)


def test_local_search_climbs_and_obeys_the_filter():
    space = SearchSpace({f"x{i}": choice(list(range(5))) for i in range(10)})
    target = np.array([4.0, 3, 2, 1, 0, 2, 2, 2, 2, 2])
    rng, neighbourhood = np.random.default_rng(0), Neighbourhood(space)
    scored = []

    def score(codes):
        scored.extend(names(codes))
        return -np.abs(codes - target).sum(1)

    def neighbours(codes, among):
        return neighbourhood(codes, np.ones(codes.shape, bool), rng, among)

    best, values = maximise(
        score, neighbours, space.sample(rng, 10), taken=names(target[None]), starts=3, max_steps=50
    )
    assert values[0] == -1.0 and (np.diff(values) <= 0).all()
    assert not (best == target).all(1).any()
    assert len(set(scored[10:])) == len(scored[10:])  # each once


def test_names_tell_points_apart():
    points = np.array([[0.0, 1.0], [0.0, 2.0], [0.0, 1.0]])
    assert names(points)[0] == names(points)[2] == points[0].tobytes() != names(points)[1]
    assert names(points[:0]) == [] and names(points[:, :0]) == [b""] * 3
