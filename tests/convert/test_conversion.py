"""From a checkout to artifacts on disk."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import interruptible
from syne_tune.blackbox_repository import load_blackbox
from syne_tune.blackbox_repository.blackbox_tabular import deserialize
from synthetic_checkout import STATS, Source, make_source

import hwgpt_blackbox
from hwgpt_blackbox.cli import main
from hwgpt_blackbox.convert import build, convert
from hwgpt_blackbox.convert import write_table as table_module
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import METRICS, PREFIX
from hwgpt_blackbox.errors import DataError, InputError, OutputError
from hwgpt_blackbox.storage.manifest import write_manifest
from hwgpt_blackbox.storage.surrogates import read_surrogate

ROOT = Path(hwgpt_blackbox.__file__).parent.parent
SOURCES = {space: make_source(space, n=120) for space in ("s", "m", "l")}
SOURCES["m"] = make_source("m", n=120, missing=0.5)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sources")
    return {space: source.write(folder / space) for space, source in SOURCES.items()}


@pytest.fixture
def root(roots: dict[str, Path]) -> Path:
    return roots["s"]


@pytest.fixture
def no_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit that takes no time, for tests of what happens around it."""

    def fit(data: Any, folder: Path, *, published: Any, progress: Any) -> None:
        progress("nothing")
        (folder / "arrays.npz").write_bytes(b"")
        write_manifest(folder, {"kind": "surrogate", "name": folder.name, "space": "s"})

    monkeypatch.setattr("hwgpt_blackbox.convert.fitting.whole_space.fit_surrogate", fit)


def expected_objectives(source: Source, device: str) -> np.ndarray:
    """What the table must hold, straight from the dict: shape (n, 50, objectives)."""
    out = np.empty((len(source.stats), 50, len(METRICS)))
    for i, entry in enumerate(source.stats.values()):
        latency, energy = entry[device]["latencies"], entry[device]["energies"]
        for k in range(50):
            wh = energy[k] * 1000.0 if isinstance(energy, list) else energy
            repeats = np.resize(latency, 10)
            out[i, k] = [
                entry.get("perplexity", np.nan),
                1.0 - 0.4,
                latency[k % len(latency)],
                wh,
                entry["float16_memory"],
                entry["bfloat16_memory"],
                entry["flops"],
                entry["params"],
                CostModel().seconds(np.mean(repeats)),
            ]
    return out


@pytest.mark.parametrize("space", SOURCES)
def test_unmodified_syne_tune_loads_the_table_and_finds_the_source(
    space: str, roots: dict[str, Path], tmp_path: Path
) -> None:
    if space == "m":
        pytest.importorskip("torch")
    source = SOURCES[space]
    (folder,) = convert(roots[space], space, tmp_path, surrogate=False, progress=False)
    assert folder == tmp_path / f"hwgpt-{space}-tabular"
    boxes = deserialize(str(folder))
    assert list(boxes) == list(DEVICES)
    configurations = Encoding(source.space).decode(source.matrix)
    for device, box in boxes.items():
        # Accuracy was measured where perplexity was: on half of m, so its table has no error.
        names = [name for name in METRICS if name != "error" or space != "m"]
        assert box.objectives_names == [PREFIX + name for name in names]
        expected = expected_objectives(source, device)
        expected = expected[..., [list(METRICS).index(name) for name in names]]
        values = box.objectives_evaluations[:, :, 0, :]
        filled = np.isnan(expected)
        assert filled.any() == (space == "m")
        assert (values[~filled] == expected[~filled]).all()
        assert np.isfinite(values).all()
        assert box.objectives_evaluations.dtype == np.float64
    assert list(box.fidelity_space) == ["repeats"]
    assert box.fidelity_values.tolist() == [1]
    assert box.configuration_space == source.space.config_space()
    assert box.hyperparameters.to_dict("records") == configurations
    answer = box.objective_function(configurations[7], seed=3)
    np.testing.assert_array_equal(answer[0], box.objectives_evaluations[7, 3, 0])


