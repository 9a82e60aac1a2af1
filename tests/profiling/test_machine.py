"""What a machine says of itself, and devices that are not there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hwgpt_blackbox.errors import InputError, MissingExtraError
from hwgpt_blackbox.profiling import machine
from hwgpt_blackbox.profiling.machine import Place, find_place, threads

torch = pytest.importorskip("torch")


def test_facts_and_state_of_this_machine_are_plain_values() -> None:
    place = find_place("cpu")
    facts, state = place.facts(), place.state()
    assert facts["processor"] and facts["torch"] == torch.__version__
    assert set(state) == {"load_average", "temperature", "clock", "system"}
    assert all(v is None or isinstance(v, str | int | float) for v in {**facts, **state}.values())


def test_a_gpu_that_torch_does_not_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="--on cpu, or install torch for your GPU"):
        find_place("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_place("cuda:1") == Place("cuda", 1)
    with pytest.raises(InputError, match="torch sees 2 GPUs"):
        find_place("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cpu:0", "", "cuda:1\n"])
def test_other_words_are_no_device(name: str) -> None:
    with pytest.raises(InputError, match="expected cpu, cuda or cuda:<number>"):
        find_place(name)


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"hwgpt-blackbox\[profiling\]"):
        find_place("cpu")


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_the_limit_of_a_container_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   2000 kB\n")
    monkeypatch.setattr(machine, "_FREE_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    assert Place("cpu").free_memory() == 2_048_000
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert Place("cpu").free_memory() == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert Place("cpu").free_memory() == 2_048_000
