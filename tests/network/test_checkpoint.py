"""Checkpoints: only weights are read, and only those of the space."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from helpers import own_space

from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.network import load_supernet

torch = pytest.importorskip("torch")
from hwgpt_blackbox.network.supernet import Supernet, corner  # noqa: E402  (needs torch)

SPACE = own_space(vocabulary=20)


def weights() -> dict:
    supernet = Supernet(SPACE)
    supernet.initialise(0)
    return supernet.largest.state_dict()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_our_own_names_are_read_too(tmp_path: Path):
    from safetensors.torch import save_file

    save_file(weights(), tmp_path / "net.safetensors")
    tokens, largest = torch.randint(20, (1, 4)), corner(SPACE, -1)
    logits = [
        load_supernet(path, SPACE)(tokens, largest)
        for path in (tmp_path / "net.safetensors", saved(tmp_path / "net.pt", weights()))
    ]
    assert torch.equal(*logits)


def test_half_precision_is_read_as_single(tmp_path: Path):
    half = {name: value.half() for name, value in weights().items()}
    supernet = load_supernet(saved(tmp_path / "half.ckpt", {"state_dict": half}), SPACE)
    assert {p.dtype for p in supernet.parameters()} == {torch.float32}


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def pickled(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("save", [torch.save, pickled])
def test_a_hostile_checkpoint_is_refused_and_nothing_executed(tmp_path: Path, save):
    target, path = tmp_path / "executed", tmp_path / "hostile.ckpt"
    save({"state_dict": weights() | {"model.x": Hostile(target)}}, path)
    with pytest.raises(DataError, match="nothing of it was executed") as caught:
        load_supernet(path, SPACE)
    assert "weights_only" not in str(caught.value)  # with torch's advice to execute it
    assert not target.exists()


@pytest.mark.parametrize("name", ["net.ckpt", "net.safetensors"])
@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_no_checkpoint_is_an_error(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        load_supernet(tmp_path / name, SPACE)


def test_a_missing_file_is_an_error(tmp_path: Path):
    for path in (tmp_path / "absent.ckpt", tmp_path / "absent.safetensors"):
        with pytest.raises(InputError, match="cannot be read"):
            load_supernet(path, SPACE)
    with pytest.raises(InputError, match=r"holds no trained supernet .*make one with"):
        load_supernet(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embed_dims": (16, 32)}, r"embedding.weight has shape \(20, 64\); .* \(20, 32\)"),
        ({"vocabulary": 24}, r"embedding.weight has shape \(20, 64\); .* \(24, 64\)"),
        ({"num_layers": (2, 3)}, r"layers.3.* beside what it should"),
        ({"num_layers": (2, 5)}, r"lacks layers.4"),
        ({"num_heads": (1, 2)}, r"attention.inputs.weight has shape \(96, 64\)"),
        ({"network": "gelu-tied"}, r"the output layer is not the table of the embedding"),
    ],
)
def test_a_checkpoint_of_another_space_is_an_error_that_names_the_shape(
    tmp_path: Path, changes: dict, message: str
):
    path = saved(tmp_path / "net.ckpt", weights())
    with pytest.raises(DataError, match=message):
        load_supernet(path, own_space(**{"vocabulary": 20} | changes))


@pytest.mark.parametrize(
    "value", [3, [1.0], torch.arange(3), torch.eye(3).to_sparse(), torch.empty(3, device="meta")]
)
def test_what_is_no_tensor_of_numbers_is_an_error(tmp_path: Path, value: object):
    content = weights() | {"layers.0.mlp.inner.bias": value}
    with pytest.raises(DataError, match=r"layers.0.mlp.inner.bias is no dense tensor"):
        load_supernet(saved(tmp_path / "net.ckpt", content), SPACE)
    with pytest.raises(DataError, match="holds no names and tensors but a list"):
        load_supernet(saved(tmp_path / "list.ckpt", [1, 2]), SPACE)


def test_two_copies_that_differ_are_an_error(tmp_path: Path):
    content = weights()
    content["model.norm.weight"] = content["norm.weight"] + 1
    with pytest.raises(DataError, match="twice, with other values"):
        load_supernet(saved(tmp_path / "net.ckpt", content), SPACE)
