"""Artifacts on disk: whatever the bytes are, a sound artifact or a DataError."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from helpers import rewrite_manifest, write_random_surrogate

from hwgpt_blackbox.errors import DataError, HWGPTError
from hwgpt_blackbox.storage import manifest as artifact
from hwgpt_blackbox.storage.manifest import (
    MAX_MANIFEST_BYTES,
    check_files,
    read_arrays,
    read_manifest,
    sha256,
    write_manifest,
)
from hwgpt_blackbox.storage.surrogates import read_surrogate


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A sound artifact; copy it before changing it."""
    folder = tmp_path_factory.mktemp("sound") / "hwgpt-s"
    write_random_surrogate(folder)
    return folder


@pytest.fixture
def folder(sound, tmp_path):
    """A copy of a sound artifact."""
    copy = tmp_path / "hwgpt-s"
    copy.mkdir()
    for path in sound.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def assert_refused(folder, *says: str) -> None:
    with pytest.raises(DataError) as error:
        read_surrogate(folder)
    assert isinstance(error.value, HWGPTError)
    for text in (str(folder), *says):
        assert text in str(error.value)


# -- manifest ----------------------------------------------------------------------------------


def test_manifest_round_trip(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    write_manifest(tmp_path, {"kind": "surrogate", "name": "n", "space": "s"})
    manifest = read_manifest(tmp_path, kind="surrogate")
    assert manifest["schema_version"] == 1
    assert manifest["files"] == {
        "a.bin": {
            "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "bytes": 3,
        }
    }
    check_files(tmp_path, manifest, ["a.bin"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.bin", "manifest.json"]


def test_a_manifest_that_json_cannot_hold_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_manifest(tmp_path, {"kind": "surrogate", "report": float("nan")})
    assert not (tmp_path / "manifest.json").exists()


BAD_MANIFESTS = {
    "empty": b"",
    "not json": b"space = s",
    "truncated": b'{"schema_version": 1, "kind": "surr',
    "not utf-8": b'{"kind": "\xff\xfe"}',
    "binary": bytes(range(256)),
    "list": b"[1, 2]",
    "number": b"3",
    "null": b"null",
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "huge integer": b'{"schema_version": ' + b"9" * 5000 + b"}",
    "long integer": b'{"schema_version": ' + b"9" * 4300 + b"}",
    "nan version": b'{"schema_version": NaN, "kind": "surrogate"}',
    "no version": b'{"kind": "surrogate"}',
    "text version": b'{"schema_version": "1", "kind": "surrogate"}',
    "true version": b'{"schema_version": true, "kind": "surrogate"}',
    "float version": b'{"schema_version": 1.0, "kind": "surrogate"}',
    "zero version": b'{"schema_version": 0, "kind": "surrogate"}',
    "no kind": b'{"schema_version": 1}',
    "other kind": b'{"schema_version": 1, "kind": "tabular"}',
    "kind of another type": b'{"schema_version": 1, "kind": {"surrogate": 1}}',
    "no files": b'{"schema_version": 1, "kind": "surrogate", "space": "s"}',
    "files of another type": b'{"schema_version": 1, "kind": "surrogate", "files": ["arrays.npz"]}',
    "entry of another type": b'{"schema_version": 1, "kind": "surrogate", '
    b'"files": {"arrays.npz": "abc"}}',
    "entry without checksum": b'{"schema_version": 1, "kind": "surrogate", '
    b'"files": {"arrays.npz": {"bytes": 1}}}',
}


@pytest.mark.parametrize("content", BAD_MANIFESTS.values(), ids=BAD_MANIFESTS)
def test_bad_manifests_are_refused(folder, content):
    (folder / "manifest.json").write_bytes(content)
    assert_refused(folder)


def test_a_manifest_of_the_future_says_to_update(folder):
    rewrite_manifest(folder, schema_version=2)
    assert_refused(folder, "schema_version 2", "reads up to 1", "pip install --upgrade")


def test_a_manifest_beyond_the_limit_is_not_read(folder):
    (folder / "manifest.json").write_bytes(b" " * MAX_MANIFEST_BYTES + b"{}")
    assert_refused(folder, str(MAX_MANIFEST_BYTES))


def test_a_missing_folder_or_a_folder_for_a_manifest_is_refused(folder, tmp_path):
    assert_refused(tmp_path / "nothing")
    (folder / "manifest.json").unlink()
    assert_refused(folder)
    (folder / "manifest.json").mkdir()
    assert_refused(folder)


def test_a_manifest_truncated_anywhere_is_refused(folder):
    content = (folder / "manifest.json").read_bytes().rstrip()
    for size in range(0, len(content), 97):
        (folder / "manifest.json").write_bytes(content[:size])
        assert_refused(folder)


# -- checksums ---------------------------------------------------------------------------------


def test_a_changed_file_is_refused_by_its_checksum(folder):
    path = folder / "arrays.npz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert_refused(folder, str(path), "sha256", "convert or pull")


def test_a_missing_or_longer_file_is_refused(folder):
    path = folder / "arrays.npz"
    path.write_bytes(path.read_bytes() + b" ")
    assert_refused(folder, str(path))
    path.unlink()
    assert_refused(folder, str(path), "missing")


# -- arrays ------------------------------------------------------------------------------------


def put(folder, content: bytes) -> None:
    """Arrays of any bytes, under a manifest whose checksums fit."""
    (folder / "arrays.npz").write_bytes(content)
    rewrite_manifest(folder)


def test_arrays_truncated_anywhere_are_refused(folder):
    content = (folder / "arrays.npz").read_bytes()
    for size in [0, 1, 3, 4, 30, 100, *range(500, len(content), len(content) // 40)]:
        put(folder, content[:size])
        assert_refused(folder, "arrays.npz")


@pytest.mark.filterwarnings("ignore")  # zipfile warns of duplicate names, numpy of old headers
def test_arrays_changed_anywhere_are_refused_or_sound(folder):
    content = (folder / "arrays.npz").read_bytes()
    rng = np.random.default_rng(0)
    directory = content.rfind(b"PK\x01\x02", 0, len(content) * 3 // 4)
    places = [
        *range(0, 140, 3),  # first header and array header
        *rng.integers(0, len(content), size=150),
        *rng.integers(directory, len(content), size=150),
        *range(len(content) - 22, len(content)),
    ]
    refused = 0
    for at in places:
        mutated = bytearray(content)
        mutated[at] ^= int(rng.integers(1, 256))
        put(folder, bytes(mutated))
        try:
            read_surrogate(folder)
        except DataError as error:
            assert str(folder) in str(error)
            refused += 1
    assert refused > len(places) / 3


def npy(header: dict | str, data: bytes = b"") -> bytes:
    """An npy file with any header."""
    text = (header if isinstance(header, str) else repr(header)) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(f"{name}.npy", data)
    return buffer.getvalue()


HOSTILE_ARRAYS = {
    "object array": npy({"descr": "|O", "fortran_order": False, "shape": (1,)}, b"cos\nsystem\n."),
    "structure": npy({"descr": [("a", "<f8")], "fortran_order": False, "shape": (1,)}, b"\0" * 8),
    "shape beyond memory": npy({"descr": "<f8", "fortran_order": False, "shape": (2**60,)}),
    "shape beyond the file": npy({"descr": "<f8", "fortran_order": False, "shape": (2**30,)}),
    "negative shape": npy({"descr": "<f8", "fortran_order": False, "shape": (-5,)}),
    "shape of text": npy({"descr": "<f8", "fortran_order": False, "shape": "abc"}),
    "header that is code": npy("__import__('os').system('touch owned')"),
    "header too long": npy("{" + " " * 60_000 + "}"),
    "no header": b"abc",
    "empty": b"",
    "items of no size": npy({"descr": "|V0", "fortran_order": False, "shape": (2**40,)}),
    "unknown type": npy({"descr": "<q99", "fortran_order": False, "shape": (1,)}, b"\0" * 8),
}


@pytest.mark.parametrize("content", HOSTILE_ARRAYS.values(), ids=HOSTILE_ARRAYS)
def test_hostile_arrays_are_refused_and_execute_nothing(folder, content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(folder, archive(levels=content))
    assert_refused(folder, "arrays.npz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hwgpt-s"]


def test_a_pickle_is_refused_and_not_executed(folder, tmp_path, monkeypatch):
    import pickle

    class Hostile:
        def __reduce__(self):
            return exec, ("open('owned', 'w')",)

    monkeypatch.chdir(tmp_path)
    put(folder, pickle.dumps(Hostile()))
    assert_refused(folder, "arrays.npz")
    put(folder, archive(levels=npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }")
                        + pickle.dumps(Hostile())))  # fmt: skip
    assert_refused(folder, "arrays.npz")
    with pytest.raises(DataError):
        read_arrays(folder / "arrays.npz")
    assert not (tmp_path / "owned").exists()


def test_a_zip_bomb_is_refused_by_the_size_it_declares(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out:
        zeros = bytes(1 << 20)
        for i in range(300):  # 300 MB in 300 kB
            out.writestr(f"a{i}.npy", zeros)
    assert len(buffer.getvalue()) < 2 << 20
    put(folder, buffer.getvalue())
    assert_refused(folder, "arrays.npz", "refused", str(artifact.MAX_ARRAYS_BYTES))


def test_a_zip_bomb_that_lies_about_its_size_is_refused(folder):
    data = archive(levels=npy({"descr": "<f8", "fortran_order": False, "shape": (1 << 24,)})
                   + bytes(1 << 27))  # fmt: skip
    lying = bytearray(data)
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.rfind(signature) + offset
        lying[at : at + 4] = (1000).to_bytes(4, "little")
    put(folder, bytes(lying))
    assert_refused(folder, "arrays.npz")


def test_an_archive_of_other_files_is_refused(folder):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("levels", b"no array")
        out.writestr("../outside.npy", npy({"descr": "<f8", "fortran_order": False, "shape": ()}))
    put(folder, buffer.getvalue())
    assert_refused(folder)
    assert not (folder.parent / "outside.npy").exists()


def test_an_array_file_in_place_of_the_archive_is_refused(folder):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    put(folder, buffer.getvalue())
    assert_refused(folder, "arrays.npz")


def test_an_encrypted_archive_is_refused(folder):
    data = bytearray(archive(levels=npy({"descr": "<f8", "fortran_order": False, "shape": ()})))
    data[6] |= 1
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    put(folder, bytes(data))
    assert_refused(folder, "arrays.npz")


def test_numbers_of_any_kind_are_read(tmp_path):
    path = tmp_path / "a.npz"
    arrays = {
        "f": np.array([1.5]), "i": np.array([[3]]), "u": np.array(4, np.uint8),
        "b": np.array([True]), "h": np.array([0.5], np.float16),
    }  # fmt: skip
    np.savez_compressed(path, **arrays)
    read = read_arrays(path)
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


def test_the_limit_is_an_argument(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(1000))
    assert read_arrays(tmp_path / "a.npz")["a"].shape == (1000,)
    with pytest.raises(DataError, match="more than 8000"):
        read_arrays(tmp_path / "a.npz", limit=8000)


def test_sha256_is_the_standard_one(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert sha256(tmp_path / "a").startswith("e3b0c44298fc1c14")


def test_the_manifest_on_disk_is_plain_json(sound):
    manifest = json.loads((sound / "manifest.json").read_text())
    assert next(iter(manifest)) == "schema_version"
    assert list(manifest["files"]) == ["arrays.npz"]
