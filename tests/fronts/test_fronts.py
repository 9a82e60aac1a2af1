"""Reference fronts and optima under limits, against brute force and against the whole spaces."""

import itertools
import json
import sys
from functools import cache

import numpy as np
import pytest

from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, Space
from hwgpt_blackbox.errors import DataError, InputError, MissingExtraError
from hwgpt_blackbox.fronts import best, reference_front, standard_pairs, standard_problems
from hwgpt_blackbox.fronts.layer_sums import parse_columns
from hwgpt_blackbox.fronts.nondominated import box_corners, boxes, hypervolume, nondominated
from hwgpt_blackbox.models.portable_arithmetic import exp, to_grid
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.surrogates import read_surrogate

TINY = Space("tiny", (8, 16, 24), (1, 2, 3), (1, 2, 4), (1, 2, 3), 1, False)
TARGETS = ("perplexity", "latency@a100", "energy@a100", "memory_float16", "memory_bfloat16")
LEVELS = np.array([0.0, 0.5, 1.0])


def tiny(seed: int, *, ties: bool = False) -> Surrogate:
    """A surrogate whose links and axes (full or shared) are drawn; with ties, few distinct terms"""
    rng = np.random.default_rng(seed)
    models = {}
    for target in TARGETS:
        axes = [n if rng.random() < 0.5 else 1 for n in (3, 3, 2)]
        layer = 3 if rng.random() < 0.5 else 1
        intercept, effect = np.zeros(axes), np.zeros((*axes, layer, 3, 3))
        if ties:
            intercept += rng.integers(0, 3, intercept.shape) / 8
            effect += rng.integers(0, 4, effect.shape) / 8
        else:
            intercept += to_grid(rng.uniform(1.0, 1.5, intercept.shape), 8.0)
            effect += to_grid(rng.uniform(-0.2, 0.4, effect.shape), 8.0)
        models[target] = AdditiveModel(rng.choice(["identity", "log"]), intercept, effect, None)
    return Surrogate(TINY, models, LEVELS, {})


def every_row(space: Space) -> np.ndarray:
    """All architectures in the documented order of ties: group, then layers from last to first"""
    encoding, rows = Encoding(space), []
    groups = itertools.product(range(len(space.embed_dims)), range(len(space.num_layers)), (0, 1))
    for e, n, b in groups:
        depth = space.num_layers[n]
        for codes in itertools.product(range(9), repeat=depth):
            row = np.zeros(encoding.num_columns, dtype=np.uint8)
            row[[EMBED_DIM, NUM_LAYERS, BIAS]] = e, n, b
            mlp, heads = encoding.layer_choices(row[None])
            mlp[0, :depth], heads[0, :depth] = np.divmod(codes[::-1], 3)
            rows.append(row)
    return np.array(rows)


ROWS = every_row(TINY)


def brute_force(values: np.ndarray) -> np.ndarray:
    """Distinct non-dominated rows, ascending, by comparing each with all kept before it"""
    kept = np.empty((0, values.shape[1]))
    for row in np.unique(values, axis=0):
        if not (kept <= row).all(axis=1).any():
            kept = np.vstack([kept, row])
    return kept


def expected(surrogate: Surrogate, objectives, rows, cost=None) -> np.ndarray:
    return Predictor(surrogate, parse_columns(objectives), cost).expected(rows)


@cache
def embedded(space: str) -> Surrogate:
    return read_surrogate(EMBEDDED / f"hwgpt-{space}")


# -- brute force ---------------------------------------------------------------------------------

