"""Configurations <-> integer matrix, canonical form, and what is refused."""

from __future__ import annotations

from collections import UserList, deque

import numpy as np
import pandas as pd
import pytest
from helpers import equivalent
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError

ENCODINGS = {name: Encoding(space) for name, space in SPACES.items()}
every_space = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=ENCODINGS)


def configuration(encoding: Encoding, seed: int = 0) -> dict:
    return encoding.decode(encoding.sample(1, np.random.default_rng(seed)))[0]


@every_space
def test_round_trip_single_and_batched(encoding):
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, encoding.sizes, size=(600, encoding.num_columns)).astype(np.uint8)
    dicts = encoding.decode(matrix)
    assert all(list(d) == list(encoding.space.choices) for d in dicts[:3])
    np.testing.assert_array_equal(encoding.encode(dicts), matrix)
    np.testing.assert_array_equal([encoding.encode_one(d) for d in dicts], matrix)
    assert [encoding.decode_one(row) for row in matrix] == dicts
    assert {type(v) for v in dicts[0].values()} == {int, bool}


@settings(max_examples=50, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(SPACES)))
def test_any_valid_configuration_encodes_to_its_choices(data, name):
    encoding, choices = ENCODINGS[name], SPACES[name].choices
    config = {k: data.draw(st.sampled_from(v)) for k, v in choices.items()}
    shuffled = dict(data.draw(st.permutations(list(config.items()))))
    row = encoding.encode_one(shuffled)
    assert [choices[k][i] for k, i in zip(choices, row, strict=True)] == list(config.values())
    assert encoding.encode([shuffled])[0].tolist() == row


@every_space
def test_canonical_form_changes_inactive_layers_only(encoding):
    rng = np.random.default_rng(1)
    matrix = encoding.sample(300, rng)
    other = equivalent(encoding, matrix, rng)
    assert (other != matrix).any()  # else this test shows nothing
    before = other.copy()
    np.testing.assert_array_equal(encoding.canonical(other), matrix)
    np.testing.assert_array_equal(other, before)
    np.testing.assert_array_equal(encoding.canonical(matrix), matrix)
    for row, again in zip(encoding.decode(matrix[:20]), encoding.decode(other[:20]), strict=True):
        depth = row["num_layers"]
        assert encoding.canonical_form(again) == row
        for i in range(encoding.space.max_layers):
            smallest = (encoding.space.mlp_ratios[0], encoding.space.num_heads[0])
            layer = (row[f"mlp_ratio_{i}"], row[f"num_heads_{i}"])
            if i >= depth:
                assert layer == smallest
            else:
                assert layer == (again[f"mlp_ratio_{i}"], again[f"num_heads_{i}"])


def test_constants_of_a_configuration_space_stay_in_the_canonical_form():
    encoding = ENCODINGS["s"]
    given = {"epochs": 9, **configuration(encoding), "note": ["any"]}
    before = dict(given)
    form = encoding.canonical_form(given)
    assert form == encoding.canonical_form(configuration(encoding)) | {"epochs": 9, "note": ["any"]}
    assert given == before
    del given["num_heads_3"]
    with pytest.raises(InputError, match="lacks 'num_heads_3'"):
        encoding.canonical_form(given | {"num_heads_33": 4})


@every_space
def test_active_layers_are_the_first_num_layers(encoding):
    matrix = encoding.sample(100, np.random.default_rng(2))
    depths = [d["num_layers"] for d in encoding.decode(matrix)]
    expected = [[i < depth for i in range(encoding.space.max_layers)] for depth in depths]
    np.testing.assert_array_equal(encoding.active(matrix), expected)


def test_samples_are_uniform_reproducible_and_canonical():
    encoding = ENCODINGS["s"]
    matrix = encoding.sample(30_000, np.random.default_rng(3))
    np.testing.assert_array_equal(matrix, encoding.sample(30_000, np.random.default_rng(3)))
    np.testing.assert_array_equal(matrix, encoding.canonical(matrix))
    active = encoding.active(matrix)
    for part in encoding.layer_choices(matrix):
        counts = np.array([(part[active] == k).sum() for k in range(3)]) / active.sum()
        np.testing.assert_allclose(counts, 1 / 3, atol=0.005)
    np.testing.assert_allclose(np.bincount(matrix[:, 0]) / 30_000, 1 / 3, atol=0.015)
    np.testing.assert_allclose(np.bincount(matrix[:, 2]) / 30_000, 1 / 2, atol=0.015)


