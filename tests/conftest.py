"""What every test gets: an empty home of its own. Helpers are in helpers.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT, Run, write_table
from hypothesis import HealthCheck, settings

from hwgpt_blackbox.storage.artifact_kinds import artifact_name

# Examples are the same in every run; `make test-all` takes the long profile.
_EVERYWHERE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", derandomize=True, max_examples=100, **_EVERYWHERE)
settings.register_profile("long", derandomize=True, max_examples=1000, **_EVERYWHERE)
settings.load_profile("quick")

PIP_CACHE = Path("~/.cache/pip").expanduser()
SOURCE_VARIABLE = "HW_GPT_BENCH"


@pytest.fixture(autouse=True)
def isolated_home(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty HOME, so that nobody's artifacts, results or settings take part in a test."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(home / "artifacts"))
    monkeypatch.setenv("SYNETUNE_FOLDER", str(home / "syne-tune"))
    monkeypatch.setenv("PIP_CACHE_DIR", str(PIP_CACHE))  # wheels are built without the network
    return home


@pytest.fixture
def artifacts(isolated_home: Path) -> Path:
    """``HWGPT_BLACKBOX_HOME`` of this test, an empty folder."""
    folder = isolated_home / "artifacts"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def source_data() -> Path:
    """A checkout of HW-GPT-Bench, named by ``HW_GPT_BENCH``; the test is skipped without one."""
    named = os.environ.get(SOURCE_VARIABLE)
    if not named:
        pytest.skip(f"{SOURCE_VARIABLE} is not set: it names a checkout of HW-GPT-Bench")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"{SOURCE_VARIABLE} is {named}, which is no folder")
    return folder


@pytest.fixture
def run_python(isolated_home: Path) -> Run:
    """Run Python code in a fresh process with the isolated home; return what it printed."""

    def run(
        code: str, *options: str, check: bool = True, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **variables}
        done = subprocess.run(
            [sys.executable, *options, "-c", code],
            capture_output=True,
            text=True,
            env=environment,
            cwd=isolated_home,
            timeout=120,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def table_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ``HWGPT_BLACKBOX_HOME`` with a small table of every space; do not write to it."""
    home = tmp_path_factory.mktemp("tables")
    for space in ("s", "m", "l"):
        write_table(home / artifact_name(space, tabular=True), space)
    return home