PAIRS = [
    ("perplexity", "latency@a100"),
    ("energy@a100", "perplexity"),
    ("latency@a100", "energy@a100"),
    ("memory_float16", "params"),
    ("flops", "elapsed_time@a100"),
]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_two_objectives_equal_brute_force(seed, ties):
    surrogate = tiny(seed, ties=ties)
    for objectives in PAIRS:
        front = reference_front("tiny", objectives, surrogate=surrogate)
        values = expected(surrogate, objectives, ROWS)
        np.testing.assert_array_equal(front.objectives, brute_force(values))
        assert front.exact
        assert front.hypervolume_gap_bound == 0.0
        for point, row in zip(front.objectives, front.matrix, strict=True):
            first = ROWS[(values == point).all(axis=1).argmax()]
            np.testing.assert_array_equal(row, first)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    "objectives",
    [
        ("perplexity", "latency@a100", "energy@a100"),
        ("perplexity", "elapsed_time@a100", "params"),
        ("perplexity", "latency@a100", "energy@a100", "memory_float16"),
    ],
)
def test_more_objectives_equal_brute_force(objectives, ties):
    pytest.importorskip("moocore")
    for seed in range(3):
        surrogate = tiny(seed, ties=ties)
        front = reference_front("tiny", objectives, surrogate=surrogate)
        values = expected(surrogate, objectives, ROWS)
        np.testing.assert_array_equal(front.objectives, brute_force(values))
        for point, row in zip(front.objectives[::7], front.matrix[::7], strict=True):
            first = ROWS[(values == point).all(axis=1).argmax()]
            np.testing.assert_array_equal(row, first)


def test_elapsed_times_that_round_to_the_same_number():
    """A set-up of 1e14 s swallows the last bits of every latency: distinct sums, equal values"""
    cost = CostModel(setup_seconds=1e14)
    objectives = ("elapsed_time@a100", "perplexity")
    collisions = 0
    for seed in range(6):
        surrogate = tiny(seed)
        front = reference_front("tiny", objectives, surrogate=surrogate, cost_model=cost)
        of_sums = reference_front("tiny", ("latency@a100", "perplexity"), surrogate=surrogate)
        collisions += len(of_sums) - len(front)
        values = expected(surrogate, objectives, ROWS, cost)
        np.testing.assert_array_equal(front.objectives, brute_force(values))
        np.testing.assert_array_equal(
            expected(surrogate, objectives, front.matrix, cost), front.objectives
        )
    assert collisions


def test_elapsed_time_follows_the_cost_model():
    surrogate = tiny(1)
    free = CostModel(5.0, 0, 0, 0, 0)
    front = reference_front(
        "tiny", ("elapsed_time@a100", "perplexity"), surrogate=surrogate, cost_model=free
    )
    lowest = expected(surrogate, ["perplexity"], ROWS).min()
    assert front.objectives.tolist() == [[5.0, lowest]]


# -- whole spaces --------------------------------------------------------------------------------

WHOLE = [
    ("perplexity", "energy@rtx2080"),
    ("latency@cpu_xeon_gold", "perplexity"),
    ("latency@a100", "energy@P100"),
    ("perplexity", "params"),
    ("error", "energy@rtx2080"),
    ("elapsed_time@h100", "memory_bfloat16"),
]