# -- accepted forms ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64])
def test_an_integer_matrix_is_taken_as_it_is(dtype):
    encoding = ENCODINGS["s"]
    matrix = encoding.sample(5, np.random.default_rng(0)).astype(dtype)
    matrix.setflags(write=False)
    assert encoding.as_matrix(matrix) is matrix


def test_a_matrix_of_the_widest_unsigned_integers_is_taken():
    # NumPy does not add uint64 to signed indices: predicting with it raised a TypeError.
    encoding = ENCODINGS["s"]
    matrix = encoding.sample(5, np.random.default_rng(0)).astype(np.uint64)
    np.testing.assert_array_equal(encoding.as_matrix(matrix), matrix)
    assert encoding.as_matrix(matrix).dtype == np.uint8


def test_lists_tuples_iterators_and_one_dict_of_configurations():
    encoding = ENCODINGS["s"]
    dicts = [configuration(encoding, seed) for seed in range(3)]
    matrix = encoding.encode(dicts)
    for form in (dicts, tuple(dicts), iter(dicts), (d for d in dicts), {0: dicts}[0]):
        np.testing.assert_array_equal(encoding.as_matrix(form), matrix)
    np.testing.assert_array_equal(encoding.as_matrix(dicts[1]), matrix[1:2])
    assert encoding.as_matrix([]).shape == (0, 27)


def test_a_sequence_that_cannot_be_sliced_gave_uninitialised_memory():
    encoding = ENCODINGS["m"]
    matrix = encoding.sample(700, np.random.default_rng(0))
    dicts = encoding.decode(matrix)
    np.testing.assert_array_equal(encoding.encode(deque(dicts)), matrix)
    np.testing.assert_array_equal(encoding.encode(dict(enumerate(dicts)).values()), matrix)
    with pytest.raises(InputError, match="configuration 700: a configuration is a int"):
        encoding.encode(deque([*dicts, 3]))


FORMS = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "iterator": iter,
    "UserList": UserList,
    "values of a dict": lambda dicts: dict(enumerate(dicts)).values(),
    "array of objects": lambda dicts: np.array([*dicts, None], dtype=object)[:-1],
    "Series of dicts": lambda dicts: pd.Series(dicts, dtype=object),
    "DataFrame": pd.DataFrame,
    "DataFrame with an index": lambda dicts: pd.DataFrame(dicts).iloc[::-1][::-1],
    "Series each": lambda dicts: [row for _, row in pd.DataFrame(dicts).iterrows()],
}
INTEGER_FORMS = {
    "lists": np.ndarray.tolist,
    "tuples": lambda matrix: tuple(map(tuple, matrix.tolist())),
    "list of arrays": list,
    "iterator of lists": lambda matrix: iter(matrix.tolist()),
    "not contiguous": lambda matrix: np.asfortranarray(matrix)[::-1][::-1],
}


@pytest.mark.parametrize("form", [*FORMS, *INTEGER_FORMS])
@settings(max_examples=20, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(SPACES)), size=st.integers(1, 5))
def test_every_form_of_configurations_means_the_same(form, data, name, size):
    encoding = ENCODINGS[name]
    row = st.tuples(*(st.integers(0, int(n) - 1) for n in encoding.sizes))
    matrix = np.array(data.draw(st.lists(row, min_size=size, max_size=size)), dtype=np.uint8)
    for function in (encoding.encode, encoding.as_matrix):
        given_ = (
            FORMS[form](encoding.decode(matrix)) if form in FORMS else INTEGER_FORMS[form](matrix)
        )
        np.testing.assert_array_equal(function(given_), matrix)
    assert encoding.encode(matrix).dtype == np.uint8


def test_tensors_are_choice_indices():
    torch = pytest.importorskip("torch")
    encoding = ENCODINGS["s"]
    matrix = encoding.sample(4, np.random.default_rng(0))
    for dtype in (torch.uint8, torch.int32, torch.int64):
        tensor = torch.tensor(matrix.astype(int), dtype=dtype)
        np.testing.assert_array_equal(encoding.encode(tensor), matrix)
        np.testing.assert_array_equal(encoding.encode(list(tensor)), matrix)
    for bad in (torch.rand(4, 27), torch.rand(4, 27, requires_grad=True), torch.zeros(27).int()):
        with pytest.raises(InputError, match=r"integers|shape"):
            encoding.encode(bad)


