"""Manifests and contents that mean harm, and disks that are full: an error, and nothing else."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import rewrite_manifest
from hosted import REPO, SURROGATE, TABLE, URL, digest_of, edit_manifest, tree_of
from loopback_faults import FaultyHost
from loopback_hub import Hub

from hwgpt_blackbox import cached, pull, push
from hwgpt_blackbox.errors import DataError, HWGPTError, InputError, OutputError, TransferError
from hwgpt_blackbox.hosting.listing import read_listing
from hwgpt_blackbox.storage.locations import find, home
from hwgpt_blackbox.storage.manifest import SCHEMA_VERSION
from hwgpt_blackbox.storage.surrogates import read_surrogate

SHA = "0" * 64


@pytest.fixture
def earlier(first: Path) -> str:
    """Digest of a version in use."""
    return pull(str(first / SURROGATE), progress=False).digest


@contextlib.contextmanager
def only_the_cache_is_written(*roots: Path) -> Iterator[None]:
    """Fails when anything beside the cache is written in the block."""

    def all_files() -> dict[Path, tuple[int, int]]:
        paths = [p for root in roots for p in root.rglob("*") if home() not in (p, *p.parents)]
        return {p: (p.lstat().st_mtime_ns, p.lstat().st_size) for p in paths}

    before = all_files()
    yield
    assert all_files() == before


def assert_in_use(digest: str) -> None:
    path = find(SURROGATE).path
    assert digest_of(path) == digest
    read_surrogate(path)
    assert [v.digest for v in cached()] == [digest]
    shelf = home() / ".hwgpt-blackbox" / SURROGATE
    assert {p.name for p in shelf.iterdir()} <= {"lock", "origins.json", "hub", "versions"}


def files(**rows: Any) -> Callable[[Path], None]:
    """Has a manifest list further files."""

    def change(folder: Path) -> None:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, row in rows.items():
            manifest["files"][name] = row
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def named(name: str) -> Callable[[Path], None]:
    return files(**{name: {"sha256": SHA, "bytes": 1}})


def raw(content: bytes) -> Callable[[Path], Any]:
    return lambda folder: (folder / "manifest.json").write_bytes(content)


MANIFESTS: list[tuple[Callable[[Path], Any], str]] = [
    (named("../../../escaped"), r"lists '../../../escaped': expected a plain file name"),
    (named("/etc/escaped"), "expected a plain file name"),
    (named("sub/escaped"), "expected a plain file name"),
    (named("..\\escaped"), "expected a plain file name"),
    (named("C:escaped"), "expected a plain file name"),
    (named(".."), "expected a plain file name"),
    (named(".hidden"), "expected a plain file name"),
    (named("nul\0byte"), r"lists 'nul\\x00byte'"),
    (named("new\nline"), r"lists 'new\\nline'"),
    (named("\x1b[31mred"), r"lists '\\x1b\[31mred'"),
    (named("ünïcode"), r"expected a plain file name"),
    (named("dot."), "expected a plain file name"),
    (named(""), "expected a plain file name"),
    (named("x" * 101), "expected a plain file name"),
    *[
        (named(name), "expected a plain file name")
        for name in ("CON", "aux", "nul.npz", "COM1.npz", "Lpt9.a.b")
    ],
    (named("Manifest.JSON"), "a name that is taken in any case"),
    (named("ARRAYS.npz"), "a name that is taken in any case"),
    (files(big={"sha256": SHA, "bytes": 1 << 60}), r"bytes of big is \d+; expected"),
    (
        files(**{f"f{i}": {"sha256": SHA, "bytes": 1 << 32} for i in range(3)}),
        r"declares \d+ bytes, more than",
    ),
    (files(odd={"sha256": SHA, "bytes": -1}), "bytes of odd is -1"),
    (files(odd={"sha256": SHA, "bytes": True}), "bytes of odd is True"),
    (files(odd={"sha256": SHA, "bytes": 1.5}), "bytes of odd is 1.5"),
    (files(odd={"sha256": "../x", "bytes": 1}), "sha256 of odd is '../x'"),
    (files(odd={"sha256": SHA.replace("0", "G"), "bytes": 1}), "sha256 of odd is"),
    (files(odd={"sha256": SHA, "bytes": 10**4200}), "bytes of odd is 1000"),
    (files(odd={"sha256": "a" * 10**5, "bytes": 1}), "sha256 of odd is 'aaa"),
    (files(odd=None), "sha256 of odd is None"),
    (files(**{f"f{i}": {"sha256": SHA, "bytes": 1} for i in range(64)}), "1 to 64 files"),
    (lambda folder: edit_manifest(folder, files=[]), "1 to 64 files"),
    (lambda folder: edit_manifest(folder, files={}), "1 to 64 files"),
    (lambda folder: edit_manifest(folder, name="../hwgpt-s"), "no name of an artifact"),
    (lambda folder: edit_manifest(folder, name="hwgpt-s/../../x"), "no name of an artifact"),
    (lambda folder: edit_manifest(folder, name="hwgpt-s-device-../x"), "no name of an artifact"),
    (lambda folder: edit_manifest(folder, name=".hwgpt-blackbox"), "no name of an artifact"),
    (lambda folder: edit_manifest(folder, name=["hwgpt-s"]), "no name of an artifact"),
    (lambda folder: edit_manifest(folder, name="hwgpt-s-tabular"), "be of space 's' and kind 'tab"),
    (lambda folder: edit_manifest(folder, name="hwgpt-m"), "must be of space 'm'"),
    (lambda folder: edit_manifest(folder, space="m"), "must be of space 's'"),
    (lambda folder: edit_manifest(folder, schema_version=SCHEMA_VERSION + 1), "update with: pip"),
    (lambda folder: edit_manifest(folder, schema_version="1"), "schema_version '1'"),
    (lambda folder: edit_manifest(folder, schema_version=int("1" * 4000)), "schema_version 1111"),
    (lambda folder: edit_manifest(folder, kind="pickle"), "of kind 'pickle'"),
    (raw(b""), "cannot be read"),
    (raw(b"\xff\xfe"), "cannot be read"),
    (raw(b"[" * 100_000), "cannot be read"),
    (raw(b'{"a":' + b"9" * 10_000 + b"}"), "cannot be read"),
    (raw(b"[]"), "holds a list"),
    (raw(b" " * (5 << 20)), "larger than"),
]


@pytest.mark.parametrize(("change", "message"), MANIFESTS)
def test_a_manifest_that_means_harm(
    change: Callable[[Path], Any],
    message: str,
    earlier: str,
    second: Path,
    tmp_path: Path,
    isolated_home: Path,
) -> None:
    change(second / SURROGATE)
    with (
        only_the_cache_is_written(tmp_path, isolated_home),
        pytest.raises(DataError, match=message) as error,
    ):
        pull(str(second / SURROGATE), progress=False)
    assert str(second / SURROGATE) in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1000
    assert_in_use(earlier)


def test_a_manifest_of_another_artifact(earlier: str, second: Path) -> None:
    (second / SURROGATE).rename(second / "hwgpt-m")
    with pytest.raises(DataError, match="is of 'hwgpt-s', and 'hwgpt-m' was asked for"):
        pull("hwgpt-m", repository=str(second), progress=False)
    (second / TABLE).rename(second / SURROGATE)
    with pytest.raises(DataError, match="is of 'hwgpt-s-tabular', and 'hwgpt-s' was asked for"):
        pull(SURROGATE, repository=str(second), progress=False)
    assert_in_use(earlier)


# -- contents: every checksum is right, as whoever means harm can compute them too -------------


def bomb(size: int) -> bytes:
    """An npz that unpacks to ``size`` bytes."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (size // 8,)}
    )
    packed = io.BytesIO()
    with (
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("levels.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(size >> 20):
            member.write(bytes(1 << 20))
    return packed.getvalue()


def pickled() -> bytes:
    packed = io.BytesIO()
    np.savez(packed, levels=np.array([print], dtype=object), allow_pickle=True)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            lambda: bomb(300 << 20),
            r"hwgpt-s/arrays.npz unpacks to \d+ bytes .*; nothing was installed",
        ),
        (pickled, "expected numbers|cannot be read"),
        (lambda: b"PK\x03\x04 no zip", "cannot be read"),
        (lambda: b"", "cannot be read"),
    ],
)
def test_arrays_that_mean_harm(
    content: Callable[[], bytes], message: str, earlier: str, second: Path, tmp_path: Path
) -> None:
    (second / SURROGATE / "arrays.npz").write_bytes(content())
    rewrite_manifest(second / SURROGATE)
    with only_the_cache_is_written(tmp_path), pytest.raises(DataError, match=message):
        pull(str(second / SURROGATE), progress=False)
    assert_in_use(earlier)


