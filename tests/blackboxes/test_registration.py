"""Syne Tune knows our names, and everything else of it is as it was."""

from __future__ import annotations

import json
import pickle
import tomllib
from pathlib import Path

import numpy as np
import pytest
from helpers import write_random_surrogate, write_table
from syne_tune.blackbox_repository import (
    BlackboxRepositoryBackend,
    blackbox_list,
    load_blackbox,
    repository,
)

import hwgpt_blackbox
from hwgpt_blackbox.blackboxes.registration import SYNE_TUNE
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.blackboxes.table_blackbox import TabularBlackbox
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.storage.artifact_kinds import BLACKBOXES

DATASETS = [*DEVICES, "all"]


@pytest.fixture
def no_download(monkeypatch):
    """Fail when Syne Tune would go to the network."""
    import huggingface_hub

    def fail(*args, **kwargs):
        raise AssertionError(f"downloads {args} {kwargs}")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    monkeypatch.setattr("socket.socket.connect", fail)


# -- our names ---------------------------------------------------------------------------------


def test_every_name_is_listed_once():
    listed = blackbox_list()
    assert [name for name in listed if name.startswith("hwgpt")] == list(BLACKBOXES)
    assert len(listed) == len(set(listed))
    assert "nasbench201" in listed


@pytest.mark.parametrize("name", [n for n, row in BLACKBOXES.items() if not row.tabular])
def test_surrogates_load_with_every_dataset(name, no_download):
    boxes = load_blackbox(name)
    assert list(boxes) == DATASETS
    for dataset, box in boxes.items():
        assert isinstance(box, HWGPTBlackbox)
        assert (box.space.name, box.dataset) == (name.split("-")[1], dataset)
        assert box.levels == (10 if name.endswith("repeats") else 1)
        assert box.noise


def test_a_table_that_is_here_loads_and_one_that_is_not_names_the_command(artifacts, no_download):
    write_table(artifacts / "hwgpt-s-tabular")
    boxes = load_blackbox("hwgpt-s-tabular")
    assert list(boxes) == DATASETS
    assert all(isinstance(box, TabularBlackbox) for box in boxes.values())
    with pytest.raises(MissingArtifactError, match="hwgpt-blackbox convert SOURCE --space m"):
        load_blackbox("hwgpt-m-tabular")


def test_arguments_of_load_blackbox_are_taken(no_download):
    for arguments in (
        {"local_files_only": True},
        {"force_download": True},
        {"yahpo_kwargs": {"a": 1}},
        {"custom_repo_id": repository.repo_id},
        {"max_workers": 2},
    ):
        assert list(load_blackbox("hwgpt-s", **arguments)) == DATASETS


def test_a_table_in_syne_tunes_own_folder_is_ours_too(tmp_path, monkeypatch, no_download):
    write_table(tmp_path / "hwgpt-s-tabular")
    monkeypatch.setattr(repository, "repository_path", tmp_path)
    monkeypatch.setenv("HWGPT_BLACKBOX_HOME", str(tmp_path))
    box = load_blackbox("hwgpt-s-tabular")["a100"]
    assert isinstance(box, TabularBlackbox)
    assert box.expected_values(box.all_configurations()).shape == (12, 9)


# -- registering -------------------------------------------------------------------------------


def test_registering_again_changes_nothing():
    names = ("snapshot_download", "deserialize_tabular", "deserialize_offline", "load_blackbox")
    before = [getattr(repository, name) for name in names]
    recipes = dict(repository.generate_blackbox_recipes)
    for _ in range(3):
        hwgpt_blackbox.register()
    assert [getattr(repository, name) for name in names] == before
    assert repository.generate_blackbox_recipes == recipes
    assert list(repository.generate_blackbox_recipes) == list(recipes)


# -- foreign names -----------------------------------------------------------------------------


def test_an_unknown_name_fails_as_before():
    for name in ("hwgpt", "hwgpt-xl", "hwgpt-s-wide", "HWGPT-S", "nothing"):
        with pytest.raises(AssertionError, match=f"Got {name} but only the following"):
            load_blackbox(name)


