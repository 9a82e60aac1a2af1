"""Threads and processes that query one blackbox get what one alone gets."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import Run, embedded, write_table

from hwgpt_blackbox.blackboxes.loading import load_all
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.blackboxes.table_blackbox import blackboxes_of
from hwgpt_blackbox.storage.measured_table import Table

THREADS = 8


@pytest.fixture(autouse=True)
def _switch_often() -> Iterator[None]:
    """Let threads take turns a thousand times more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module")
def table_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables") / "hwgpt-s-tabular"
    write_table(folder)
    return folder


KINDS: dict[str, Callable[[Path], Any]] = {
    "single": lambda folder: HWGPTBlackbox(embedded("s"), "rtx2080"),
    "repeats": lambda folder: HWGPTBlackbox(embedded("m"), "a100", fidelity="repeats"),
    "all": lambda folder: HWGPTBlackbox(embedded("s"), "all"),
    "without noise": lambda folder: HWGPTBlackbox(embedded("l"), "h100", noise=False),
    "table": lambda folder: blackboxes_of(Table.read(folder))["a40"],
    "table of all": lambda folder: blackboxes_of(Table.read(folder))["all"],
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def architectures(box: Any, size: int) -> np.ndarray:
    if hasattr(box, "table"):
        return box.table.matrix[np.arange(size) % len(box.table.matrix)]
    return np.asarray(box.encoding.sample(size, np.random.default_rng(0)))


def everything(box: Any, matrix: np.ndarray, part: slice) -> list[Any]:
    """All ways of asking for some rows."""
    answers = []
    for i, row in enumerate(matrix[part]):
        config = box.encoding.decode_one(row)
        answers += [box(config, seed=i % 5).tolist(), box(config, 1, i % 5)]
        answers.append(box.canonical_form(config))
    answers.append(box.expected_values(matrix[part]).tolist())
    if hasattr(box, "measurements") and box.levels == 1:
        answers.append(box.measurements(matrix[part], 3).tolist())
    return answers


def together(tasks: list[Callable[[], Any]]) -> list[Any]:
    """Results of tasks that begin at the same moment, each in a thread."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        barrier.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


@every_kind
def test_threads_get_what_one_alone_gets(kind: str, table_folder: Path) -> None:
    alone = KINDS[kind](table_folder)
    matrix = architectures(alone, 40)
    parts = [slice(i * 5, i * 5 + 5) for i in range(THREADS // 2)] + [slice(0, 40)] * 4
    expected = [everything(alone, matrix, part) for part in parts]
    for _ in range(3):  # a new one each time: what it builds at first use is built by all at once
        shared = KINDS[kind](table_folder)
        tasks = [partial(everything, shared, matrix, part) for part in parts]
        assert together(tasks) == expected


def test_draws_without_a_seed_are_shared_out_among_threads() -> None:
    # Together, threads get the draws that one would get, each once, in whatever order.
    config = HWGPTBlackbox(embedded("s"), "rtx2080").encoding.decode_one([0] * 27)

    def drawn(box: HWGPTBlackbox, size: int) -> list[float]:
        return [box(config)[0, 2] for _ in range(size)]

    alone, shared = (HWGPTBlackbox(embedded("s"), "rtx2080") for _ in range(2))
    alone._rng, shared._rng = np.random.default_rng(5), np.random.default_rng(5)
    parts = together([lambda: drawn(shared, 50)] * THREADS)
    assert sorted(chain.from_iterable(parts)) == sorted(drawn(alone, 50 * THREADS))


def test_levels_without_a_seed_are_of_one_session_in_every_thread() -> None:
    box = HWGPTBlackbox(embedded("s"), "rtx2080", fidelity="repeats")
    config = box.encoding.decode_one([0] * 27)
    for curves in together([lambda: [box(config).tolist() for _ in range(20)]] * THREADS):
        assert all(curve == box(config).tolist() for curve in curves)


# -- processes ---------------------------------------------------------------------------------


def answers_of(pickled: bytes, matrix: np.ndarray) -> list[Any]:
    """What a copy in this process answers."""
    return everything(pickle.loads(pickled), matrix, slice(0, 10))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_get_what_one_alone_gets(method: str, table_folder: Path) -> None:
    boxes = [make(table_folder) for make in KINDS.values()]
    tasks = [(pickle.dumps(box), architectures(box, 10)) for box in boxes]
    expected = [
        everything(box, matrix, slice(0, 10)) for box, (_, matrix) in zip(boxes, tasks, strict=True)
    ]
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.starmap(answers_of, tasks) == expected


def test_a_copy_goes_on_with_the_draws_of_the_original() -> None:
    # A pickled or forked blackbox without a seed repeats the original's draws: give seeds.
    box = HWGPTBlackbox(embedded("s"), "rtx2080")
    config = box.encoding.decode_one([0] * 27)
    box(config)
    copy = pickle.loads(pickle.dumps(box))
    assert [box(config)[0, 2] for _ in range(5)] == [copy(config)[0, 2] for _ in range(5)]


# -- loading -----------------------------------------------------------------------------------


def answers_of_name(name: str, matrix: np.ndarray) -> list[Any]:
    return everything(load_all(name)["a100"], matrix, slice(0, 3))


def test_threads_that_load_at_once_get_the_same(artifacts: Path) -> None:
    write_table(artifacts / "hwgpt-s-tabular")
    for name in ("hwgpt-s", "hwgpt-s-repeats", "hwgpt-s-tabular"):
        matrix = architectures(load_all(name)["a100"], 3)
        answers = together([partial(answers_of_name, name, matrix)] * 4)
        assert all(answer == answers[0] for answer in answers)


FIRST_LOAD = """
import json, sys, threading
sys.setswitchinterval(1e-5)
import hwgpt_blackbox
barrier, answers = threading.Barrier(4), [None] * 4

def work(i):
    barrier.wait()
    from syne_tune.blackbox_repository import blackbox_list, load_blackbox
    box = load_blackbox("hwgpt-s")["rtx2080"]
    config = box.encoding.decode_one([i % 2] * 27)
    answers[i] = [box(config, seed=1).tolist(), sum(n.startswith("hwgpt") for n in blackbox_list())]

threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
print(json.dumps(answers))
"""


def test_threads_that_import_syne_tune_and_load_at_once(run_python: Run) -> None:
    answers = json.loads(run_python(FIRST_LOAD).stdout)
    assert answers[:2] == answers[2:]
    assert answers[0] != answers[1]
    box = HWGPTBlackbox(embedded("s"), "rtx2080")
    for i in range(2):
        config = box.encoding.decode_one([i] * 27)
        assert answers[i] == [box(config, seed=1).tolist(), 9]