def dominating(front: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points dominate a point of a two-objective front (ascending in the first)"""
    at = np.searchsorted(front[:, 0], points[:, 0])
    inside = at < len(front)
    nearest = front[np.minimum(at, len(front) - 1)]
    return inside & (points[:, 1] <= nearest[:, 1]) & (points != nearest).any(axis=1)


@pytest.mark.parametrize("space", MEASURED_SPACES)
@pytest.mark.parametrize("objectives", WHOLE, ids=" ".join)
def test_no_random_architecture_dominates(space, objectives):
    surrogate = embedded(space)
    front = reference_front(space, objectives, surrogate=surrogate)
    sample = Encoding(surrogate.space).sample(50_000, np.random.default_rng(1))
    assert not dominating(front.objectives, expected(surrogate, objectives, sample)).any()


@pytest.mark.parametrize("space", MEASURED_SPACES)
@pytest.mark.parametrize("objectives", WHOLE, ids=" ".join)
def test_no_one_step_neighbour_dominates(space, objectives):
    surrogate = embedded(space)
    front = reference_front(space, objectives, surrogate=surrogate)
    encoding = Encoding(surrogate.space)
    thinned = front.matrix[:: max(1, len(front) // 1000)]
    for column, size in enumerate(encoding.sizes):
        for step in range(1, size):
            neighbours = thinned.copy()
            neighbours[:, column] = (neighbours[:, column] + step) % size
            values = expected(surrogate, objectives, neighbours)
            assert not dominating(front.objectives, values).any()


@pytest.mark.parametrize("space", MEASURED_SPACES)
def test_values_are_those_of_the_blackbox(space):
    blackbox = HWGPTBlackbox(embedded(space), "all")
    front = reference_front(
        space, ("energy@rtx2080", "latency@cpu_amd_7502"), surrogate=blackbox.predictor.surrogate
    )
    names = blackbox.objectives_names
    columns = [
        names.index("metric_energy_rtx2080"),
        names.index("metric_latency_cpu_amd_7502"),
    ]
    values = blackbox.expected_values(front.configurations)
    np.testing.assert_array_equal(values[:, columns], front.objectives)
    assert (blackbox.encoding.canonical(front.matrix) == front.matrix).all()


@pytest.mark.parametrize(
    "space", ["s", *(pytest.param(name, marks=pytest.mark.slow) for name in ("m", "l"))]
)
def test_three_objectives_of_whole_spaces_are_exact_or_miss_next_to_nothing(space):
    pytest.importorskip("moocore")
    objectives = ("perplexity", "latency@a100", "energy@rtx2080")
    surrogate = embedded(space)
    front = reference_front(space, objectives, surrogate=surrogate)
    assert front.exact or space != "s"
    assert front.hypervolume_gap_bound < 1e-3
    sample = Encoding(surrogate.space).sample(5_000, np.random.default_rng(2))
    values = np.concatenate([front.objectives, expected(surrogate, objectives, sample)])
    assert set(range(len(front))) <= set(nondominated(values).tolist())


def test_a_front_is_the_same_twice_and_cannot_be_written_to():
    one, two = (reference_front("s", WHOLE[0], surrogate=embedded("s")) for _ in range(2))
    assert one.objectives.tobytes() == two.objectives.tobytes()
    assert one.matrix.tobytes() == two.matrix.tobytes()
    with pytest.raises(ValueError, match="read-only"):
        one.objectives[0] = 0.0


def test_a_front_says_where_it_comes_from():
    surrogate = embedded("s")
    front = reference_front("s", WHOLE[0], surrogate=surrogate)
    assert front.artifact_sha256 == surrogate.manifest["files"]["arrays.npz"]["sha256"]
    assert (front.space, front.names) == ("s", WHOLE[0])
    assert reference_front("tiny", PAIRS[0], surrogate=tiny(0)).artifact_sha256 is None


def test_installed_surrogate_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path))
    front = reference_front("s", WHOLE[0])
    other = reference_front("s", WHOLE[0], surrogate=embedded("s"))
    np.testing.assert_array_equal(front.objectives, other.objectives)
    assert best("s", "perplexity").values["perplexity"] == front.objectives[0, 0]


def test_wide_spaces_have_fronts_of_counts():
    front = reference_front("xl-wide", ("flops", "params"))
    assert len(front) == 1
    with pytest.raises(InputError, match="no measurements, so no perplexity; it has flops"):
        reference_front("s-wide", ("perplexity", "flops"))


# -- approximation -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "objectives", [("perplexity", "latency@a100"), ("perplexity", "latency@a100", "energy@a100")]
)
@pytest.mark.parametrize("max_points", [1, 3, 10, 40])
def test_a_thinned_front_bounds_what_it_misses(objectives, max_points):
    if len(objectives) > 2:
        pytest.importorskip("moocore")
    thinned = 0
    for seed in range(5):
        surrogate = tiny(seed, ties=seed == 0)
        front = reference_front("tiny", objectives, surrogate=surrogate, max_points=max_points)
        whole = reference_front("tiny", objectives, surrogate=surrogate)
        missed = whole.hypervolume() - front.hypervolume()
        assert -1e-12 <= missed <= front.hypervolume_gap_bound + 1e-12
        np.testing.assert_array_equal(
            expected(surrogate, objectives, front.matrix), front.objectives
        )
        if front.exact:
            np.testing.assert_array_equal(front.objectives, whole.objectives)
            continue
        thinned += 1
        values = expected(surrogate, objectives, ROWS)
        for point in values[::5]:
            assert (front.outer <= point).all(axis=1).any()
    assert thinned or max_points == 40


@pytest.mark.slow
def test_the_bound_is_tight_enough_to_be_of_use():
    pytest.importorskip("moocore")
    objectives = ("perplexity", "latency@a100", "energy@rtx2080")
    front = reference_front("m", objectives, surrogate=embedded("m"), max_points=1000)
    assert not front.exact
    assert 0 < front.hypervolume_gap_bound < 0.02


# -- best under limits ---------------------------------------------------------------------------

LIMITED = [(), ("latency@a100",), ("elapsed_time@a100", "energy@a100"), ("params", *TARGETS[1:4])]


@pytest.mark.parametrize("limited", LIMITED, ids=len)
@pytest.mark.parametrize("ties", [False, True])
def test_best_equals_brute_force(limited, ties):
    if len(limited) > 1:
        pytest.importorskip("moocore")
    infeasible = 0
    for seed, quantile in itertools.product(range(4), (0.02, 0.2, 0.5)):
        surrogate = tiny(seed, ties=ties)
        names = ("perplexity", *limited)
        values = expected(surrogate, names, ROWS)
        caps = np.quantile(values[:, 1:], quantile, axis=0, method="lower")
        within = values[(values[:, 1:] <= caps).all(axis=1)]
        limits = dict(zip(limited, caps.tolist(), strict=True))
        if not len(within):
            infeasible += 1
            with pytest.raises(InputError, match="the smallest value that one attains is"):
                best("tiny", "perplexity", limits, surrogate=surrogate)
            continue
        found = best("tiny", "perplexity", limits, surrogate=surrogate)
        assert found.exact
        ends = within[np.lexsort(within.T[::-1])[0]]
        assert list(found.values) == list(names)
        np.testing.assert_array_equal(list(found.values.values()), ends)
        assert found.lower_bound == found.values["perplexity"]
        first = ROWS[(values == ends).all(axis=1).argmax()]
        np.testing.assert_array_equal(found.row, first)
    assert infeasible < 12


@pytest.mark.parametrize("space", MEASURED_SPACES)
def test_best_under_one_limit_is_on_the_front(space):
    surrogate = embedded(space)
    objectives = ("perplexity", "latency@a40")
    front = reference_front(space, objectives, surrogate=surrogate).objectives
    for limit in np.quantile(front[:, 1], [0.0, 0.1, 0.5, 0.9, 1.0]):
        found = best(space, "perplexity", {"latency@a40": limit}, surrogate=surrogate)
        ends = front[(front[:, 1] <= limit).argmax()]
        assert tuple(found.values.values()) == tuple(ends)
        assert found.exact


def test_best_under_limits_of_a_whole_space_is_on_the_front_of_three():
    pytest.importorskip("moocore")
    names = ("perplexity", "latency@a100", "energy@rtx2080")
    front = reference_front("s", names, surrogate=embedded("s")).objectives
    for quantile in (0.2, 0.5, 0.8):
        caps = np.quantile(front[:, 1:], quantile, axis=0)
        within = front[(front[:, 1:] <= caps).all(axis=1)]
        limits = dict(zip(names[1:], caps, strict=True))
        found = best("s", "perplexity", limits, surrogate=embedded("s"))
        assert found.values["perplexity"] == within[:, 0].min()
        assert found.exact


def test_a_thinned_search_within_limits_says_so_and_bounds_the_optimum():
    pytest.importorskip("moocore")
    inexact = 0
    for seed in range(8):
        surrogate = tiny(seed)
        names = ("perplexity", "latency@a100", "energy@a100")
        caps = np.quantile(expected(surrogate, names[1:], ROWS), 0.4, axis=0)
        limits = dict(zip(names[1:], caps, strict=True))
        try:
            optimum = best("tiny", "perplexity", limits, surrogate=surrogate)
        except InputError:
            continue
        try:
            found = best("tiny", "perplexity", limits, surrogate=surrogate, max_points=1)
        except InputError as error:
            assert "it is not proven that there is none" in str(error)
            continue
        assert found.lower_bound <= optimum.values["perplexity"] <= found.values["perplexity"]
        assert all(found.values[name] <= limit for name, limit in limits.items())
        inexact += not found.exact
    assert inexact


def test_limits_that_nothing_meets():
    surrogate = embedded("m")
    with pytest.raises(InputError, match=r"latency@a40 at most 1 ms; the smallest .* is 1\d\.\d+"):
        best("m", "perplexity", {"latency@a40": 1}, surrogate=surrogate)
    with pytest.raises(InputError, match="latency@a40 at most 20 has perplexity at most 22"):
        best("m", "perplexity", {"latency@a40": 20, "perplexity": 22}, surrogate=surrogate)
    pytest.importorskip("moocore")
    with pytest.raises(InputError) as info:
        best("m", "latency@a40", {"perplexity": 24, "params": 1e8}, surrogate=surrogate)
    named = float(str(info.value).rsplit(" ", 1)[1])
    limits = {"perplexity": 24, "params": named}
    assert best("m", "latency@a40", limits, surrogate=surrogate).values["params"] <= named


def test_best_describes_its_architecture():
    surrogate = embedded("s")
    found = best("s", "energy@a6000", {"perplexity": 28}, surrogate=surrogate)
    blackbox = HWGPTBlackbox(surrogate, "a6000", noise=False)
    values = blackbox(found.configuration, fidelity={"repeats": 1})
    assert values["metric_energy"] == found.values["energy@a6000"]
    assert values["metric_perplexity"] == found.values["perplexity"] <= 28


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "objectives", "message"),
    [
        ("xs", ("perplexity", "flops"), "unknown space 'xs'"),
        ("s", "perplexity", "expected names"),
        ("s", ("perplexity",), "expected 2 or more, distinct"),
        ("s", ("flops", "flops"), "expected 2 or more, distinct"),
        ("s", ("perplexity", "speed"), "unknown objective 'speed'"),
        ("s", ("perplexity", "latency"), "needs a device"),
        ("s", ("perplexity", "latency@gpu"), "unknown device 'gpu'"),
        ("s", ("perplexity", "elapsed_time@all"), "slowest device's"),
    ],
)
def test_bad_problems(space, objectives, message):
    with pytest.raises(InputError, match=message):
        reference_front(space, objectives)


def test_bad_arguments():
    surrogate = embedded("s")
    with pytest.raises(InputError, match="the surrogate is of space 's'"):
        reference_front("m", WHOLE[0], surrogate=surrogate)
    with pytest.raises(InputError, match="max_points is 0"):
        reference_front("s", WHOLE[0], surrogate=surrogate, max_points=0)
    front = reference_front("s", WHOLE[0], surrogate=surrogate)
    with pytest.raises(InputError, match=r"nadir is 3\.0; expected a finite number for each"):
        front.hypervolume(nadir=3.0)
    with pytest.raises(InputError, match="is not below nadir"):
        front.hypervolume(ideal=front.nadir)
    for point in (3.0, [1.0], [1.0, float("inf")]):
        with pytest.raises(InputError, match=r"point is .*; expected a finite number for each"):
            front.hypervolume_at(point)
    for limit in (float("nan"), float("inf"), "30", True, None):
        with pytest.raises(InputError, match="limit of flops is"):
            best("s", "perplexity", {"flops": limit}, surrogate=surrogate)
    with pytest.raises(InputError, match="expected a mapping"):
        best("s", "perplexity", ["flops"], surrogate=surrogate)


def test_coefficients_off_the_grid_are_refused():
    surrogate = tiny(0)
    model = surrogate.models["perplexity"]
    fine = {
        "identity": np.random.default_rng(0).uniform(size=model.effect.shape),
        "log": 1.0 + np.arange(model.effect.size).reshape(model.effect.shape) * 2.0**-50,
    }
    for link, effect in fine.items():
        surrogate.models["perplexity"] = AdditiveModel(link, model.intercept, effect, None)
        with pytest.raises(DataError, match="coefficients of perplexity have a step of 2"):
            reference_front("tiny", PAIRS[0], surrogate=surrogate)


def test_exponentials_of_sums_a_step_apart_keep_their_order():
    """What makes 'log' links strictly monotone on the grid that fronts accept"""
    x = np.random.default_rng(0).uniform(-8, 8, 200_000)
    x = np.rint(x * 2.0**40) / 2.0**40 + np.arange(4)[:, None] * 2.0**-49
    assert (np.diff(exp(x[:, np.abs(x[0]) < 8]), axis=0) > 0).all()


def test_two_objectives_need_no_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "moocore", None)
    surrogate = embedded("s")
    assert reference_front("s", WHOLE[0], surrogate=surrogate).hypervolume() > 0
    assert best("s", "perplexity", {"flops": 1e15}, surrogate=surrogate).exact
    with pytest.raises(MissingExtraError, match=r"hwgpt-blackbox\[analysis\]"):
        reference_front("s", (*WHOLE[0], "flops"), surrogate=surrogate)


# -- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_nondominated_keeps_the_first_of_equal_points(objectives):
    if objectives > 2:
        pytest.importorskip("moocore")
    rng = np.random.default_rng(3)
    for size in (1, 2, 5, 60, 400):
        points = rng.integers(0, 6, size=(size, objectives)).astype(float)
        keep = nondominated(points)
        np.testing.assert_array_equal(np.unique(points[keep], axis=0), brute_force(points))
        assert len(keep) == len(brute_force(points))
        for i in keep:
            assert (points == points[i]).all(axis=1).argmax() == i


def test_hypervolume_by_hand_and_by_moocore():
    assert hypervolume(np.array([[0.0, 0.5], [0.5, 0.0], [2.0, -1.0], [0.5, 0.5]]), 1.0) == 0.75
    assert hypervolume(np.array([[1.0, 0.0]]), 1.0) == 0.0
    moocore = pytest.importorskip("moocore")
    points = np.random.default_rng(4).normal(size=(500, 2))
    assert hypervolume(points, 1.1) == pytest.approx(moocore.hypervolume(points, ref=[1.1, 1.1]))


def test_hypervolume_in_natural_units_at_a_point_of_ones_own():
    front = reference_front("s", ("perplexity", "energy@rtx2080"), surrogate=embedded("s"))
    width = front.nadir - front.ideal
    corner = front.ideal + 1.1 * width
    assert front.hypervolume_at(corner) == pytest.approx(front.hypervolume() * width.prod())
    assert front.hypervolume_at(front.objectives.min(axis=0)) == 0.0
    # by hand, of the two points that lie within
    (x0, y0), (x1, y1) = front.objectives[:2]
    x2, y2 = front.objectives[2][0], y0 + 1.0
    by_hand = (x1 - x0) * (y2 - y0) + (x2 - x1) * (y2 - y1)
    assert front.hypervolume_at([x2, y2]) == pytest.approx(by_hand)


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_boxes_fill_at_most_the_limit_and_corners_are_below(limit):
    points = np.random.default_rng(5).normal(size=(2000, 3))
    points[:, 2] = 1.0
    label = boxes(points, limit)
    corners, chosen = box_corners(points, label)
    assert len(corners) <= limit
    assert (corners[label] <= points).all()
    np.testing.assert_array_equal(label[chosen], np.arange(len(corners)))


# -- standard problems ---------------------------------------------------------------------------


def test_standard_problems_are_ready_for_the_manifest():
    surrogate = embedded("s")
    found = json.loads(json.dumps(standard_problems(surrogate), allow_nan=False))
    assert len(found["problems"]) == len(standard_pairs()) == 3 * 13 + 4
    problem = found["problems"]["perplexity energy@rtx2080"]
    front = reference_front("s", ("perplexity", "energy@rtx2080"), surrogate=surrogate)
    assert problem["hypervolume"] == front.hypervolume()
    assert problem["front_size"] == len(front)
    assert all(row["exact"] for row in found["problems"].values())
    recorded = surrogate.manifest["bounds"]["objectives"]
    ends = list(zip(problem["ideal"], problem["nadir"], strict=True))
    assert ends == [tuple(recorded[name]) for name in problem["objectives"]]


def test_bounds_missing_from_a_manifest_are_computed_alike():
    surrogate = embedded("s")
    bare = Surrogate(surrogate.space, surrogate.models, surrogate.levels, {})
    objectives = ("perplexity", "elapsed_time@a100")
    cost = CostModel(setup_seconds=3.0)
    one, two = (
        reference_front("s", objectives, surrogate=s, cost_model=cost) for s in (surrogate, bare)
    )
    np.testing.assert_allclose(one.ideal, two.ideal, rtol=1e-12)
    np.testing.assert_allclose(one.nadir, two.nadir, rtol=1e-12)
