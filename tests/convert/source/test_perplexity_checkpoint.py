from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_checkout import LOG_OFFSET, Source, checkpoint_path, make_source, predict

from hwgpt_blackbox.convert.source import perplexity_checkpoint as module
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.perplexity_checkpoint import (
    fitted_network,
    offset,
    published_perplexity,
    read_network,
)
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import DataError, InputError, MissingExtraError

torch = pytest.importorskip("torch")
SOURCES = {space: make_source(space, n=48, missing=0.3) for space in ("s", "m", "l")}


@pytest.fixture
def source() -> Source:
    return SOURCES["s"].copy()


def measured(source: Source) -> np.ndarray:
    return np.array([entry.get("perplexity", np.nan) for entry in source.stats.values()])


@pytest.mark.parametrize("space", SOURCES)
def test_predictions_are_those_of_the_network(space: str, tmp_path: Path) -> None:
    source = SOURCES[space]
    root = source.write(tmp_path)
    matrix = Encoding(source.space).sample(300, np.random.default_rng(1))
    expected = predict(source.space, source.network, matrix)
    np.testing.assert_allclose(published_perplexity(root, space, matrix), expected, rtol=1e-6)
    shifted = published_perplexity(root, space, matrix, log_offset=0.1)
    np.testing.assert_allclose(shifted, expected * np.exp(-0.1), rtol=1e-6)


def test_inactive_layers_do_not_matter(source: Source, tmp_path: Path) -> None:
    root = source.write(tmp_path)
    matrix = np.zeros((1, 27), dtype=np.uint8)
    other = matrix.copy()
    other[0, [3 + 10, 3 + 11, 15 + 10, 15 + 11]] = 2
    first, second = (published_perplexity(root, "s", m) for m in (matrix, other))
    assert first == second


@pytest.mark.parametrize("space", SOURCES)
def test_the_offset_is_found_and_removed(space: str, tmp_path: Path) -> None:
    source = SOURCES[space]
    checkout = Checkout(source.write(tmp_path), source.space)
    values = measured(source)
    network = fitted_network(checkout, source.matrix, values)
    assert network.log_offset == pytest.approx(LOG_OFFSET, abs=1e-4)
    both = ~np.isnan(values)
    assert 0 < both.sum() < len(both)
    np.testing.assert_allclose(network(source.matrix)[both], values[both], rtol=1e-3)


def test_the_offset_withstands_wild_values() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(20, 40, size=200)
    predicted = values * np.exp(0.003)
    predicted[:20] *= 2.0
    values[50:60] = np.nan
    assert offset(predicted, values) == pytest.approx(0.003)


def test_too_few_or_foreign_measurements() -> None:
    values = np.full(100, np.nan)
    values[:10] = 25.0
    with pytest.raises(DataError, match="only 10 perplexities were measured"):
        offset(np.full(100, 25.0), values)
    with pytest.raises(DataError, match="not of the same space or version"):
        offset(np.full(100, 30.0), np.full(100, 25.0))
    with pytest.raises(DataError, match="predicts a perplexity of -1"):
        offset(np.full(100, -1.0), np.full(100, 25.0))


def test_without_torch_the_message_holds_the_command(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hwgpt-blackbox\[bayesian\]'"):
        read_network(Checkout(source.write(tmp_path), source.space))


def test_unknown_space(source: Source, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no measurements of space 'xl-wide'"):
        published_perplexity(source.write(tmp_path), "xl-wide", source.matrix)


# -- bad checkpoints -------------------------------------------------------------------------


class Hostile:
    def __reduce__(self) -> Any:
        return os.system, (f"touch {os.environ['HWGPT_TEST_MARK']}",)


def _tensors(network: dict[str, np.ndarray], **changes: Any) -> dict[str, Any]:
    tensors = {key: torch.tensor(value) for key, value in network.items()}
    return {**tensors, **{key.replace("_", "."): value for key, value in changes.items()}}


def test_a_hostile_checkpoint_executes_nothing(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    monkeypatch.setenv("HWGPT_TEST_MARK", str(mark))
    root = source.write(tmp_path)
    path = checkpoint_path(root, "s")
    for write in (lambda: torch.save(Hostile(), path), lambda: path.write_bytes(pickled())):
        write()
        with pytest.raises(DataError, match=r"perplexity_s\.pt cannot be read as weights only"):
            read_network(Checkout(root, source.space))
        assert not mark.exists()


def pickled() -> bytes:
    return pickle.dumps(Hostile())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: {}, "no network of 5 linear layers"),
        (lambda n: [1], "no network of 5 linear layers"),
        (lambda n: {k: v for k, v in _tensors(n).items() if "fc5" not in k}, "no network of 5"),
        (lambda n: dict.fromkeys(n, 1.0), "no tensor of numbers"),
        (lambda n: dict.fromkeys(n, "text"), "no tensor of numbers"),
        (lambda n: _tensors(n, fc1_weight=torch.ones(4, 79)), "expected 80 inputs"),
        (lambda n: _tensors(n, fc3_weight=torch.ones(4, 5)), "expected 80 inputs"),
        (lambda n: _tensors(n, fc2_bias=torch.ones(3)), "expected 80 inputs"),
        (lambda n: _tensors(n, fc5_bias=torch.tensor(1.0)), "expected 80 inputs"),
        (lambda n: _tensors(n, fc5_bias=torch.tensor([float("nan")])), "not finite"),
    ],
)
def test_a_checkpoint_of_another_form(
    change: Any, message: str, source: Source, tmp_path: Path
) -> None:
    root = source.write(tmp_path)
    torch.save(change(source.network), checkpoint_path(root, "s"))
    with pytest.raises(DataError, match=message) as caught:
        read_network(Checkout(root, source.space))
    assert "perplexity_s.pt" in str(caught.value)


def test_a_truncated_missing_or_large_checkpoint(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = source.write(tmp_path)
    path = checkpoint_path(root, "s")
    content = path.read_bytes()
    for end in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:end])
        with pytest.raises(DataError, match=r"perplexity_s\.pt cannot be read"):
            read_network(Checkout(root, source.space))
    path.write_bytes(content)
    monkeypatch.setattr(module, "MAX_CHECKPOINT_BYTES", 1000)
    with pytest.raises(DataError, match="larger than 1000 bytes"):
        read_network(Checkout(root, source.space))
    path.unlink()
    with pytest.raises(DataError, match="is missing; it fills perplexities"):
        read_network(Checkout(root, source.space))


def test_the_checkpoint_enters_the_record(source: Source, tmp_path: Path) -> None:
    checkout = Checkout(source.write(tmp_path), SPACES["s"])
    read_network(checkout)
    assert [name for name in checkout.records if name.endswith("perplexity_s.pt")]
