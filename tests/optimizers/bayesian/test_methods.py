"""RSBO, LSBO and EHVI as schedulers: what the contract tests of all methods do not cover."""

import pickle

import numpy as np
import pytest
from syne_tune.config_space import choice, loguniform, uniform

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import make_scheduler
from hwgpt_blackbox.optimizers._pareto import nondominated_ranks
from hwgpt_blackbox.optimizers.bayesian.methods import EHVI, LSBO, RSBO

LAYERS = 4
SPACE = {
    "layers": choice([2, 3, 4]),
    "embed": choice([192, 384, 768]),
    **{f"mlp_ratio_{i}": choice([2, 3, 4]) for i in range(LAYERS)},
    **{f"heads_{i}": choice([4, 8, 12]) for i in range(LAYERS)},
    "constant": "kept",
}
METHODS = [RSBO, LSBO, EHVI]
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def _canonical(config):
    inactive = range(config["layers"], LAYERS)
    return {
        **config,
        **{f"mlp_ratio_{i}": 2 for i in inactive},
        **{f"heads_{i}": 4 for i in inactive},
    }


def _evaluate(config):
    """Loss and cost of a network: more of anything lowers the one and raises the other."""
    layers = range(config["layers"])
    ratios = sum(config[f"mlp_ratio_{i}"] * (1 + 0.1 * i) for i in layers)
    heads = sum(config[f"heads_{i}"] for i in layers)
    width = config["embed"] / 192
    loss = 4 - 0.5 * np.log(width) - 0.02 * ratios - 0.004 * heads - 0.05 * config["layers"]
    cost = width * (1 + 0.3 * ratios + 0.02 * heads)
    return [float(loss), float(cost)]


def _run(searcher, trials, evaluate=_evaluate, workers=3, start=0, running=None):
    """Ask and tell with trials that end out of order; returns configurations and results."""
    running = {} if running is None else running
    configs, results = {}, {}
    for i in range(start, start + trials):
        config = searcher.suggest()
        searcher.on_trial_add(i, config)
        configs[i] = running[i] = config
        if len(running) >= workers:
            done = max(running, key=lambda t: (t * 7) % 5)
            ended = running.pop(done)
            values = evaluate(ended)
            if values is None:
                searcher.on_trial_error(done)
            else:
                results[done] = values
                searcher.on_trial_complete(done, ended, values)
    return configs, results


def _hypervolume(results, reference=(5.0, 40.0)):
    moocore = pytest.importorskip("moocore")
    return float(moocore.hypervolume(np.array(list(results.values())), ref=reference))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernel", ["plain", "additive"])
def test_goes_on_exactly_after_pickling(method, kernel):
    searcher = method(SPACE, random_seed=1, canonical_form=_canonical, kernel=kernel, initial=6)
    running = {}
    _run(searcher, 9, running=running)
    copy = pickle.loads(pickle.dumps(searcher))
    first, _ = _run(searcher, 3, start=9, running=dict(running))
    second, _ = _run(copy, 3, start=9, running=dict(running))
    assert first == second


@pytest.mark.parametrize("method", METHODS)
def test_no_global_random_state_is_touched_or_used(method):
    torch = pytest.importorskip("torch")
    runs = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        runs.append(_run(method(SPACE, random_seed=3, initial=5), 9)[0])
        assert torch.equal(torch.get_rng_state(), before[0])
        np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert runs[0] == runs[1]
    assert runs[0] != _run(method(SPACE, random_seed=4, initial=5), 9)[0]


@pytest.mark.parametrize("method", METHODS)
def test_no_architecture_twice_under_another_name(method):
    searcher = method(SPACE, random_seed=0, canonical_form=_canonical, initial=5)
    configs, _ = _run(searcher, 15)
    names = {tuple(_canonical(config).items()) for config in configs.values()}
    assert len(names) == 15
    assert all(config["constant"] == "kept" for config in configs.values())


@pytest.mark.parametrize("kernel", ["plain", "additive"])
def test_ehvi_beats_random_search(kernel):
    options = {"random_seed": 0, "canonical_form": _canonical}
    reached = _hypervolume(_run(EHVI(SPACE, kernel=kernel, initial=6, **options), 25)[1])
    random = _hypervolume(_run(EHVI(SPACE, initial=10**6, **options), 30)[1])
    assert reached > random


def test_rsbo_spreads_over_the_front():
    searcher = RSBO(SPACE, random_seed=0, canonical_form=_canonical, initial=6)
    _, results = _run(searcher, 22)
    values = np.array(list(results.values()))
    assert (nondominated_ranks(values) == 0).sum() >= 8
    random = _run(RSBO(SPACE, random_seed=0, canonical_form=_canonical, initial=10**6), 22)[1]
    assert _hypervolume(results) > _hypervolume(random)


@pytest.mark.parametrize("weights", [None, [1.0, 20.0]])
def test_lsbo_finds_the_best_sum(weights):
    searcher = LSBO(SPACE, random_seed=0, canonical_form=_canonical, weights=weights)
    _, results = _run(searcher, 25)
    values = np.array(list(results.values()))
    everything = np.array([_evaluate(searcher.space.decode(c)) for c in searcher.space.all_codes()])
    slope = np.array(weights or [1.0, 1.0]) / np.ptp(values, axis=0)
    assert (values @ slope).min() <= (everything @ slope).min() + 0.02


def test_wrong_number_of_weights():
    searcher = LSBO(SPACE, random_seed=0, weights=[1.0, 1.0, 1.0], initial=3)
    with pytest.raises(InputError, match="2 metrics"):
        _run(searcher, 8)


