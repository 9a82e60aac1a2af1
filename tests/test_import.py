"""What importing costs, and what it leaves alone."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

import hwgpt_blackbox

HEAVY = ("numpy", "pandas", "syne_tune", "torch", "botorch", "scipy", "matplotlib", "pymoo")

LOADED = """
import sys
{statement}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def loaded_by(run_python, statement: str) -> set[str]:
    """Top-level modules in memory after a statement in a fresh process."""
    done = run_python(LOADED.format(statement=statement), "-W", "error")
    assert done.stderr == ""
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy(run_python):
    assert not loaded_by(run_python, "import hwgpt_blackbox") & set(HEAVY)
    names = "from hwgpt_blackbox import CostModel, SPACES, register"
    assert not loaded_by(run_python, names) & {*HEAVY} - {"numpy"}


@pytest.mark.parametrize(
    "module",
    [
        "domain.spaces",
        "domain.devices",
        "domain.objectives",
        "storage.artifact_kinds",
        "storage.locations",
        "errors",
        "blackboxes.registration",
    ],
)
def test_tables_of_names_need_the_standard_library_only(run_python, module):
    assert not loaded_by(run_python, f"import hwgpt_blackbox.{module}") & set(HEAVY)


def test_prediction_needs_numpy_only(run_python):
    modules = (
        "domain.encoding",
        "domain.parameter_counts",
        "domain.evaluation_cost",
        "models.noise",
        "models.surrogate",
        "models.prediction",
        "storage.surrogates",
    )
    statement = "; ".join(f"import hwgpt_blackbox.{name}" for name in modules)
    loaded = loaded_by(run_python, statement)
    assert "numpy" in loaded
    assert not loaded & {*HEAVY} - {"numpy"}


def test_public_names_are_there_and_others_are_not():
    assert set(hwgpt_blackbox.__all__) <= set(dir(hwgpt_blackbox))
    for name in hwgpt_blackbox.__all__:
        assert getattr(hwgpt_blackbox, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hwgpt_blackbox.nothing  # noqa: B018
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", hwgpt_blackbox.__version__)


def test_the_core_neither_asserts_on_users_nor_prints_nor_shares_random_state():
    package = Path(hwgpt_blackbox.__file__).parent
    rooms = ("domain", "models", "storage", "blackboxes", "network", "plotting")
    for path in [
        *package.glob("*.py"),
        *(p for room in rooms for p in (package / room).glob("*.py")),
    ]:
        text = path.read_text()
        for forbidden in (r"^\s*assert\b", r"\bprint\(", r"np\.random\.(seed|rand|choice)\("):
            assert not re.search(forbidden, text, flags=re.M), (path, forbidden)
        if "pickle" in text:
            assert not re.search(r"^\s*(import|from) (c?pickle|dill|marshal|shelve)", text, re.M)


def test_reloading_the_package_keeps_everything_working():
    from syne_tune.blackbox_repository import blackbox_list, load_blackbox

    before = blackbox_list()
    importlib.reload(hwgpt_blackbox)
    importlib.reload(importlib.import_module("hwgpt_blackbox.blackboxes.registration"))
    importlib.reload(hwgpt_blackbox)
    assert blackbox_list() == before
    assert load_blackbox("hwgpt-s")["a100"].dataset == "a100"