def test_bounds_hold_the_first_and_last_choice_of_every_column():
    encoding = ENCODINGS["l"]
    lower, upper = encoding.bounds
    choices = list(encoding.space.choices.values())
    assert list(encoding.decode_one(lower).values()) == [values[0] for values in choices]
    assert list(encoding.decode_one(upper).values()) == [values[-1] for values in choices]
    assert (encoding.sample(100, np.random.default_rng(0)) <= upper).all()
    assert encoding.as_matrix(encoding.bounds).shape == (2, encoding.num_columns)


def test_values_of_numpy_scalars_are_values():
    encoding = ENCODINGS["s"]
    plain = configuration(encoding)
    as_numpy = {k: np.bool_(v) if isinstance(v, bool) else np.int64(v) for k, v in plain.items()}
    assert encoding.encode_one(as_numpy) == encoding.encode_one(plain)


# -- bad input ---------------------------------------------------------------------------------

BAD_CONFIGURATIONS = {
    "missing": (lambda c: c.pop("mlp_ratio_11"), "lacks 'mlp_ratio_11'"),
    "missing of an inactive layer": (
        lambda c: (c.update(num_layers=10), c.pop("num_heads_11")),
        "lacks 'num_heads_11'",
    ),
    "extra": (lambda c: c.update(dropout=0.1), "'dropout'"),
    "extra and missing": (lambda c: (c.pop("bias"), c.update(Bias=True)), "lacks 'bias'"),
    "out of range": (lambda c: c.update(embed_dim=200), "embed_dim is 200; choose one of 192"),
    "inactive out of range": (
        lambda c: c.update(num_layers=10, num_heads_11=5),
        "num_heads_11 is 5; choose one of 4, 8, 12",
    ),
    "index for a value": (lambda c: c.update(num_layers=0), "num_layers is 0; choose one of 10"),
    "text": (lambda c: c.update(bias="True"), "bias is 'True'; choose one of False, True"),
    "none": (lambda c: c.update(num_layers=None), "num_layers is None"),
    "nan": (lambda c: c.update(num_layers=float("nan")), "num_layers is nan"),
    "unhashable": (lambda c: c.update(embed_dim=[192]), r"embed_dim is \[192\]"),
    "array": (lambda c: c.update(embed_dim=np.array([192, 384])), "embed_dim is array"),
}


@pytest.mark.parametrize(("change", "says"), BAD_CONFIGURATIONS.values(), ids=BAD_CONFIGURATIONS)
def test_bad_configuration_names_key_value_and_choices(change, says):
    encoding = ENCODINGS["s"]
    good = [configuration(encoding, seed) for seed in range(400)]
    bad = dict(good[0])
    change(bad)
    with pytest.raises(InputError, match=says):
        encoding.encode_one(bad)
    if len(bad) <= encoding.num_columns:  # else constants too, which stay
        with pytest.raises(InputError, match=says):
            encoding.canonical_form(bad)
    for at in (0, 300):  # the first chunk and a later one
        with pytest.raises(InputError, match=f"configuration {at}: .*{says}"):
            encoding.as_matrix([*good[:at], bad, *good[at:]])


@pytest.mark.parametrize(
    "value", [None, 3, "abc", b"abc", ["num_layers"], (1, 2), np.zeros(27, int)], ids=repr
)
def test_what_is_no_configuration_is_refused(value):
    encoding = ENCODINGS["s"]
    with pytest.raises(InputError, match="expected a dict"):
        encoding.encode_one(value)
    with pytest.raises(InputError, match=r"configuration 1: .*expected a dict"):
        encoding.as_matrix([configuration(encoding), value])


NOT_CONFIGURATIONS = [None, 3, 1.5, "abc", b"abc", object()]


