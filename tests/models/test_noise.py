"""Draws: keyed, uniform, independent; quantile functions and their means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.models.noise import (
    POSITION_LEVELS,
    POSITIONS,
    SESSIONS,
    Dependence,
    QuantileTables,
    Streams,
    check_repeat,
    deviation_ratio,
    make_streams,
    mean_ratio,
    stream_key,
    tabulation_table,
    uniforms,
)
from hwgpt_blackbox.models.portable_arithmetic import mix64

LEVELS = np.array([0.0, 0.125, 0.5, 0.75, 1.0])
PIN_STREAM = 0xB020533BCD2C27C6
PIN_WORDS = [2041437316376130607, 3189972010568944243, 5933530442417640549, 10834695817251496147]
PIN_UNIFORMS = [0.1379331241925013, 0.4891115139923089]


def keys(n: int) -> np.ndarray:
    return mix64(np.arange(1, n + 1, dtype=np.uint64))


def streams_of(n: int, spread: float = 1.0, coupling: float = 1.0, sign: float = 1.0) -> Streams:
    """Streams of n metrics of one machine."""
    machine = np.full(n, stream_key("machine", "a100"))
    return Streams(keys(n), machine, *(np.full(n, x) for x in (spread, coupling, sign)))


def flipped(streams: Streams) -> Streams:
    return Streams(*(field[::-1] for field in vars(streams).values()))


def test_streams_are_the_same_for_ever():
    # Pinned: a change would give other measurements for the same seeds.
    assert int(stream_key("latency", "a100")) == PIN_STREAM
    assert stream_key("energy", "a100") != stream_key("latency", "a100")
    words = tabulation_table("s", 18, 12 * 18 * 10)
    assert [int(w) for w in words[[0, 17, 18, -1]]] == PIN_WORDS
    streams = make_streams(["energy@rtx2080"], [Dependence(0.5, 0.25, -1.0)])
    u = uniforms(words[:2], streams, np.array([3, 4], np.uint64))
    assert u.ravel().tolist() == PIN_UNIFORMS


def test_a_uniform_is_a_function_of_its_key_alone():
    k, streams = keys(40), streams_of(5, 0.4, 0.3)
    repeats = np.arange(40, dtype=np.uint64)
    table = uniforms(k, streams, repeats)
    assert table.shape == (40, 5)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(uniforms(k[order], streams, repeats[order]), table[order])
    np.testing.assert_array_equal(uniforms(k, flipped(streams), repeats), table[:, ::-1])
    for i in range(0, 40, 7):
        one = uniforms(k[i : i + 1], streams, repeats[i : i + 1])
        np.testing.assert_array_equal(one, table[i : i + 1])


@pytest.mark.parametrize(
    "draw",
    [
        lambda n: uniforms(keys(n), streams_of(1), np.array([0], np.uint64)),  # architectures
        lambda n: uniforms(keys(1), streams_of(n), np.array([0], np.uint64)),  # devices and metrics
        lambda n: uniforms(np.repeat(keys(1), n), streams_of(1), np.arange(n, dtype=np.uint64)),
        lambda n: uniforms(np.arange(n, dtype=np.uint64), streams_of(1), np.array([2], np.uint64)),
    ],
    ids=["architectures", "streams", "repeats", "keys that count"],
)
def test_uniforms_are_uniform_along_every_part_of_the_key(draw):
    u = draw(100_000).ravel()
    assert ((u > 0) & (u < 1)).all()
    assert len(np.unique(u)) >= len(u) - 2  # reflected sums lie on a coarser grid
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    bins = np.bincount((u * 1000).astype(int), minlength=1000)
    assert stats.chisquare(bins).pvalue > 1e-3
    lagged = np.corrcoef(u[:-1], u[1:])[0, 1]
    assert abs(lagged) < 4 / np.sqrt(len(u))


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.6, 1.0])
@pytest.mark.parametrize("coupling", [0.0, 0.3, 1.0])
def test_levels_are_uniform_whatever_the_dependence(spread, coupling):
    u = uniforms(keys(100_000), streams_of(2, spread, coupling), np.array([7], np.uint64))
    assert ((u >= 0) & (u <= 1)).all()
    assert all(stats.kstest(column, "uniform").pvalue > 1e-3 for column in u.T)


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.6, 1.0])
def test_repeats_of_a_session_share_its_state_and_others_do_not(spread):
    n = 50_000
    u = [
        np.cos(np.pi * uniforms(keys(n), streams_of(1, spread), np.array([k], np.uint64)).ravel())
        for k in (0, SESSIONS, 1)
    ]
    same, other = 2 * (u[0] * u[1]).mean(), 2 * (u[1] * u[2]).mean()
    assert abs(same - np.sinc(spread) ** 2) < 0.02
    assert abs(other) < 0.02


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("coupling", [0.0, 0.4, 1.0])
def test_metrics_of_a_device_share_its_state(coupling, sign):
    n, both = 50_000, streams_of(2, 0.0, coupling)
    both = Streams(both.own, both.machine, both.spread, both.coupling, np.array([1.0, sign]))
    waves = np.cos(np.pi * uniforms(keys(n), both, np.array([3], np.uint64)))
    assert abs(2 * (waves[:, 0] * waves[:, 1]).mean() - sign * np.sinc(coupling) ** 2) < 0.02


def test_words_of_spaces_and_rows_differ():
    tables = [tabulation_table(space, 18, 12 * 18 * 10) for space in ("s", "m", "l")]
    words = np.concatenate(tables)
    assert len(np.unique(words)) == len(words)
    bits = np.unpackbits(words.view(np.uint8)).reshape(-1, 64).mean(axis=0)
    np.testing.assert_allclose(bits, 0.5, atol=4 * 0.5 / np.sqrt(len(words)))


# -- quantile functions ------------------------------------------------------------------------


def tables(seed: int = 0, groups: int = 3, columns: int = 4) -> tuple[QuantileTables, np.ndarray]:
    rng = np.random.default_rng(seed)
    quantiles = np.sort(rng.lognormal(size=(groups, columns, len(LEVELS))), axis=-1)
    return QuantileTables(LEVELS, quantiles, streams_of(columns, 0.7, 0.4, -1.0)), quantiles


def test_ratios_interpolate_the_quantiles():
    table, quantiles = tables()
    rng = np.random.default_rng(1)
    group = rng.integers(0, 3, size=500)
    u = rng.random((500, 4))
    u[:5] = LEVELS[:, None]  # the knots themselves
    u[0], u[4] = 2.0**-53, 1 - 2.0**-53
    expected = [
        [np.interp(u[i, c], LEVELS, quantiles[group[i], c]) for c in range(4)] for i in range(500)
    ]
    np.testing.assert_allclose(table.ratios(group, u), expected, rtol=1e-13)


def test_one_ratio_has_the_bits_of_many():
    table, _ = tables()
    k = keys(300)
    group = np.arange(300) % 3
    repeats = np.arange(300, dtype=np.uint64) * np.uint64(2**53 + 12345)
    many = table.ratios(group, uniforms(k, table.streams, repeats))
    one = [table.ratios_one(int(g), int(a), int(r)) for g, a, r in zip(group, k, repeats)]  # noqa: B905
    np.testing.assert_array_equal(many, one)


def test_draws_follow_the_quantile_function():
    table, quantiles = tables()
    n = 100_000
    u = uniforms(keys(n), table.streams, np.zeros(1, dtype=np.uint64))
    ratios = table.ratios(np.ones(n, dtype=np.intp), u)
    for c in range(4):
        values = quantiles[1, c]
        result = stats.kstest(ratios[:, c], lambda x, v=values: np.interp(x, v, LEVELS))
        assert result.pvalue > 1e-3


def test_mean_and_deviation_are_integrals_of_the_quantile_function():
    _, quantiles = tables()
    u = (np.arange(400_000) + 0.5) / 400_000
    expected = [[np.interp(u, LEVELS, q).mean() for q in row] for row in quantiles]
    np.testing.assert_allclose(mean_ratio(LEVELS, quantiles), expected, rtol=1e-9)
    spread = [[np.interp(u, LEVELS, q).std() for q in row] for row in quantiles]
    np.testing.assert_allclose(deviation_ratio(LEVELS, quantiles), spread, rtol=1e-9)


# -- repeats -----------------------------------------------------------------------------------


@pytest.mark.parametrize("good", [0, 7, 2**62 - 1, np.int32(4), np.uint64(9)])
def test_repeats_are_plain_integers(good):
    assert check_repeat(good) == int(good)
    assert type(check_repeat(good)) is int


@pytest.mark.parametrize(
    "bad", [-1, 2**62, 1.0, "3", None, True, np.bool_(True), float("nan"), [1], np.array([1])]
)
def test_bad_repeats_name_the_value(bad):
    with pytest.raises(InputError) as error:
        check_repeat(bad)
    assert str(bad) in str(error.value)


# -- positions of repeats in a session -----------------------------------------------------------


def tables_by_position(columns: int = 3, groups: int = 2) -> QuantileTables:
    """Quantile tables with positions: of the first column they do not matter."""
    from helpers import position_tables

    rng = np.random.default_rng(0)
    positions = np.empty((groups, columns, POSITIONS, len(POSITION_LEVELS)))
    positions[:, 0] = POSITION_LEVELS
    for at in np.ndindex(groups, columns - 1):
        drift = np.arange(POSITIONS) * rng.uniform(-0.2, 0.2)
        ranks = rng.random((400, POSITIONS)) + drift
        ranks = ranks.ravel().argsort().argsort().reshape(ranks.shape) / ranks.size
        positions[at[0], at[1] + 1] = position_tables(ranks)[0, 0, 0]
    quantiles = np.sort(rng.uniform(0.5, 2.0, (groups, columns, len(LEVELS))), axis=-1)
    return QuantileTables(LEVELS, quantiles, streams_of(columns, 0.3), positions)


def test_ratios_at_positions_are_bit_equal_single_and_batched():
    tables = tables_by_position()
    k = keys(200)
    group = (np.arange(200) % 2).astype(np.intp)
    for position in range(POSITIONS):
        repeat = 5 + position * SESSIONS
        u = uniforms(k, tables.streams, np.array([repeat], dtype=np.uint64))
        u = tables.at_positions(group, u, np.array([position]))
        batch = tables.ratios(group, u)
        alone = [
            tables.ratios_one(int(g), int(key), repeat, position)
            for g, key in zip(group, k, strict=True)
        ]
        np.testing.assert_array_equal(batch, np.array(alone))


def test_levels_at_positions_are_uniform_together_and_unchanged_without_an_effect():
    tables = tables_by_position()
    u = (np.arange(20_000) + 0.5)[:, None] / 20_000 * np.ones(3)
    edges = np.tile(POSITION_LEVELS[:, None], 3)
    group = np.zeros(len(u), dtype=np.intp)
    found = np.stack([tables.at_positions(group, u, np.array([k])) for k in range(POSITIONS)])
    np.testing.assert_array_equal(found[:, :, 0], np.tile(u[:, 0], (POSITIONS, 1)))
    assert ((found >= 0) & (found <= 1)).all()
    for column in (1, 2):
        assert (np.diff(found[:, :, column], axis=1) >= 0).all()
        assert stats.kstest(found[..., column].ravel(), "uniform").statistic < 2e-4
        assert stats.kstest(found[0, :, column], "uniform").statistic > 0.02
    for k in range(POSITIONS):
        ends = tables.at_positions(group[: len(edges)], edges, np.array([k]))
        assert (ends[[0, -1]] == edges[[0, -1]]).all()