def test_side_file_and_manifest_say_what_was_filled(roots: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    source = SOURCES["m"]
    (folder,) = convert(roots["m"], "m", tmp_path, surrogate=False, progress=False)
    absent = np.array(["perplexity" not in entry for entry in source.stats.values()])
    with np.load(folder / "side.npz", allow_pickle=False) as side:
        np.testing.assert_array_equal(side["perplexity_filled"], absent)
        np.testing.assert_array_equal(np.isnan(side["accuracy"]), absent)
        assert set(side["accuracy"][~absent]) == {0.4}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["kind"] == "tabular"
    assert manifest["name"] == "hwgpt-m-tabular"
    assert manifest["units"]["energy"] == "Wh"
    assert manifest["counts"]["perplexity_filled"] == absent.sum()
    assert manifest["counts"]["latency_repeats"]["cpu_amd_7513"] == 1
    assert manifest["perplexity"]["log_offset"] == pytest.approx(0.002, abs=1e-4)
    assert STATS.format("m") in manifest["source"]["files"]
    others = {p.name for p in folder.iterdir()} - {"manifest.json"}
    assert set(manifest["files"]) == others


def test_both_artifacts_load_by_name(roots: dict[str, Path], artifacts: Path, root: Path) -> None:
    folders = convert(root, "s", progress=False)
    assert [f.name for f in folders] == ["hwgpt-s-tabular", "hwgpt-s"]
    assert all(f.parent == artifacts for f in folders)
    table = load_blackbox("hwgpt-s-tabular")["rtx2080"]
    source = SOURCES["s"]
    configuration = Encoding(source.space).decode_one(source.matrix[3])
    answer = table.objective_function(configuration, seed=12)
    assert (answer[0] == expected_objectives(source, "rtx2080")[3, 12]).all()
    assert read_surrogate(folders[1]).space.name == "s"
    assert len(load_blackbox("hwgpt-s")["rtx2080"].objective_function(configuration)) == 1


@pytest.mark.parametrize("space", ["s", "m"])
def test_the_fit_gets_the_published_network_where_perplexities_are_missing(
    space: str, roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if space == "m":
        pytest.importorskip("torch")
    given: list[Any] = []

    def fit(data: Any, folder: Path, *, published: Any, progress: Any) -> None:
        given.append((data, published))

    monkeypatch.setattr("hwgpt_blackbox.convert.fitting.whole_space.fit_surrogate", fit)
    convert(roots[space], space, tmp_path, tabular=False, progress=False)
    ((data, published),) = given
    assert (published is None) == (space == "s")
    if published is not None:
        measured = ~np.isnan(data.perplexity)
        predicted = published(data.matrix[measured])
        np.testing.assert_allclose(predicted, data.perplexity[measured], rtol=1e-3)


def test_a_second_conversion_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    content = []
    for out in (tmp_path / "a", tmp_path / "b"):
        manifests = [
            json.loads((folder / "manifest.json").read_text())["files"]
            for folder in convert(root, "s", out, surrogate=False, progress=False)
        ]
        content.append([{k: v["sha256"] for k, v in m.items()} for m in manifests])
    first, second = content
    for a, b in zip(first, second, strict=True):
        assert {k for k in a if a[k] != b[k]} <= {"hyperparameters.parquet"}


# -- bad input -------------------------------------------------------------------------------


def test_unknown_space_and_nothing_to_do(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown space 'xl'"):
        convert(root, "xl", tmp_path)
    with pytest.raises(InputError, match="no measurements of space 's-wide'"):
        convert(root, "s-wide", tmp_path)
    with pytest.raises(InputError, match="at least one"):
        convert(root, "s", tmp_path, tabular=False, surrogate=False)


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


class Hostile:
    def __reduce__(self) -> Any:
        return os.system, (f"touch {os.environ['HWGPT_TEST_MARK']}",)


def test_a_hostile_or_truncated_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWGPT_TEST_MARK", str(tmp_path / "mark"))
    root = SOURCES["s"].write(tmp_path / "source")
    stats = root / STATS.format("s")
    good = stats.read_bytes()
    for bad in (pickle.dumps({"gpt": Hostile()}), *(good[: len(good) * k // 9] for k in range(9))):
        stats.write_bytes(bad)
        with pytest.raises(DataError, match=r"stats\.pkl"):
            convert(root, "s", tmp_path / "out", progress=False)
        assert nothing_in(tmp_path / "out")
    assert not (tmp_path / "mark").exists()


def test_too_few_architectures_for_a_fit(tmp_path: Path) -> None:
    root = make_source("s", n=12).write(tmp_path / "source")
    with pytest.raises(DataError):
        convert(root, "s", tmp_path / "out", progress=False)
    assert nothing_in(tmp_path / "out")


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device"), MemoryError()]
)
@pytest.mark.parametrize("where", ["_write_objectives", "write_manifest", "_write_files"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_half_way_leaves_what_was_there(
    error: BaseException,
    where: str,
    overwrite: bool,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, old = tmp_path / "hwgpt-s-tabular", '{"schema_version": 1, "files": {}}'
    if overwrite:
        target.mkdir()
        (target / "manifest.json").write_text(old)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise error

    monkeypatch.setattr(table_module, where, fail)
    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected) as caught:
        convert(root, "s", tmp_path, surrogate=False, overwrite=overwrite, progress=False)
    if isinstance(error, OSError):
        assert "No space left" in str(caught.value)
        assert "make room" in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [target.name] * overwrite
    if overwrite:
        assert (target / "manifest.json").read_text() == old


def test_a_failed_fit_leaves_no_table_either(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(data: Any, folder: Path, **kwargs: Any) -> None:
        (folder / "arrays.npz").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hwgpt_blackbox.convert.fitting.whole_space.fit_surrogate", fail)
    with pytest.raises(OutputError, match="No space left"):
        convert(root, "s", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_really_full_disk(root: Path, tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk."""
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6));"
        "from hwgpt_blackbox.cli import main;"
        f"sys.exit(main(['convert', {str(root)!r}, '--space', 's', '--out', "
        f"{str(tmp_path / 'out')!r}, '--quiet']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 2
    assert "could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert nothing_in(tmp_path / "out")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"]
)
def test_a_signal_half_way(number: int, code: int, root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = (
        "import sys, time\n"
        "from hwgpt_blackbox.convert import conversion\n"
        "def wait(data, path, **rest):\n"
        "    (path / 'objectives_evaluations.npy').write_text('half')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "conversion.write_table = wait\n"
        "from hwgpt_blackbox.cli import main\n"
        f"sys.exit(main(['convert', {str(root)!r}, '--space', 's', '--out', {str(out)!r}]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=interruptible,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert any(out.iterdir())
    time.sleep(0.1)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert nothing_in(out)


def test_sigterm_is_as_before_afterwards(root: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    convert(root, "s", tmp_path, surrogate=False, progress=False)
    assert signal.getsignal(signal.SIGTERM) is before


def test_callers_keep_their_data(root: Path, tmp_path: Path) -> None:
    files = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    convert(root, "s", tmp_path, surrogate=False, progress=False)
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == files


# -- the command -----------------------------------------------------------------------------


def test_the_command_says_where_and_how(
    root: Path, tmp_path: Path, no_fit: None, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["convert", str(root), "--space", "s", "--out", str(tmp_path)]
    assert main([*arguments, "--only", "tabular"]) == 0
    shown = capsys.readouterr()
    assert f"wrote {tmp_path / 'hwgpt-s-tabular'}" in shown.out
    assert f"export HWGPT_BLACKBOX_HOME={tmp_path}" in shown.out
    assert 'load_blackbox("hwgpt-s-tabular")' in shown.out
    assert "step" in shown.err
    assert main([*arguments, "--quiet"]) == 2
    shown = capsys.readouterr()
    assert "hwgpt-s-tabular exists; replace it with --overwrite" in shown.err
    assert not (tmp_path / "hwgpt-s").exists()
    assert main([*arguments, "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hwgpt-s", "hwgpt-s-tabular"]


def test_the_command_in_the_default_home(
    root: Path, artifacts: Path, no_fit: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(root), "--space", "s", "--only", "surrogate", "--quiet"]) == 0
    assert "export" not in capsys.readouterr().out
    assert (artifacts / "hwgpt-s" / "manifest.json").is_file()


def test_the_command_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(tmp_path), "--space", "s", "--quiet"]) == 2
    assert "gpt_s/stats.pkl" in capsys.readouterr().err
    assert main(["convert", str(tmp_path), "--space", "xxl", "--quiet"]) == 2
    assert "unknown space 'xxl'; known: s, m, l" in capsys.readouterr().err


def test_progress_names_every_step(
    root: Path, tmp_path: Path, no_fit: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import contextlib

    steps: list[str] = []
    monkeypatch.setattr(build, "progress_bar", lambda shown: contextlib.nullcontext(steps.append))
    convert(root, "s", tmp_path)
    assert STATS.format("s") in steps
    assert "table: a100" in steps
    assert any(step.startswith("fit: ") for step in steps)


def test_no_bar_before_the_first_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", str(tmp_path), "--space", "s"]) == 2
    shown = capsys.readouterr().err
    assert "gpt_s/stats.pkl" in shown
    assert "0step" not in shown
