from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import struct
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgpt_blackbox.convert.source.pickle_reader import load_pickle, parse_pickle
from hwgpt_blackbox.errors import DataError

PATH = Path("stats.pkl")

PLAIN = {
    "floats": [1.5, -2.0, 1e300, float("inf")],
    "one": [0.25],
    "ints": [0, 1, 255, 256, 70000, -1, 2**40, -(2**70)],
    "small": list(range(200)),
    "mixed": [1, 2.0, None, True, False, "s"],
    "tuple": ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
    "text": "gpt-s µ ü 字" * 60,
    "bytes": b"\x00\x01" * 300,
    "nested": {"a": {"b": [{"c": []}]}},
    "floats like opcodes": [struct.unpack(">d", b"GGGGGGGG")[0]] * 20,
}

ARRAYS = [
    np.arange(12.0).reshape(3, 4),
    np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    np.arange(5, dtype=">f4"),
    np.arange(5, dtype=np.int16),
    np.array([True, False]),
    np.array(["ms", "s"]),
    np.array(2.5),
    np.empty((0, 3)),
]

SCALARS = [np.float64(1.25), np.float32(0.1), np.int64(-7), np.bool_(True), np.str_("ms")]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_reads_as_the_standard_unpickler_reads_it(protocol: int) -> None:
    data = {**PLAIN, "bytes": None} if protocol == 2 else PLAIN  # 2 writes bytes by a function
    assert parse_pickle(pickle.dumps(data, protocol=protocol), PATH) == data


def test_the_pure_python_pickler_is_read_too() -> None:
    file = io.BytesIO()
    pickle._Pickler(file, protocol=3).dump(PLAIN)  # type: ignore[attr-defined]
    assert parse_pickle(file.getvalue(), PATH) == PLAIN


def test_shared_objects_stay_shared() -> None:
    shared = [1.0]
    data = parse_pickle(pickle.dumps({"a": shared, "b": shared}), PATH)
    assert data["a"] is data["b"]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda a: f"{a.dtype}{a.shape}")
def test_arrays(array: np.ndarray, protocol: int) -> None:
    again = parse_pickle(pickle.dumps({"x": array, "y": [array]}, protocol=protocol), PATH)
    np.testing.assert_array_equal(again["x"], array)
    assert again["x"].dtype == array.dtype.newbyteorder("=")
    assert again["y"][0] is again["x"]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("scalar", SCALARS, ids=lambda s: type(s).__name__)
def test_scalars(scalar: Any, protocol: int) -> None:
    again = parse_pickle(pickle.dumps([scalar, scalar], protocol=protocol), PATH)
    assert again == [scalar.item()] * 2
    assert type(again[0]) is type(scalar.item())


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_names_of_numpy_1_and_2(module: bytes) -> None:
    data = pickle.dumps([np.float64(2.5), np.arange(3.0)], protocol=3)
    for written in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        data = data.replace(b"c" + written + b"\n", b"c" + module + b"\n")
    assert module in data
    scalar, array = parse_pickle(data, PATH)
    assert scalar == 2.5
    assert array.tolist() == [0.0, 1.0, 2.0]


# -- hostile ---------------------------------------------------------------------------------


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.parts = (function, arguments, state) if state else (function, arguments)

    def __reduce__(self) -> Any:
        return self.parts


def _executed(*arguments: Any) -> None:
    Path(os.environ["HWGPT_TEST_MARK"]).write_text("executed")


def _mark(path: Path) -> str:
    return f"touch {path}"