@pytest.mark.parametrize("file", ["architectures.npz", "objectives_evaluations.npy"])
def test_a_table_that_means_harm(file: str, second: Path) -> None:
    (second / TABLE / file).write_bytes(b"\x80\x04nonsense" * 100)
    rewrite_manifest(second / TABLE)
    with pytest.raises(DataError, match=r"no sound table|is no npy file"):
        pull(str(second / TABLE), progress=False)
    assert cached() == []
    assert not (home() / TABLE).exists()


def test_a_listed_file_that_the_artifact_does_not_need_is_kept_and_never_opened(
    second: Path,
) -> None:
    (second / SURROGATE / "notes.txt").write_text("mine")
    rewrite_manifest(second / SURROGATE)
    version = pull(str(second / SURROGATE), progress=False)
    assert (version.path / "notes.txt").read_text() == "mine"
    assert (version.path / "notes.txt").stat().st_mode & 0o111 == 0


def test_what_is_damaged_or_hostile_is_not_pushed(first: Path, tmp_path: Path) -> None:
    (first / SURROGATE / "arrays.npz").write_bytes(b"x")
    with pytest.raises(DataError, match="is not the file of its manifest"):
        push(first / SURROGATE, str(tmp_path / "target"), progress=False)
    edit_manifest(first / TABLE, name="../escaped")
    with pytest.raises(HWGPTError):
        push(first / TABLE, str(tmp_path / "target"), progress=False)
    assert not (tmp_path / "target").exists()


