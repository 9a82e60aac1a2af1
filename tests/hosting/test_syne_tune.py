"""Syne Tune's own functions and ours work on the same repositories."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hosted import SURROGATE, TABLE, digest_of, tree_of
from loopback_faults import FaultyHost
from loopback_hub import TOKEN, Hub, Repository
from syne_tune.blackbox_repository import BlackboxRepositoryBackend, load_blackbox, repository
from syne_tune.blackbox_repository.conversion_scripts.blackbox_recipe import BlackboxRecipe
from synthetic_checkout import make_source

from hwgpt_blackbox import cached, push
from hwgpt_blackbox.blackboxes.recipe import RECIPES, HWGPTRecipe
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.blackboxes.table_blackbox import TabularBlackbox, blackboxes_of
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, TransferError
from hwgpt_blackbox.storage.artifact_kinds import BLACKBOXES
from hwgpt_blackbox.storage.locations import EMBEDDED, find, home
from hwgpt_blackbox.storage.measured_table import Table
from hwgpt_blackbox.storage.surrogates import read_surrogate

REPO = "me/mine"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def repo(hub: Hub, faulty: FaultyHost, first: Path) -> Repository:
    """A repository with a surrogate and a table."""
    repository = hub.repository(REPO)
    repository.commit(tree_of(first))
    return repository


MATRIX = Encoding(SPACES["s"]).sample(3, np.random.default_rng(0))


def values_of(folder: Path) -> Any:
    return HWGPTBlackbox(read_surrogate(folder), "a100").expected_values(MATRIX)


# -- load_blackbox(name, custom_repo_id=...) ---------------------------------------------------


def test_a_table_of_a_repository_of_ones_own(repo: Repository, first: Path) -> None:
    boxes = load_blackbox(TABLE, custom_repo_id=REPO)
    box = boxes["a100"]
    assert isinstance(box, TabularBlackbox)
    table = Table.read(first / TABLE)
    np.testing.assert_array_equal(box.table.objectives, table.objectives)
    # There was none before, so it is in use from now on: without the repository, and by backends.
    assert digest_of(find(TABLE).path) == digest_of(first / TABLE)
    backend = BlackboxRepositoryBackend(TABLE, "metric_elapsed_time", dataset="a100", seed=0)
    assert len(backend.blackbox.hyperparameters) == 12


def test_a_surrogate_of_a_repository_does_not_replace_the_one_in_use(
    repo: Repository, first: Path
) -> None:
    theirs, ours = values_of(first / SURROGATE), values_of(EMBEDDED / SURROGATE)
    for name in (SURROGATE, "hwgpt-s-repeats"):
        box = load_blackbox(name, custom_repo_id=REPO)["a100"]
        np.testing.assert_array_equal(box.expected_values(MATRIX), theirs)
        box = load_blackbox(name)["a100"]
        np.testing.assert_array_equal(box.expected_values(MATRIX), ours)
    assert find(SURROGATE).embedded
    assert not any(version.active for version in cached())


def test_revision_token_and_local_files_are_heeded(
    repo: Repository, first: Path, second: Path
) -> None:
    pinned = repo.names["main"]
    repo.commit(tree_of(second))
    repo.private = True
    with pytest.raises(TransferError, match="no access"):
        load_blackbox(TABLE, custom_repo_id=REPO, token=False)
    for options in ({"revision": pinned, "token": TOKEN}, {"local_files_only": True}):
        box = load_blackbox(TABLE, custom_repo_id=REPO, force_download=False, **options)["a100"]
        table = Table.read(first / TABLE)
        np.testing.assert_array_equal(box.table.objectives, table.objectives)
    newest = load_blackbox(TABLE, custom_repo_id=REPO)["a100"]
    np.testing.assert_array_equal(newest.table.objectives, Table.read(second / TABLE).objectives)
    with pytest.raises(MissingArtifactError, match="was not pulled"):
        load_blackbox("hwgpt-m-tabular", custom_repo_id=REPO, local_files_only=True)


def test_a_failure_leaves_nothing_behind_for_the_next_call(
    repo: Repository, faulty: FaultyHost
) -> None:
    load_blackbox(SURROGATE, custom_repo_id=REPO)
    faulty.fail("/revision/", status=403)
    with pytest.raises(TransferError):
        load_blackbox(SURROGATE, custom_repo_id=REPO)
    box = load_blackbox(SURROGATE)["a100"]
    np.testing.assert_array_equal(box.expected_values(MATRIX), values_of(EMBEDDED / SURROGATE))


# -- Syne Tune alone -------------------------------------------------------------------------

ALONE = """
import json, sys
from syne_tune.blackbox_repository import load_blackbox, repository
from syne_tune.blackbox_repository.conversion_scripts.blackbox_recipe import BlackboxRecipe
name = "hwgpt-s-tabular"
repository.generate_blackbox_recipes[name] = BlackboxRecipe(name, "as upstream would list it")
boxes = load_blackbox(name, custom_repo_id="me/mine")
box = boxes["a100"]
row = box.hyperparameters.iloc[3].to_dict()
assert "hwgpt_blackbox" not in sys.modules
print(json.dumps([list(boxes), row, box(row, seed=2).tolist(), str(repository.repository_path)]))
"""


def test_syne_tune_alone_loads_what_we_push(
    hub: Hub, faulty: FaultyHost, first: Path, run_python: Run
) -> None:
    hub.repository(REPO).commit({})
    push(first / TABLE, REPO, progress=False)
    done = run_python(ALONE, HF_HUB_DISABLE_XET="1")
    datasets, row, values, folder = json.loads(done.stdout.splitlines()[-1])
    table = Table.read(first / TABLE)
    assert len(datasets) == 13
    box = blackboxes_of(table)["a100"]
    np.testing.assert_allclose(box(row, seed=2), values)
    assert tree_of(Path(folder) / TABLE) == tree_of(first / TABLE)


# -- recipes ---------------------------------------------------------------------------------


def test_every_name_has_a_recipe_that_syne_tune_lists() -> None:
    for name in BLACKBOXES:
        recipe = repository.generate_blackbox_recipes[name]
        assert isinstance(recipe, HWGPTRecipe)
        assert isinstance(recipe, BlackboxRecipe)
        assert recipe.name == name
        assert "HW-GPT-Bench" in recipe.cite_reference
    assert [recipe.name for recipe in RECIPES] == [n for n in BLACKBOXES if "tabular" in n]


GENERATE = """
from syne_tune.blackbox_repository import repository
from syne_tune.blackbox_repository.conversion_scripts import blackbox_recipe, utils
utils.repo_id = "me/mine"
import hwgpt_blackbox
repository.generate_blackbox_recipes["hwgpt-s-tabular"].generate(upload_on_hub=True)
"""


def test_syne_tune_generates_and_hosts_a_table(
    hub: Hub, faulty: FaultyHost, tmp_path: Path, run_python: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source("s", n=40).write(tmp_path / "checkout")
    hub.repository(REPO).commit({"fcnet/metadata.json": b"{}"})
    monkeypatch.delenv("HWGPT_BLACKBOX_HOME")
    run_python(GENERATE, HW_GPT_BENCH=str(source), HF_HUB_DISABLE_XET="1")
    made = home() / TABLE
    assert len(Table.read(made).matrix) == 40
    assert hub.repositories[REPO].head == {
        "fcnet/metadata.json": b"{}",
        **tree_of(made, f"{TABLE}/"),
    }
    boxes = load_blackbox(TABLE, custom_repo_id=REPO)
    assert len(boxes["a100"].hyperparameters) == 40
    (version,) = cached()
    assert version.digest == digest_of(made)


def test_a_recipe_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HW_GPT_BENCH", raising=False)
    with pytest.raises(InputError, match="HW_GPT_BENCH is not set"):
        HWGPTRecipe(TABLE).generate(upload_on_hub=False)
    with pytest.raises(InputError, match="is read from hwgpt-s: generate that"):
        HWGPTRecipe("hwgpt-s-repeats").generate(upload_on_hub=False)
    monkeypatch.setenv("HW_GPT_BENCH", str(tmp_path))
    with pytest.raises(DataError, match=r"convert .* failed; see above"):
        HWGPTRecipe(TABLE).generate(upload_on_hub=False)
