"""Weights of supernets on disk: the published layout is read, safetensors are written and read."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.model_config import ModelConfig
from hwgpt_blackbox.domain.spaces import NETWORKS, SPACES, Space
from hwgpt_blackbox.errors import DataError, InputError, printable, require
from hwgpt_blackbox.network.build import build_model
from hwgpt_blackbox.storage.atomic_writes import write_file, writing
from hwgpt_blackbox.storage.measurement_set import SPACE_FILE
from hwgpt_blackbox.storage.spaces import find_space

if TYPE_CHECKING:
    from torch import Tensor

    from hwgpt_blackbox.network.gpt import GPT
    from hwgpt_blackbox.network.supernet import Supernet

SAFETENSORS = ".safetensors"

TOKENIZER = "tokenizer.json"
"""What a folder of a training holds if a tokenizer made its tokens."""

STATE = "state.json"
"""What a folder of a training holds beside weights; it names them, and is written after them."""

WEIGHTS, OPTIMIZER = "supernet-{}.safetensors", "optimizer-{}.safetensors"
"""Names of weights and moments after so many steps."""

_TRAIN = "hwgpt-blackbox supernet train"

_PREFIX = "model."
"""Lightning's name for the module that was trained."""

_PUBLISHED = {
    "transformer.wte": "embedding",
    "transformer.ln_f": "norm",
    "lm_head": "output",
    "norm_1": "attention_norm",
    "norm_2": "mlp_norm",
    "attn.attn": "attention.inputs",
    "attn.proj": "attention.output",
    "mlp.fc": "mlp.inner",
    "mlp.fc_1": "mlp.gate",
    "mlp.fc_2": "mlp.inner",
    "mlp.proj": "mlp.output",
}
"""Published names of modules, after those of their layer, and ours."""

_IN_LAYER = re.compile(r"transformer\.h\.(\d{1,4})\.(.+)", re.ASCII)


def load_supernet(checkpoint: str | Path, space: str | Space | None = None) -> Supernet:
    """A supernet with the weights of a checkpoint.

    :param checkpoint: a folder that ``hwgpt-blackbox supernet train`` wrote, or a file: as
        HW-GPT-Bench publishes it (Lightning's: ``state_dict``, names with or without ``model.``),
        or our ``.safetensors``
    :param space: a space, or its name or file; it must be the one that was trained, with the same
        vocabulary, head size and network; for a published name the last and the vocabulary are the
        checkpoint's. A folder says it itself.
    :return: in float32 on the CPU
    :raises InputError: unknown space, none is given, or there is no such file
    :raises DataError: the file holds anything but weights, or those of another space: names the
        weight, its shape and what the space has
    :raises MissingExtraError: torch or safetensors are not installed
    """
    require("torch", extra="network")
    from hwgpt_blackbox.network.supernet import Supernet

    path = Path(checkpoint)
    row = None if space is None else find_space(space)
    if path.is_dir():
        state, trained = read_state(path), Space.from_file(path / SPACE_FILE)
        if row not in (None, trained):
            raise InputError(
                f"{path} was trained for space {trained.name}, and the one that is given "
                f"({row.name}) has other choices or sizes; leave it out: a folder says its own"
            )
        row, path = trained, path / state["weights"]
    elif row is None:
        if not path.exists():
            raise InputError(f"{path} does not exist; make a supernet with: {_TRAIN}")
        raise InputError(f"{path} does not say its space; name it, or give its file (--space)")
    weights = _ours(_read(path), path)
    changes = _network_of(weights) if row.name in SPACES else {}
    supernet = Supernet(row, changes, device="meta")
    _inherit(supernet, weights, path)
    return supernet


def read_weights(supernet: Supernet, path: Path) -> None:
    """Give a supernet the weights of a file.

    :raises InputError: there is no such file
    :raises DataError: it holds others
    """
    _inherit(supernet, _ours(_read(path), path), path)


def _inherit(supernet: Supernet, weights: dict[str, Tensor], path: Path) -> None:
    _check(weights, supernet, path)
    supernet.largest.load_state_dict({k: v.float() for k, v in weights.items()}, assign=True)


