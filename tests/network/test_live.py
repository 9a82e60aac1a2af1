"""Objectives evaluated for real: in this process, as backends run them, and by HWGPT."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import FunctionType

import dill
import numpy as np
import pytest
from helpers import own_space, write_own_space

from hwgpt_blackbox import HWGPT
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.network import live_objective

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
from hwgpt_blackbox.network.checkpoint import write_safetensors  # noqa: E402  (needs torch)
from hwgpt_blackbox.network.evaluation import perplexity, quality, windows  # noqa: E402
from hwgpt_blackbox.network.supernet import Supernet, corner  # noqa: E402
from hwgpt_blackbox.network.text import TokenStream  # noqa: E402

SPACE = own_space(vocabulary=256, sequence_length=8)
TEXT = "one two three four five six seven eight nine ten"


@pytest.fixture
def net(tmp_path: Path) -> Supernet:
    supernet = Supernet(SPACE)
    supernet.initialise(1)
    write_safetensors(tmp_path / "net.safetensors", supernet.largest.state_dict())
    (tmp_path / "file.toml").write_text(SPACE.as_toml())
    (tmp_path / "text.txt").write_text(TEXT)
    return supernet


def expected(net: Supernet, configuration) -> tuple[float, float]:
    tokens = windows(TokenStream([np.frombuffer(TEXT.encode(), np.uint8)]), 8)
    loss, error = quality(net, tokens, configuration, batch=SPACE.batch_size)
    return perplexity(loss), error


def files(folder: Path, **options):
    space = folder / "file.toml"
    return live_objective(folder / "net.safetensors", folder / "text.txt", space=space, **options)


def test_an_architecture_is_evaluated_and_measured_on_this_machine(net: Supernet, tmp_path, capsys):
    smallest = corner(SPACE, 0)
    found = files(tmp_path, repeats=2, threads=1)(**smallest)
    assert (found["metric_perplexity"], found["metric_error"]) == expected(net, smallest)
    assert found["metric_latency"] > 0
    assert "[tune-metric]" in capsys.readouterr().out  # as a backend reads it
    found = files(tmp_path, latency=None)(**smallest)
    assert set(found) == {"metric_perplexity", "metric_error"}


def test_the_code_alone_is_enough_as_the_python_backend_takes_it(
    net: Supernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    function = files(tmp_path, latency=None)
    stored = dill.loads(dill.dumps(FunctionType(function.__code__, {})))
    monkeypatch.chdir("/")
    for bias in (True, False):
        configuration = corner(SPACE, -1) | {"bias": bias}
        monkeypatch.setattr(sys, "argv", ["entry.py", "--bias", str(bias)])
        # The backend's parser reads the word False as true.
        found = stored(**configuration | {"bias": True})
        assert found["metric_perplexity"] == expected(net, configuration)[0]


def test_a_path_that_does_not_exist_is_an_error(net: Supernet, tmp_path: Path):
    with pytest.raises(InputError, match=r"absent\.txt does not exist"):
        live_objective(tmp_path / "net.safetensors", tmp_path / "absent.txt")
    with pytest.raises(InputError, match="absent does not exist"):
        live_objective(tmp_path / "absent", tmp_path / "text.txt")


def test_the_published_interface_evaluates_where_nothing_was_measured(
    net: Supernet, tmp_path: Path, artifacts: Path
):
    write_own_space(artifacts, SPACE)
    paths = {"supernet": tmp_path / "net.safetensors", "text": tmp_path / "text.txt"}
    api = HWGPT("mine", True, seed=0, **paths)
    sample = api.sample_arch()
    configuration = Encoding(SPACE).decode_one(api._matrix[0])
    value, error = expected(net, configuration)
    assert api.query(metric="perplexity", predictor="supernet") == {
        "perplexity": value,
        "accuracy": 1 - error,
    }
    assert api.eval_supernet_surrogate()["perplexity"] == value
    assert api.query(metric="params")["perplexity"] == value
    api.set_arch([sample, sample])
    found = api.query(metric="perplexity", predictor="supernet")
    assert found["perplexity"].tolist() == [value, value]
    json.dumps(api.query(metric="perplexity")["perplexity"].tolist())
    with pytest.raises(InputError, match="give both or neither"):
        HWGPT("mine", supernet=tmp_path / "net.safetensors")