def test_links_are_not_pushed(first: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    (first / SURROGATE / "secret").symlink_to(tmp_path / "secret")
    rewrite_manifest(first / SURROGATE)
    with pytest.raises(TransferError, match=r"'secret' is a symbolic link; refused"):
        push(first / SURROGATE, str(tmp_path / "target"), progress=False)
    assert not (tmp_path / "target").exists()


def test_a_link_in_the_place_of_what_was_kept_is_not_written_through(
    first: Path, second: Path, tmp_path: Path
) -> None:
    pull(str(first / SURROGATE), progress=False)
    listed = json.loads((second / SURROGATE / "manifest.json").read_text())["files"]
    partial = home() / ".hwgpt-blackbox" / SURROGATE / "partial"
    partial.mkdir()
    (tmp_path / "thesis.tex").write_text("mine")
    kept = partial / f"{listed['arrays.npz']['sha256'][:16]}-arrays.npz"
    kept.symlink_to(tmp_path / "thesis.tex")
    assert pull(str(second / SURROGATE), progress=False).active
    assert (tmp_path / "thesis.tex").read_text() == "mine"


@pytest.mark.parametrize("token", ["", "a b", "a\r\nX-Evil: 1", "tökén"])
def test_a_token_that_is_none_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InputError, match=r"^token is empty, or holds blanks") as error:
        pull(SURROGATE, token=token, progress=False)
    assert not token or token not in str(error.value)