def _network_of(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Network and vocabulary by the weights: published spaces stand for more than one."""
    found: dict[str, Any] = {"network": NETWORKS["layers.0.mlp.gate.weight" not in weights]}
    table = weights.get("embedding.weight")
    return found if table is None else found | {"vocabulary": len(table)}


def tokenizer_of(checkpoint: str | Path, given: str | Path | None = None) -> Path | None:
    """The tokenizer of a supernet's text; None: tokens are bytes.

    :param given: instead of the one in the folder of a training
    """
    if given is not None:
        return Path(given)
    own = Path(checkpoint) / TOKENIZER
    return own if own.exists() else None


def read_state(folder: Path) -> dict[str, Any]:
    """The state of the training in a folder.

    :return: ``step``, the names of ``weights`` and ``optimizer``, ``space``, ``settings``, ``text``
    :raises InputError: no training is there
    :raises DataError: it is no sound state
    """
    path = folder / STATE
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{folder} holds no trained supernet ({STATE}: {error.strerror}); make one with: "
            f"{_TRAIN}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON ({printable(error):.200})") from None
    step = state.get("step") if isinstance(state, dict) else None
    names = {"weights": WEIGHTS.format(step), "optimizer": OPTIMIZER.format(step)}
    sound = (
        type(step) is int
        and step > 0
        and all(state.get(key) == name for key, name in names.items())
        and all(isinstance(state.get(key), dict) for key in ("space", "settings"))
    )
    if not sound:
        raise DataError(f"{path} is no state of a training")
    found: dict[str, Any] = {"text": None} | state
    return found


def _read(path: Path) -> Mapping[str, Any]:
    """Names and tensors of a file; nothing in it is executed.

    :raises InputError: there is no such file
    :raises DataError: it is no such file
    """
    import torch

    try:
        if path.suffix == SAFETENSORS:
            return read_safetensors(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"the checkpoint {path} cannot be read: {reason}") from None
    except DataError:
        raise
    except Exception:  # of many kinds; torch's own advice is to execute what the file holds
        raise DataError(
            f"{path} is no checkpoint of weights, or holds more than weights; nothing of it was "
            "executed"
        ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise DataError(f"{path} holds no names and tensors but a {type(content).__name__}")
    return content


def save_model(model: GPT, path: Path) -> None:
    """Write the weights of a network, and beside them the JSON that ``build_model`` reads.

    :param path: ends in ``.safetensors``; the other has the same name and ``.json``
    :raises InputError: another ending
    :raises OutputError: they cannot be written
    """
    if path.suffix != SAFETENSORS:
        raise InputError(f"{path} does not end in {SAFETENSORS}")
    with writing(path):
        write_safetensors(path, model.state_dict())  # first: it is what a full disk refuses
        write_file(path.with_suffix(".json"), json.dumps(model.config.as_dict(), indent=1) + "\n")


def load_model(path: str | Path) -> GPT:
    """The network that :func:`save_model` wrote.

    :param path: of the weights
    :raises InputError: a file is missing
    :raises DataError: they are no such files, or not of one network
    """
    weights, about = _read(Path(path)), Path(path).with_suffix(".json")
    try:
        config = ModelConfig(**json.loads(about.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"{about} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(f"{about} is no model configuration ({printable(error):.200})") from None
    model = build_model(config, device="meta")
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    if found != shapes:
        raise DataError(f"{path} holds other weights than the network in {about} has")
    model.load_state_dict(weights, assign=True)
    return model


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a file whole.

    :raises OSError: it cannot be written
    """
    require("safetensors", extra="network")
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}

    def write(new: Path) -> None:
        new.touch()
        mode = new.stat().st_mode
        try:
            save_file(plain, new)
        except SafetensorError as error:  # which hides the system's, of a full disk above all
            number = re.search(r"(?:os error|code:) (\d+)", str(error))
            raise OSError(int(number[1]) if number else errno.EIO, str(error)) from None
        new.chmod(mode)  # the library's own lets nobody else read

    write_file(path, write)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a file.

    :raises DataError: it is no such file
    :raises OSError: it cannot be read
    """
    require("safetensors", extra="network")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights: dict[str, Tensor] = load_file(path)
        return weights
    except SafetensorError as error:
        raise DataError(f"{path} is no safetensors file ({printable(error)})") from None


def _ours(weights: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors under our names.

    :raises DataError: a name is given twice, or is no tensor's
    """
    import torch

    found: dict[str, Tensor] = {}
    for name, value in weights.items():
        new = _our_name(str(name).removeprefix(_PREFIX))
        dense = isinstance(value, torch.Tensor) and value.layout is torch.strided
        if not dense or not value.is_floating_point() or value.is_meta:
            raise DataError(f"{path}: {printable(name):.100} is no dense tensor of floating point")
        if new in found and not torch.equal(found[new], value):
            raise DataError(f"{path} holds {printable(name):.100} twice, with other values")
        found[new] = value
    return found


def _our_name(name: str) -> str:
    """Our name of a published one; any other stays."""
    module, _, kind = name.rpartition(".")
    layer = _IN_LAYER.fullmatch(module)
    if layer is None:
        return f"{_PUBLISHED.get(module, module)}.{kind}"
    return f"layers.{layer[1]}.{_PUBLISHED.get(layer[2], layer[2])}.{kind}"


def _check(weights: dict[str, Tensor], supernet: Supernet, path: Path) -> None:
    """Check names and shapes; remove the second copy of a tied table.

    :raises DataError: they are not those of the space
    """
    import torch

    space, config = supernet.space, supernet.largest.config
    expected = {name: p.shape for name, p in supernet.largest.named_parameters()}
    table = "output.weight"
    if table not in expected and table in weights:
        tied = weights.pop(table)
        if "embedding.weight" in weights and not torch.equal(tied, weights["embedding.weight"]):
            raise DataError(
                f"{path}: the output layer is not the table of the embedding, as it is in "
                f"space {space.name} (network {config.network!r})"
            )
    cure = f"is it a checkpoint of space {space.name}, with network {config.network!r}?"
    for name, shape in expected.items():
        if name not in weights:
            raise DataError(f"{path} lacks {name}, of shape {tuple(shape)}; {cure}")
        if weights[name].shape != shape:
            raise DataError(
                f"{path}: {name} has shape {tuple(weights[name].shape)}; space {space.name} has "
                f"{tuple(shape)}: {cure}"
            )
    for name in weights:
        if name not in expected:
            raise DataError(f"{path} holds {printable(name):.100} beside what it should; {cure}")
