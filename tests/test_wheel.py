"""The wheel: what it holds, and that it works alone with the core requirements."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from helpers import Run

ROOT = Path(__file__).parents[1]
MAX_ARTIFACT_BYTES = 2 << 20

OPTIONAL = ("torch", "botorch", "pymoo", "moocore", "matplotlib")

USE = """
import os, sys, importlib.util
assert not any(importlib.util.find_spec(name) for name in {optional!r}), "not alone"
from syne_tune.blackbox_repository import BlackboxRepositoryBackend, blackbox_list, load_blackbox
import hwgpt_blackbox
assert "hwgpt-s-tabular" in blackbox_list()
for space in "sml":
    blackbox = load_blackbox(f"hwgpt-{{space}}")["rtx2080"]
    configuration = {{k: v.sample() for k, v in blackbox.configuration_space.items()}}
    assert (blackbox(configuration, seed=0) > 0).all()
backend = BlackboxRepositoryBackend("hwgpt-s", "metric_elapsed_time", dataset="a100", seed=0)
assert backend.blackbox.objectives_names[0] == "metric_perplexity"
print(hwgpt_blackbox.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    tree = folder / "tree"  # a copy: a build leaves files that the next one would pick up
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, tree)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "hwgpt_blackbox", tree / "hwgpt_blackbox", ignore=ignore)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(tree)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_one_top_level_name_and_small_artifacts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        infos = archive.infolist()
    tops = {info.filename.split("/")[0] for info in infos}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"hwgpt_blackbox"}
    names = {info.filename for info in infos}
    assert "hwgpt_blackbox/py.typed" in names
    page = {
        name for name in names if name.startswith("hwgpt_blackbox/experiments/report/templates/")
    }
    assert {Path(name).name for name in page} == {
        *("page.css", "page.html", "page.js", "parts.html"),
        *("report.js", "explorer.js"),
    }
    artifacts = [info for info in infos if info.filename.startswith("hwgpt_blackbox/artifacts/")]
    assert {info.filename.split("/")[2] for info in artifacts} == {"hwgpt-s", "hwgpt-m", "hwgpt-l"}
    assert sum(info.file_size for info in artifacts) <= MAX_ARTIFACT_BYTES
    licences = [name for name in names if name.endswith(("/LICENSE", "/NOTICE"))]
    assert len(licences) == 2
    assert not [name for name in names if name.endswith((".pkl", ".pt", ".pth"))]


def test_it_answers_where_no_optional_library_can_be_imported(
    wheel: Path, tmp_path: Path, run_python: Run
) -> None:
    """As after installing the wheel alone, without the minute that this takes."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = f"""
import importlib.abc, importlib.util, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
importlib.util.find_spec = lambda name, find=importlib.util.find_spec: (
    None if name in {OPTIONAL!r} else find(name)
)
{USE.format(optional=OPTIONAL)}
"""
    assert run_python(code, PYTHONPATH=str(tmp_path)).stdout.startswith(str(tmp_path))


@pytest.mark.slow
def test_it_works_alone_in_an_empty_home(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*install, *constraints, str(wheel)], check=True)
    home = tmp_path / "home"
    home.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HWGPT", "HW_GPT", "PYTHON"))}
    done = subprocess.run(
        [str(python), "-c", USE.format(optional=OPTIONAL)],
        env={**env, "HOME": str(home), "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert str(environment) in done.stdout
    listed = subprocess.run(
        [str(environment / "bin" / "hwgpt-blackbox"), "list"],
        env={**env, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hwgpt-s-tabular" in listed.stdout
    assert list(home.iterdir()) == []
