"""The published perplexity network, which answers where perplexity was not measured.

Its predictions lie above the measurements. On the architectures that have both, the difference of
logarithms is flatter than that of the values: per embed_dim, its median is 0.00122 to 0.00141 on m
and 0.00188 to 0.00216 on l, that of the values 0.031 to 0.043 and 0.041 to 0.055. So the offset is
one of log-perplexity: the median of log(prediction / measurement).
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.encoding import IntMatrix
from hwgpt_blackbox.domain.spaces import Space, get_space
from hwgpt_blackbox.errors import DataError, require
from hwgpt_blackbox.models.published_network import LAYERS, one_hot

MAX_CHECKPOINT_BYTES = 16 << 20
"""Largest checkpoint that is read; the published ones have 0.3 MB."""

ENOUGH = 30
"""Measured perplexities that the offset needs at least."""

MAX_SCATTER = 0.02
"""Largest offset and median distance from it, in log-perplexity; published: 0.002 and 0.0005."""

_CHUNK = 4096


@dataclass(frozen=True)
class PerplexityNetwork:
    """The published network of one space.

    :param space: the space
    :param weights: of each linear layer, shape (outputs, inputs)
    :param biases: of each linear layer, shape (outputs,)
    :param log_offset: what is taken from the logarithm of every prediction
    """

    space: Space
    weights: tuple[NDArray[np.float64], ...]
    biases: tuple[NDArray[np.float64], ...]
    log_offset: float = 0.0

    def __call__(self, matrix: IntMatrix) -> NDArray[np.float64]:
        """Predicted perplexities, the offset removed, in single precision as the measured ones.

        :param matrix: choice indices, shape (n, num_columns)
        :return: shape (n,)
        """
        out = np.empty(len(matrix))
        for begin in range(0, len(matrix), _CHUNK):
            x = one_hot(self.space, matrix[begin : begin + _CHUNK])
            for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                x = (x if k == 0 else np.maximum(x, 0.0)) @ weight.T + bias
            out[begin : begin + _CHUNK] = x[:, 0]
        single = (out * np.exp(-self.log_offset)).astype(np.float32)
        return np.asarray(single, dtype=np.float64)


def read_network(checkout: Checkout) -> PerplexityNetwork:
    """The published network as it is, its offset not removed.

    :raises MissingExtraError: torch is not installed
    :raises DataError: the checkpoint is missing, corrupt, hostile, or of another form
    """
    require("torch", extra="bayesian")
    path, space = checkout.checkpoint, checkout.space
    if not path.is_file():
        raise DataError(
            f"{path} is missing; it fills perplexities that were not measured: fetch it from "
            "HW-GPT-Bench"
        )
    arrays = read_layers(checkout.read_bytes(path, max_bytes=MAX_CHECKPOINT_BYTES), path)
    inputs = 2 + sum(
        len(choices) * repeats
        for choices, repeats in (
            (space.embed_dims, 1),
            (space.num_layers, 1),
            (space.mlp_ratios, space.max_layers),
            (space.num_heads, space.max_layers),
        )
    )
    cure = "fetch it anew from HW-GPT-Bench"
    weights, biases = tuple(arrays[::2]), tuple(arrays[1::2])
    sound = all(
        w.ndim == 2 and b.shape == w.shape[:1] for w, b in zip(weights, biases, strict=True)
    )
    sound = sound and all(a.shape[0] == b.shape[1] for a, b in pairwise(weights))
    if not sound or weights[0].shape[1] != inputs or weights[-1].shape[0] != 1:
        shapes = ", ".join(str(weight.shape) for weight in weights)
        raise DataError(f"{path} has weights {shapes}; expected {inputs} inputs, 1 output; {cure}")
    if not all(np.isfinite(array).all() for array in arrays):
        raise DataError(f"{path} has weights that are not finite; {cure}")
    return PerplexityNetwork(space, weights, biases)


def read_layers(data: bytes, path: Path) -> list[NDArray[np.float64]]:
    """Weight and bias of every layer of a checkpoint by turns, their shapes not checked.

    :param data: the file's bytes
    :param path: the file, for messages
    :raises DataError: it is corrupt, hostile, or no network of ``LAYERS`` linear layers
    """
    state = _read_state(data, path)
    names = [f"fc{k}.{part}" for k in range(1, LAYERS + 1) for part in ("weight", "bias")]
    cure = "fetch it anew from HW-GPT-Bench"
    if not isinstance(state, dict) or list(state) != names:
        raise DataError(f"{path} is no network of {LAYERS} linear layers fc1 … fc{LAYERS}; {cure}")
    try:
        return [np.array(tensor.tolist(), dtype=np.float64) for tensor in state.values()]
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{path} holds what is no tensor of numbers ({error}); {cure}") from error


def _read_state(data: bytes, path: Path) -> Any:
    """The state dict of a torch checkpoint, without executing anything."""
    import torch

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(info.file_size for info in archive.infolist()) > MAX_CHECKPOINT_BYTES:
                raise ValueError(f"it unpacks to more than {MAX_CHECKPOINT_BYTES} bytes")
        return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception as error:  # torch and zipfile raise many kinds on hostile bytes
        first_line = str(error).partition("\n")[0][:200]
        raise DataError(
            f"{path} cannot be read as weights only ({type(error).__name__}: {first_line}); "
            "nothing of it was executed: fetch it anew from HW-GPT-Bench"
        ) from None


def offset(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> float:
    """How far predictions lie above measurements, in log-perplexity: a median.

    :param predicted: shape (n,)
    :param measured: shape (n,), NaN where not measured
    :raises DataError: too few were measured, or the predictions are not those of the measurements
    """
    both = ~np.isnan(measured)
    if both.sum() < ENOUGH:
        raise DataError(
            f"only {both.sum()} perplexities were measured; the offset of the published network "
            f"needs {ENOUGH}: measure more, or fetch the data set anew"
        )
    if (predicted <= 0).any():
        raise DataError(
            f"the published network predicts a perplexity of {predicted.min():g}; "
            "fetch its checkpoint anew"
        )
    difference = np.log(predicted[both] / measured[both])
    middle = float(np.median(difference))
    scatter = float(np.median(np.abs(difference - middle)))
    if scatter > MAX_SCATTER or abs(middle) > MAX_SCATTER:
        raise DataError(
            f"the published network and the measured perplexities differ by {middle:.3g} and "
            f"scatter by {scatter:.3g} (log-perplexity, medians; at most {MAX_SCATTER} each): "
            "checkpoint and data set are not of the same space or version"
        )
    return middle


def fitted_network(
    checkout: Checkout, matrix: IntMatrix, measured: NDArray[np.float64]
) -> PerplexityNetwork:
    """The published network with its offset against the measurements removed.

    :param matrix: architectures, shape (n, num_columns)
    :param measured: their perplexities, shape (n,), NaN where not measured
    :raises MissingExtraError: torch is not installed
    :raises DataError: the checkpoint or the measurements do not serve
    """
    network = read_network(checkout)
    shift = offset(network(matrix), measured)
    return PerplexityNetwork(network.space, network.weights, network.biases, shift)


def published_perplexity(
    source: str | Path, space: str, matrix: IntMatrix, *, log_offset: float = 0.0
) -> NDArray[np.float64]:
    """Perplexities that the published network predicts.

    :param source: a checkout of HW-GPT-Bench
    :param space: ``s``, ``m`` or ``l``
    :param matrix: choice indices, shape (n, num_columns)
    :param log_offset: what is taken from their logarithm, see :func:`offset`
    :return: shape (n,)
    :raises InputError: unknown space
    :raises MissingExtraError: torch is not installed
    :raises DataError: the checkpoint does not serve
    """
    network = read_network(Checkout(source, get_space(space, measured=True)))
    shifted = PerplexityNetwork(network.space, network.weights, network.biases, log_offset)
    return shifted(matrix)
