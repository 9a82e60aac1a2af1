"""The table of methods: names, lazy imports, extras."""

from __future__ import annotations

import subprocess
import sys

import pytest
from syne_tune.config_space import choice

from hwgpt_blackbox import optimizers
from hwgpt_blackbox.errors import InputError, MissingExtraError
from hwgpt_blackbox.optimizers import METHODS, Method, make_scheduler


def test_the_eight_methods_of_the_paper() -> None:
    assert list(METHODS) == ["RS", "RE", "NSGA2", "LS", "RSBO", "LSBO", "EHVI", "MOASHA"]
    assert set(METHODS) < set(optimizers.__all__)
    assert optimizers.RS is METHODS["RS"].load()


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'SMAC'.*EHVI"):
        make_scheduler("SMAC", {}, ["a", "b"], random_seed=0)
    with pytest.raises(AttributeError, match="SMAC"):
        optimizers.SMAC  # noqa: B018


def test_missing_dependency_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymoo", None)
    for name in [name for name in sys.modules if name.startswith("pymoo.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "hwgpt_blackbox.optimizers._nsga2", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install hwgpt-blackbox\[optimizers\]"):
        make_scheduler("NSGA2", {}, ["a", "b"], random_seed=0)


def test_a_broken_module_of_ours_is_not_blamed_on_an_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="_absent") as caught:
        Method("hwgpt_blackbox.optimizers._absent:X", extra="bayesian").load()
    assert not isinstance(caught.value, MissingExtraError)


def test_importing_the_methods_imports_neither_torch_nor_pymoo() -> None:
    code = (
        "import sys, hwgpt_blackbox.optimizers as o\n"
        "o.RS, o.RE, o.LS, o.MOASHA\n"
        "print([m for m in ('torch', 'botorch', 'pymoo') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_options_of_a_base_class_are_options_of_the_method() -> None:
    pytest.importorskip("botorch")
    space, metrics = {"x": choice([1, 2])}, ["a", "b"]
    scheduler = make_scheduler("RSBO", space, metrics, random_seed=0, rho=0.1, kernel="plain")
    assert scheduler.searcher.rho == 0.1
    with pytest.raises(InputError, match=r"\['size'\].*rho.*initial.*kernel"):
        make_scheduler("RSBO", space, metrics, random_seed=0, size=3)
