"""Weights of supernets on disk: the published layout is read, safetensors are written and read."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.spaces import Space, get_space
from hwgpt_blackbox.errors import DataError, InputError, printable, require

if TYPE_CHECKING:
    from torch import Tensor

    from hwgpt_blackbox.network.supernet import Supernet

SAFETENSORS = ".safetensors"

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


def load_supernet(checkpoint: str | Path, space: str | Space) -> Supernet:
    """A supernet with the weights of a checkpoint.

    :param checkpoint: a file as HW-GPT-Bench publishes it (Lightning's: ``state_dict``, names with
        or without ``model.``), or our ``.safetensors``
    :param space: a published space's name, or a space; it must be the one that was trained, and say
        the same vocabulary, head size and network
    :return: in float32 on the CPU
    :raises InputError: unknown space, or there is no such file
    :raises DataError: the file holds anything but weights, or those of another space: names the
        weight, its shape and what the space has
    :raises MissingExtraError: torch or safetensors are not installed
    """
    require("torch", extra="network")
    from hwgpt_blackbox.network.supernet import Supernet

    row, path = get_space(space), Path(checkpoint)
    weights = _ours(_read(path), path)
    supernet = Supernet(row, device="meta")
    _check(weights, supernet, path)
    supernet.largest.load_state_dict({k: v.float() for k, v in weights.items()}, assign=True)
    return supernet


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
    except (
        pickle.UnpicklingError,
        RuntimeError,
        ValueError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        reason = printable(error).split("\n", 1)[0]
        raise DataError(
            f"{path} is no checkpoint of weights, or holds more than weights ({reason:.300}); "
            "nothing of it was executed"
        ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise DataError(f"{path} holds no names and tensors but a {type(content).__name__}")
    return content


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