@pytest.mark.parametrize("revision", ["", "main\r\nX-Evil: 1", 5, b"main"])
def test_a_revision_that_is_none(revision: Any) -> None:
    with pytest.raises(InputError, match="expected a branch, tag, commit or digest") as error:
        pull(SURROGATE, revision=revision, progress=False)
    assert repr(revision) in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repository": 5}, "repository is 5; expected text"),
        ({"repository": ""}, "is no address"),
        ({"endpoint": 5}, "endpoint is 5; expected text"),
        ({"options": 5}, "options is 5; expected a mapping"),
        ({"home": 5}, "home is 5; expected a folder"),
        ({"token": 5}, "token is of type int; expected a string"),
        ({"token": b"hf_secret"}, "token is of type bytes"),
    ],
)
def test_arguments_of_another_type(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        pull(SURROGATE, progress=False, **options)
    assert "secret" not in str(error.value)


def test_names_that_only_resemble_those_of_devices_are_files(second: Path) -> None:
    for name in ("console.txt", "nullable", "com", "COM10.npz"):
        (second / SURROGATE / name).write_text("x")
    rewrite_manifest(second / SURROGATE)
    assert pull(str(second / SURROGATE), progress=False).active


# -- disks -----------------------------------------------------------------------------------


def full(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Have the disk be full after so many bytes of copies."""
    left = after
    real = shutil.copyfile

    def copyfile(source: Any, target: Any, **options: Any) -> Any:
        nonlocal left
        content = Path(source).read_bytes()
        left -= len(content)
        if left < 0:
            Path(target).write_bytes(content[:left])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(source, target, **options)

    monkeypatch.setattr(shutil, "copyfile", copyfile)


@pytest.mark.parametrize("source", ["folder", "hub"])  # fetched into place, and by the cache
def test_a_disk_that_fills_up_leaves_the_earlier_version(
    source: str,
    earlier: str,
    second: Path,
    hub: Hub,
    faulty: FaultyHost,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = sum(path.stat().st_size for path in (second / SURROGATE).iterdir())
    hub.repository(REPO).commit(tree_of(second))
    address = URL if source == "hub" else str(second / SURROGATE)
    with monkeypatch.context() as patch:
        full(patch, after=size // 2)
        with pytest.raises(OutputError, match=r"No space left.*make room.*--home"):
            pull(address, progress=False)
    # A full disk is not left full.
    assert len(list(home().rglob("arrays.npz"))) == 1
    assert_in_use(earlier)
    assert pull(address, progress=False).active


def test_a_disk_that_is_too_small_is_seen_before_anything_is_fetched(
    earlier: str, second: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
        with pytest.raises(OutputError, match=r"MB are needed, 0 MB are free; make room"):
            pull(str(second / SURROGATE), progress=False)
    assert_in_use(earlier)


def test_a_real_disk_that_is_full(second: Path, tmp_path: Path) -> None:
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        with pytest.raises(OutputError, match="make room"):
            pull(str(second / SURROGATE), home=disk, progress=False)
        assert cached(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_home_that_cannot_be_written(first: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="could not be written"):
        pull(str(first / SURROGATE), home=tmp_path / "file", progress=False)


# -- any manifest ----------------------------------------------------------------------------


def test_mutated_manifests_give_an_error_of_ours_or_a_listing_that_is_safe(first: Path) -> None:
    content = (first / SURROGATE / "manifest.json").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(1000):
        mutated = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            mutated[rng.integers(len(mutated))] = rng.integers(256)
        try:
            listing = read_listing(bytes(mutated), "there")
        except DataError:
            continue
        for name in listing.files:
            assert (Path("/cache") / name).resolve().parent == Path("/cache")
        assert listing.name.startswith("hwgpt-")