def test_weights_are_counted_before_a_trial_is_paid():
    with pytest.raises(InputError, match="2 metrics"):
        make_scheduler("LSBO", SPACE, ["a", "b"], random_seed=0, weights=[1.0, 2.0, 3.0])


def test_pending_trials_are_not_crowded():
    """Four suggestions without a result between them are far apart in what they promise."""
    searcher = EHVI(SPACE, random_seed=0, canonical_form=_canonical)
    _run(searcher, 16, workers=1)
    out = np.array([_evaluate(searcher.suggest()) for _ in range(4)])
    gaps = np.abs(out[:, None] - out[None]).sum(-1)
    assert gaps[np.triu_indices(4, 1)].min() > 0.05


@pytest.mark.parametrize("method", METHODS)
def test_a_region_that_fails_is_left(method):
    def evaluate(config):
        return None if config["embed"] == 768 else _evaluate(config)

    searcher = method(SPACE, random_seed=0, canonical_form=_canonical)
    configs, results = _run(searcher, 20, evaluate)
    late = [config["embed"] == 768 for i, config in configs.items() if i >= 14]
    assert sum(late) <= 2
    assert len(results) >= 10


@pytest.mark.parametrize("method", METHODS)
def test_nan_and_infinity_poison_nothing(method):
    def evaluate(config):
        values = _evaluate(config)
        if config["mlp_ratio_0"] == 2:
            values[1] = float("nan") if config["layers"] == 2 else float("inf")
        return values

    searcher = method(SPACE, random_seed=0, initial=5)
    _run(searcher, 10, evaluate)
    assert np.isfinite(searcher.observations.Y).all()
    assert all(np.isfinite(m.scale) for m in searcher._models.models)


@pytest.mark.parametrize("method", METHODS)
def test_the_largest_numbers_are_survived(method):
    calls = iter(range(100))

    def evaluate(config):
        loss, cost = _evaluate(config)
        return {2: [1.7e308, cost], 5: [loss, -1.7e308]}.get(next(calls), [loss, cost])

    searcher = method(SPACE, random_seed=0, canonical_form=_canonical, initial=6)
    assert len(_run(searcher, 12, evaluate)[0]) == 12


@pytest.mark.parametrize("method", METHODS)
def test_units_do_not_matter(method):
    def run(*scales):
        def evaluate(config):
            return [v * scale for v, scale in zip(_evaluate(config), scales, strict=True)]

        searcher = method(SPACE, random_seed=0, canonical_form=_canonical, initial=6)
        return _run(searcher, 11, evaluate)[0]

    assert run(1.0, 1.0) == run(2.0**-60, 2.0**300)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("objectives", [3, 5])
def test_more_objectives(method, objectives):
    def evaluate(config):
        loss, cost = _evaluate(config)
        return [loss, cost, -loss * cost, cost**0.5 - config["layers"], loss**2][:objectives]

    searcher = method(SPACE, random_seed=0, initial=5)
    configs, _ = _run(searcher, 9, evaluate)
    assert len(configs) == 9


@pytest.mark.parametrize("method", METHODS)
def test_equal_results_everywhere(method):
    configs, _ = _run(method(SPACE, random_seed=0, initial=4), 9, lambda config: [1.0, 2.0])
    assert len(configs) == 9


@pytest.mark.parametrize("method", METHODS)
def test_ranges_and_categories_mix(method):
    space = {"rate": loguniform(1e-4, 1.0), "share": uniform(0, 1), "kind": choice(["a", "b", "c"])}

    def evaluate(config):
        bad = config["kind"] == "b"
        rate = np.log10(config["rate"])
        return [(rate + 2) ** 2 + bad, (rate + 1) ** 2 + bad + config["share"]]

    searcher = method(space, random_seed=0, initial=6)
    _, results = _run(searcher, 20, evaluate)
    late = np.array([values for i, values in results.items() if i >= 12])
    assert np.median(late.sum(1)) < 2.0  # the front is between 0.5 and 1, random search at 4


@pytest.mark.parametrize("method", METHODS)
def test_a_small_space_is_used_up(method):
    space = {"a": choice([1, 2, 3]), "b": choice([1, 2])}
    searcher = method(space, random_seed=0, initial=3)
    configs, _ = _run(searcher, 6, lambda config: [config["a"], -config["a"] * config["b"]])
    assert len({tuple(config.items()) for config in configs.values()}) == 6
    assert searcher.suggest() is None


def test_models_are_bounded():
    searcher = EHVI(SPACE, random_seed=0, initial=40, max_observations=20)
    _run(searcher, 45)
    assert len(searcher.observations) > 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": "best"}, "kernel='best'"),
        ({"kernel": "plain", "groups": {"a": ["embed"]}}, "plain"),
        ({"initial": 1}, "initial=1"),
        ({"initial": 2.5}, "initial=2.5"),
        ({"max_observations": float("inf")}, "max_observations=inf"),
        ({"logarithms": "no"}, "logarithms='no'"),
        ({"max_observations": 1}, "max_observations=1"),
        ({"kernel": "additive", "groups": {"a": ["nonsense"]}}, "nonsense"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        EHVI(SPACE, random_seed=0, **options)


@pytest.mark.parametrize("rho", [-1.0, float("inf"), "0.05", None])
def test_wrong_rho(rho):
    with pytest.raises(InputError, match=f"rho={rho!r}"):
        RSBO(SPACE, random_seed=0, rho=rho)


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1.0, float("nan")], [], 3, "ab", [1, "a"]])
def test_wrong_weights(weights):
    with pytest.raises(InputError, match="weights"):
        LSBO(SPACE, random_seed=0, weights=weights)