@pytest.mark.parametrize("value", NOT_CONFIGURATIONS, ids=lambda v: type(v).__name__)
def test_what_holds_no_configurations_is_refused(value):
    with pytest.raises(InputError, match=f"configurations is a {type(value).__name__}"):
        ENCODINGS["s"].as_matrix(value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m[:, :-1], r"shape \(4, 26\)"),
        (lambda m: m[0], r"shape \(27,\)"),
        (lambda m: m[None], r"shape \(1, 4, 27\)"),
        (lambda m: m.astype(float), "dtype float64"),
        (lambda m: m.astype(bool), "dtype bool"),
        (lambda m: m.astype(object), "dtype object"),
        (lambda m: np.where(np.arange(27) == 4, 3, m), r"mlp_ratio_1\) is 3; .* 0 to 2"),
        (lambda m: np.where(np.arange(27) == 2, 2, m), r"bias\) is 2; .* 0 to 1"),
        (lambda m: np.where(np.arange(27) == 26, -1, m.astype(int)), r"num_heads_11\) is -1"),
        (lambda m: np.full((1, 27), 2**63, np.uint64), r"num_layers\) is 9223372036854775808"),
    ],
)
def test_bad_matrix_names_what_is_wrong(change, says):
    encoding = ENCODINGS["s"]
    matrix = change(encoding.sample(4, np.random.default_rng(0)))
    for function in (encoding.as_matrix, encoding.decode):
        with pytest.raises(InputError, match=says):
            function(matrix)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows[1].pop(), r"row 1 is \[.*expected 27 choice indices"),
        (lambda rows: rows.append({}), r"row 4 is \{\}"),
        (lambda rows: rows[2].__setitem__(4, 3), r"mlp_ratio_1\) is 3; .* 0 to 2"),
        (lambda rows: rows[2].__setitem__(4, 0.5), "dtype float64"),
        (lambda rows: rows[2].__setitem__(4, None), "dtype object"),
        (lambda rows: rows[2].__setitem__(4, 10**30), "dtype object"),
        (lambda rows: rows[2].__setitem__(4, "1"), "dtype"),
        (lambda rows: rows[2].__setitem__(4, [1]), "no integer matrix"),
        (lambda rows: rows[0].clear(), r"row 0 is \[\]"),
    ],
)
def test_bad_rows_of_choice_indices_name_what_is_wrong(change, says):
    encoding = ENCODINGS["s"]
    rows = encoding.sample(4, np.random.default_rng(0)).tolist()
    change(rows)
    with pytest.raises(InputError, match=says):
        encoding.encode(rows)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame.drop(columns="bias"), "configuration 0: .* lacks 'bias'"),
        (lambda frame: frame.assign(loss=1.0), "configuration 0: .* has 'loss'"),
        (
            lambda frame: frame.assign(embed_dim=[192, 200, 384]),
            "configuration 1: embed_dim is 200",
        ),
        (lambda frame: pd.concat([frame, frame[["bias"]]], axis=1), "column 'bias' twice"),
        (lambda frame: frame["bias"], r"dtype bool|shape"),
        (lambda frame: pd.DataFrame(np.zeros((2, 27), int)), "lacks 'num_layers'"),
    ],
)
def test_a_bad_frame_names_what_is_wrong(change, says):
    encoding = ENCODINGS["s"]
    frame = pd.DataFrame([configuration(encoding, seed) for seed in range(3)])
    with pytest.raises(InputError, match=says):
        encoding.encode(change(frame))


def test_a_bad_configuration_is_not_written_to():
    encoding = ENCODINGS["s"]
    bad = configuration(encoding)
    bad["embed_dim"] = 5
    copy = dict(bad)
    with pytest.raises(InputError):
        encoding.as_matrix([bad])
    assert bad == copy


@pytest.mark.parametrize("size", [0, 1, 48, 100])
def test_stratified_samples_hold_every_embed_dim_and_bias_alike(size: int) -> None:
    encoding = Encoding(SPACES["m"])
    matrix = encoding.sample(size, np.random.default_rng(0), stratified=True)
    assert matrix.shape == (size, encoding.num_columns)
    np.testing.assert_array_equal(matrix, encoding.canonical(matrix))
    counts = np.bincount(2 * matrix[:, EMBED_DIM].astype(int) + matrix[:, BIAS], minlength=6)
    assert counts.max() - counts.min() <= 1
    again = encoding.sample(size, np.random.default_rng(0), stratified=True)
    np.testing.assert_array_equal(matrix, again)


def test_stratified_samples_are_in_random_order() -> None:
    matrix = Encoding(SPACES["s"]).sample(600, np.random.default_rng(0), stratified=True)
    cell = 2 * matrix[:, EMBED_DIM].astype(int) + matrix[:, BIAS]
    assert np.bincount(cell[:300]).max() < 75
    assert np.bincount(matrix[:, 0]).min() > 120  # num_layers stays uniform