CALLS = {
    "os.system": lambda mark: Call(os.system, _mark(mark)),
    "eval": lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"),
    "exec": lambda mark: Call(exec, f"open({str(mark)!r}, 'w')"),
    "open": lambda mark: Call(open, str(mark), "w"),
    "getattr": lambda mark: Call(getattr, {}, "clear"),
    "numpy.load": lambda mark: Call(np.load, "x.npy", None, True),
    "numpy.save": lambda mark: Call(np.save, str(mark), 1.0),
    "ndarray called": lambda mark: Call(np.ndarray, (10**12,)),
    "dict": lambda mark: collections.OrderedDict(a=1),
    "set": lambda mark: {1, 2},
    "an object": lambda mark: Path("x"),
    "a class": lambda mark: dict,
    "reduce": lambda mark: Call(reduce, _executed, [1, 2]),
    "object array": lambda mark: np.array([Call(os.system, _mark(mark))], dtype=object),
    "structured array": lambda mark: np.zeros(2, dtype=[("a", "f8"), ("b", "O")]),
    "void scalar": lambda mark: np.zeros(2, dtype=[("a", "f8")])[0],
    "object dtype": lambda mark: np.dtype(object),
    "datetime": lambda mark: np.datetime64("2024-01-01"),
    "masked": lambda mark: np.ma.array([1.0], mask=[True]),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", CALLS)
def test_hostile_pickles_are_refused_with_nothing_executed(
    name: str, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark, file = tmp_path / "mark", tmp_path / "stats.pkl"
    monkeypatch.setenv("HWGPT_TEST_MARK", str(mark))
    file.write_bytes(pickle.dumps({"gpt-s": CALLS[name](mark)}, protocol=protocol))
    with pytest.raises(DataError, match=r"stats\.pkl.*nothing of it was executed") as caught:
        load_pickle(file)
    assert "fetch it anew" in str(caught.value)
    assert not mark.exists()


def name_of(module: bytes, name: bytes) -> bytes:
    return b"c" + module + b"\n" + name + b"\n"


RECONSTRUCT = name_of(b"numpy.core.multiarray", b"_reconstruct")
SCALAR = name_of(b"numpy._core.multiarray", b"scalar")
NDARRAY = name_of(b"numpy", b"ndarray")
DTYPE = name_of(b"numpy", b"dtype")
F8 = DTYPE + b"X\x02\x00\x00\x00f8\x89\x88\x87R"
O8 = DTYPE + b"X\x02\x00\x00\x00O8\x89\x88\x87R"
EMPTY = RECONSTRUCT + NDARRAY + b"K\x00\x85C\x01b\x87R"
DEEP = b")" + b"\x85" * 200_000

HAND_MADE = {
    "other function of multiarray": name_of(b"numpy.core.multiarray", b"fromstring") + b")R",
    "frombuffer": name_of(b"numpy.core.multiarray", b"frombuffer") + b"C\x08" + b"0" * 8 + b"\x85R",
    "dotted name": name_of(b"numpy", b"ndarray.tofile") + b")R",
    "module chain": b"\x8c\x05numpy\x8c\x0acore.multi\x93)R",
    "builtins": name_of(b"builtins", b"eval") + b"X\x01\x00\x00\x001\x85R",
    "python 2 builtins": name_of(b"__builtin__", b"eval") + b")R",
    "name from no text": b"K\x01K\x02\x93",
    "persistent id": b"Pabc\n",
    "binary persistent id": b"K\x01Q",
    "extension": b"\x82\x01",
    "instance": b"(ios\nsystem\n",
    "object": b"(" + NDARRAY + b"o",
    "new object": NDARRAY + b")\x81",
    "new object with keywords": NDARRAY + b")}\x92",
    "out-of-band buffer": b"\x97",
    "call of text": b"X\x01\x00\x00\x00a)R",
    "call of ndarray": NDARRAY + b"K\x05\x85R",
    "call with a list": SCALAR + b"]R",
    "reconstruct another class": RECONSTRUCT + DTYPE + b"K\x00\x85C\x01b\x87R",
    "reconstruct a shape": RECONSTRUCT + NDARRAY + b"J\xff\xff\xff\x7f\x85C\x01b\x87R",
    "reconstruct objects": RECONSTRUCT + NDARRAY + b"K\x00\x85C\x01O\x87R",
    "scalar of objects": SCALAR + O8 + b"C\x08" + b"0" * 8 + b"\x86R",
    "scalar of too few bytes": SCALAR + F8 + b"C\x01a\x86R",
    "scalar of no dtype": SCALAR + b"NC\x01a\x86R",
    "array of objects": EMPTY + b"(K\x01K\x00\x85" + O8 + b"\x89]tb",
    "array of a list": EMPTY + b"(K\x01K\x01\x85" + F8 + b"\x89](K\x01etb",
    "shape bomb": EMPTY + b"(K\x01J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86" + F8 + b"\x89C\x00tb",
    "negative shape": EMPTY + b"(K\x01J\xff\xff\xff\xff\x85" + F8 + b"\x89C\x00tb",
    "shape of text": EMPTY + b"(K\x01X\x01\x00\x00\x00a\x85" + F8 + b"\x89C\x00tb",
    "state twice": EMPTY + (b"(K\x01K\x00\x85" + F8 + b"\x89C\x00tb") * 2,
    "state of a function": SCALAR + b"}b",
    "state of a class": NDARRAY + b"}b",
    "state of a list": b"]}b",
    "state of a dict": b"}}b",
    "state of a dtype": F8 + b"}b",
    "dtype with fields": F8 + b"(K\x03X\x01\x00\x00\x00<NX\x01\x00\x00\x00a}K\x08K\x08K\x00tb",
    "dtype from a list": DTYPE + b"]\x89\x88\x87R",
    "dtype of a huge void": DTYPE + b"X\x0b\x00\x00\x00V1000000000\x89\x88\x87R",
    "deep dtype": DTYPE + DEEP + b"\x89\x88\x87R",
    "deep name": DEEP + DEEP + b"\x93",
    "deep key": b"}" + DEEP + b"Ns",
    "key of bytes": b"}C\x01aNs",
    "key twice": b"}(X\x01\x00\x00\x00aNX\x01\x00\x00\x00aNu",
    "items in a list": b"]K\x01K\x02s",
    "append to a dict": b"}K\x01a",
    "append to a function": SCALAR + b"K\x01a",
    "memo bomb": b"Nr\xff\xff\xff\x7f",
    "duplicate": b"N2",
    "text integer": b"I1\n",
    "protocol in the middle": b"\x80\x04N",
}

DAMAGED = {
    "huge bytes": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "huge text": b"X\xff\xff\xff\xff",
    "huge frame": b"\x95" + b"\xff" * 8,
    "no stack": b"a",
    "no mark": b"t",
    "unknown memo": b"h\x05",
    "not utf-8": b"X\x01\x00\x00\x00\xff",
    "odd items": b"}(Nu",
    "mark left": b"(N",
    "two objects": b"NN",
}


@pytest.mark.parametrize("name", HAND_MADE)
def test_hand_made_attacks_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="nothing of it was executed"):
        parse_pickle(b"\x80\x03" + HAND_MADE[name] + b".", PATH)


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_an_error_that_names_the_file(name: str) -> None:
    with pytest.raises(DataError, match=r"stats\.pkl is a (corrupt|truncated) pickle.*fetch"):
        parse_pickle(b"\x80\x03" + DAMAGED[name] + b".", PATH)


def test_nested_tuples_as_data_are_harmless() -> None:
    parse_pickle(b"\x80\x03" + DEEP + b".", PATH)


def test_a_key_of_doubling_tuples_is_refused_at_once() -> None:
    doubling = b")q\x00" + b"".join(b"h%c\x86q%c" % (k, k + 1) for k in range(60))
    with pytest.raises(DataError, match="dict key of type tuple"):
        parse_pickle(b"\x80\x03}" + doubling + b"Ns.", PATH)


def test_too_many_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwgpt_blackbox.convert.source.pickle_reader.MAX_CONTAINERS", 100)
    with pytest.raises(DataError, match="more than 100 lists"):
        parse_pickle(pickle.dumps([[] for _ in range(200)]), PATH)


def test_truncated_at_every_offset() -> None:
    data = pickle.dumps({**PLAIN, "arrays": ARRAYS, "scalars": SCALARS}, protocol=4)
    for end in range(len(data)):
        with pytest.raises(DataError):
            parse_pickle(data[:end], PATH)


def test_random_damage_never_raises_anything_else() -> None:
    rng = np.random.default_rng(0)
    small = {"a": [1.5] * 5, "b": {"c": [1, 2, np.float64(3.0)]}, "d": np.arange(4.0), "e": "text"}
    for protocol in (3, 4):
        good = pickle.dumps(small, protocol=protocol)
        for _ in range(5000):
            data = bytearray(good)
            for _ in range(rng.integers(1, 4)):
                data[rng.integers(2, len(data))] = rng.integers(256)
            with contextlib.suppress(DataError):
                parse_pickle(bytes(data), PATH)


def test_bytes_after_the_end() -> None:
    with pytest.raises(DataError, match="corrupt"):
        parse_pickle(pickle.dumps(1) + b"more", PATH)


# -- files -----------------------------------------------------------------------------------


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        load_pickle(tmp_path / "none.pkl")
    with pytest.raises(DataError, match="directory"):
        load_pickle(tmp_path)


def test_empty_and_foreign_files(tmp_path: Path) -> None:
    for content in (b"", b"\x80", b"\x80\x04", b"hello", b"\x80\xff.", b"(lp0\n."):
        (tmp_path / "x.pkl").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.pkl"):
            load_pickle(tmp_path / "x.pkl")


def test_git_lfs_pointer_says_so(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DataError, match="git lfs pull"):
        load_pickle(tmp_path / "x.pkl")


def test_too_large_a_file_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "x.pkl"
    file.write_bytes(pickle.dumps([0.5] * 100))
    with pytest.raises(DataError, match="larger than 100 bytes"):
        load_pickle(file, max_bytes=100)