FOREIGN = """
import json
from pathlib import Path
from syne_tune.blackbox_repository import load_blackbox, repository

def record(name):
    def function(*args, **kwargs):
        calls.append((name, [str(a) for a in args], {k: str(v) for k, v in kwargs.items()}))
        return name
    return function

for name in ("snapshot_download", "deserialize_tabular", "deserialize_offline",
             "deserialize_pd1", "deserialize_hpob"):
    setattr(repository, name, record(name))
repository.repository_path = Path("repository").absolute()
(repository.repository_path / "fcnet").mkdir(parents=True)
(repository.repository_path / "fcnet" / "hyperparameters.parquet").touch()

def ask():
    answers = [
        load_blackbox("fcnet"),
        load_blackbox("nasbench201", custom_repo_id="a/b", local_files_only=True, token="t"),
        load_blackbox("pd1", force_download=True),
        load_blackbox("icml-deepar"),
        repository.snapshot_download("x/y", allow_patterns=["hwgpt-s/*"]),
        repository.snapshot_download(repo_id="x/y"),
        repository.deserialize_tabular("elsewhere/fcnet"),
    ]
    return answers, list(calls)

calls = []
without_us = ask()
import hwgpt_blackbox
calls.clear()
print(json.dumps([without_us, ask()]))
"""


def test_foreign_names_go_where_they_went_with_the_same_arguments(run_python):
    without_us, with_us = json.loads(run_python(FOREIGN).stdout)
    assert with_us == without_us
    answers, calls = with_us
    assert answers[0] == "deserialize_tabular"
    assert len(calls) == 4 * 2 + 3


def test_a_folder_of_our_name_elsewhere_is_read_as_what_it_is(tmp_path):
    # Only the folder that load_blackbox looks in stands for our blackboxes.
    write_table(tmp_path / "hwgpt-s-tabular", size=5)
    boxes = repository.deserialize_tabular(str(tmp_path / "hwgpt-s-tabular"))
    assert list(boxes) == list(DEVICES)
    assert len(boxes["a100"].hyperparameters) == 5


# -- other versions of Syne Tune ---------------------------------------------------------------

OTHER_VERSION = """
def load_blackbox(name, skip_if_present=True):
    return f"loaded {name}"
generate_blackbox_recipes = {"fcnet": object()}
"""
"""A repository module that lacks what ours extends, as that of Syne Tune 0.13."""

ASK = """
{first}
{second}
from syne_tune.blackbox_repository import load_blackbox
from syne_tune.blackbox_repository.repository import generate_blackbox_recipes
from hwgpt_blackbox.errors import MissingExtraError
hwgpt_blackbox.register()
assert list(generate_blackbox_recipes) == ["fcnet"]
assert load_blackbox("fcnet") == "loaded fcnet"
assert load_blackbox(name="fcnet", skip_if_present=False) == "loaded fcnet"
for ask in (lambda: load_blackbox("hwgpt-s"), lambda: load_blackbox(name="hwgpt-s")):
    try:
        ask()
    except MissingExtraError as error:
        print(error)
"""


@pytest.mark.parametrize("ours_first", [True, False])
def test_an_unknown_syne_tune_is_left_alone(run_python, tmp_path, ours_first):
    package = tmp_path / "other" / "syne_tune" / "blackbox_repository"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").write_text("from .repository import load_blackbox\n")
    (package / "repository.py").write_text(OTHER_VERSION)
    imports = ["import hwgpt_blackbox", "import syne_tune.blackbox_repository"]
    first, second = imports if ours_first else reversed(imports)
    path = f"import sys; sys.path.insert(0, {str(tmp_path / 'other')!r})"
    done = run_python(path + ASK.format(first=first, second=second))
    assert (
        done.stdout.splitlines()
        == [
            "hwgpt-s cannot be loaded with this version of Syne Tune; install a known one: "
            f"pip install '{SYNE_TUNE}'"
        ]
        * 2
    )


def test_the_versions_of_syne_tune_that_are_named_are_those_admitted():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    assert SYNE_TUNE in project["project"]["dependencies"]


# -- fresh processes ---------------------------------------------------------------------------

BOUND_BEFORE = """
from syne_tune.blackbox_repository import BlackboxRepositoryBackend, blackbox_list, load_blackbox
from syne_tune.blackbox_repository.repository import load_blackbox as same
assert "hwgpt-s" not in blackbox_list()
import hwgpt_blackbox
assert "hwgpt-s" in blackbox_list()
boxes = load_blackbox("hwgpt-s")
assert same("hwgpt-m-repeats")["all"].levels == 10
backend = BlackboxRepositoryBackend("hwgpt-s", "metric_elapsed_time", dataset="rtx2080", seed=0)
assert backend.blackbox.dataset == "rtx2080"
assert type(backend) is BlackboxRepositoryBackend
print(*boxes)
"""


def test_names_bound_before_our_import_work(run_python):
    assert run_python(BOUND_BEFORE).stdout.split() == DATASETS


SILENT = """
import sys
import logging, socket, warnings
def refuse(*args, **kwargs):
    raise OSError("no network here")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
class Listener(logging.Handler):
    def emit(self, record):
        print("LOGGED", record.name, record.getMessage())
import syne_tune.blackbox_repository as st
logging.getLogger().addHandler(Listener())
logging.getLogger().setLevel(logging.DEBUG)
warnings.resetwarnings()
warnings.simplefilter("error")
import hwgpt_blackbox
names = [n for n in st.blackbox_list() if n.startswith("hwgpt") and "tabular" not in n]
assert len(names) == 6
for name in names:
    boxes = st.load_blackbox(name)
    for dataset in ("rtx2080", "all"):
        box = boxes[dataset]
        config = {k: d.sample() for k, d in box.configuration_space.items()}
        assert box(config, seed=0).shape == (box.levels, len(box.objectives_names))
        box(config)
        box.expected_values([config])
        box.hyperparameter_objectives_values()
hwgpt_blackbox.load("l", "all", noise=False)
"""


def test_an_empty_home_without_network_is_enough_and_nothing_is_said(run_python, isolated_home):
    done = run_python(SILENT)
    assert done.stdout == ""
    assert done.stderr == ""
    assert list(isolated_home.rglob("*")) == []


# -- the backend of Syne Tune ------------------------------------------------------------------

RELOAD = """
import json, pickle
import hwgpt_blackbox
answers = []
for backend, row in pickle.load(open("backends.pkl", "rb")):
    box = backend.blackbox
    values = box(box.encoding.decode_one(row), seed=7).tolist()
    answers.append([type(backend).__name__, box.dataset, values])
print(json.dumps(answers))
"""


def test_pickled_backends_reload_in_a_fresh_process(run_python, isolated_home, artifacts):
    write_table(artifacts / "hwgpt-s-tabular", repeats=8)
    backends, answers = [], []
    for name in ("hwgpt-s", "hwgpt-m-repeats", "hwgpt-s-tabular"):
        backend = BlackboxRepositoryBackend(name, "metric_elapsed_time", dataset="a40", seed=0)
        box = backend.blackbox
        row = box.table.matrix[0] if name.endswith("tabular") else [0] * box.encoding.num_columns
        values = box(box.encoding.decode_one(row), seed=7).tolist()
        assert len(pickle.dumps(backend)) < 2000  # by name, without data
        backends.append((backend, list(map(int, row))))
        answers.append(["BlackboxRepositoryBackend", "a40", values])
    (isolated_home / "backends.pkl").write_bytes(pickle.dumps(backends))
    assert json.loads(run_python(RELOAD).stdout) == answers


def test_the_users_artifact_is_what_load_blackbox_gives(artifacts):
    surrogate = write_random_surrogate(artifacts / "hwgpt-s", seed=5)
    box = load_blackbox("hwgpt-s")["a100"]
    matrix = box.encoding.sample(2, np.random.default_rng(0))
    own = HWGPTBlackbox(surrogate, "a100").expected_values(matrix)
    np.testing.assert_array_equal(box.expected_values(matrix), own)


def test_the_module_that_touches_syne_tune_is_one():
    package = Path(hwgpt_blackbox.__file__).parent
    touching = [
        path.name
        for path in package.rglob("*.py")
        if "generate_blackbox_recipes" in path.read_text()
    ]
    assert touching == ["registration.py"]
