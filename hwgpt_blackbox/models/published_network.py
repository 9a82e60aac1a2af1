"""The published networks, evaluated with numpy alone: the same bits on any machine, in any batch.

BLAS sums in an order that depends on processor and batch, so every sum here is made exact: weights
and activations are cut to few enough bits that no partial sum rounds, activations in two parts so
that nothing of note is lost. What remains is one correctly rounded operation at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, unknown

PUBLISHED_MLP = "published-mlp"
"""How ``load`` names the published networks."""

LAYERS = 5
"""Linear layers of a published network, with ReLU between."""

WEIGHT_BITS, PART_BITS, MAX_WIDTH = 25, 20, 256
"""25 + 20 + log2(256) = 53 bits: the sum of 256 products is exact in double precision."""

_CHUNK = 2048

InputFunction = Callable[[Space, IntMatrix], NDArray[np.float64]]


def one_hot(space: Space, matrix: IntMatrix) -> NDArray[np.float64]:
    """Input of the perplexity networks: a one for each choice, bias as (True, False).

    :param matrix: choice indices, shape (n, num_columns)
    :return: embed, layers, MLP ratio and heads of each layer, bias, shape (n, 8 + 6 * max_layers);
        zero where a layer is inactive
    """
    encoding = Encoding(space)
    n, active = len(matrix), encoding.active(matrix)[:, :, None]
    mlp, heads = encoding.layer_choices(matrix)
    parts = (
        np.eye(len(space.embed_dims))[matrix[:, EMBED_DIM]],
        np.eye(len(space.num_layers))[matrix[:, NUM_LAYERS]],
        (np.eye(len(space.mlp_ratios))[mlp] * active).reshape(n, -1),
        (np.eye(len(space.num_heads))[heads] * active).reshape(n, -1),
        np.eye(2)[1 - matrix[:, BIAS].astype(np.int64)],
    )
    return np.concatenate(parts, axis=1)


def scaled(space: Space, matrix: IntMatrix) -> NDArray[np.float64]:
    """Choices scaled to 0..1, -1 where a layer is inactive, bias 1 or 0: as documented.

    :return: embed, layers, MLP ratios, heads, bias, shape (n, 3 + 2 * max_layers)
    """
    return _scaled(space, matrix, inactive=-1.0, bias=matrix[:, BIAS].astype(np.float64))


def scaled_as_trained(space: Space, matrix: IntMatrix) -> NDArray[np.float64]:
    """As :func:`scaled`, with 0 where a layer is inactive and bias always 1.

    What the networks were trained on: the authors' reader took the text ``False`` for true.
    """
    return _scaled(space, matrix, inactive=0.0, bias=np.ones(len(matrix)))


def _scaled(
    space: Space, matrix: IntMatrix, *, inactive: float, bias: NDArray[np.float64]
) -> NDArray[np.float64]:
    encoding = Encoding(space)
    active = encoding.active(matrix)
    mlp, heads = encoding.layer_choices(matrix)
    parts = (
        _unit(space.embed_dims)[matrix[:, EMBED_DIM]][:, None],
        _unit(space.num_layers)[matrix[:, NUM_LAYERS]][:, None],
        np.where(active, _unit(space.mlp_ratios)[mlp], inactive),
        np.where(active, _unit(space.num_heads)[heads], inactive),
        bias[:, None],
    )
    return np.concatenate(parts, axis=1)


def _unit(choices: Sequence[int]) -> NDArray[np.float64]:
    values = np.array(choices, dtype=np.float64)
    return np.asarray((values - values[0]) / (values[-1] - values[0]))


INPUTS: dict[str, InputFunction] = {
    "one_hot": one_hot,
    "scaled": scaled,
    "scaled_as_trained": scaled_as_trained,
}
"""Input of a network by name."""


@dataclass(frozen=True)
class NetworkTarget:
    """A metric that a network was published for.

    :param inputs: candidates for its input, the documented one first
    :param unit: value of 1 of its output, in the unit of the metric
    """

    inputs: tuple[str, ...]
    unit: float


NETWORK_TARGETS: dict[str, NetworkTarget] = {
    "perplexity": NetworkTarget(("one_hot",), 1.0),
    "memory_float16": NetworkTarget(("scaled", "scaled_as_trained"), 1.0),
    "memory_bfloat16": NetworkTarget(("scaled", "scaled_as_trained"), 1.0),
    "flops": NetworkTarget(("scaled", "scaled_as_trained"), 1e12),
    "params": NetworkTarget(("scaled", "scaled_as_trained"), 1e6),
}
"""Metrics with a published network."""


class PublishedNetwork:
    """A published network of one space.

    :param space: the space
    :param inputs: name of its input, see ``INPUTS``
    :param weights: of each linear layer, shape (outputs, inputs)
    :param biases: of each linear layer, shape (outputs,)
    :param unit: value of 1 of its output
    :raises DataError: the shapes do not fit each other or the input, or a number is not finite
    """

    def __init__(
        self,
        space: Space,
        inputs: str,
        weights: Sequence[NDArray[Any]],
        biases: Sequence[NDArray[Any]],
        unit: float = 1.0,
    ) -> None:
        self.space, self.inputs, self.unit = space, inputs, unit
        self.weights, self.biases = tuple(weights), tuple(biases)
        _check(self)
        self._input = INPUTS[inputs]
        grids = [_to_integers(weight) for weight in weights]
        self._integers = [integers for integers, _ in grids]
        self._steps = [step for _, step in grids]
        self._offsets = [bias.astype(np.float64) for bias in biases]

    def output(self, matrix: IntMatrix) -> NDArray[np.float64]:
        """What torch computes, to 1e-5: the output as published.

        :param matrix: choice indices, shape (n, num_columns); need not be canonical
        :return: shape (n,)
        """
        out = np.empty(len(matrix))
        for begin in range(0, len(matrix), _CHUNK):
            x = self._input(self.space, matrix[begin : begin + _CHUNK])
            for k in range(LAYERS):
                x = x if k == 0 else np.maximum(x, 0.0)
                x = _product(x, self._integers[k]) * self._steps[k] + self._offsets[k]
            out[begin : begin + _CHUNK] = x[:, 0]
        return out

    def __call__(self, matrix: IntMatrix) -> NDArray[np.float64]:
        """Values in the unit of the metric, shape (n,); arguments as in :meth:`output`."""
        return self.output(matrix) * self.unit


def _product(x: NDArray[np.float64], integers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Product with the transpose of integers, every sum exact; x is cut to 40 bits per row.

    :param x: shape (n, p), p at most ``MAX_WIDTH``
    :param integers: whole numbers up to 2^25, shape (q, p)
    :return: shape (n, q)
    """
    _, exponent = np.frexp(np.abs(x).max(axis=1, keepdims=True))
    coarse = np.ldexp(1.0, exponent - PART_BITS)
    fine = np.ldexp(1.0, exponent - 2 * PART_BITS)
    high = np.rint(x / coarse)
    low = np.rint((x - high * coarse) / fine)
    return np.asarray((high @ integers.T) * coarse + (low @ integers.T) * fine)


def _to_integers(weight: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Whole numbers up to 2^25 and the power of two that each row of them is a multiple of."""
    values = weight.astype(np.float64)
    _, exponent = np.frexp(np.abs(values).max(axis=1))
    step = np.ldexp(1.0, exponent - WEIGHT_BITS)
    return np.rint(values / step[:, None]), step


def _check(network: PublishedNetwork) -> None:
    if network.inputs not in INPUTS:
        raise DataError(str(unknown("input", network.inputs, INPUTS)))
    if len(network.weights) != LAYERS or len(network.biases) != LAYERS:
        raise DataError(f"{len(network.weights)} layers; expected {LAYERS}")
    probe = np.zeros((1, len(network.space.choices)), dtype=np.uint8)
    width = INPUTS[network.inputs](network.space, probe).shape[1]
    for k, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True), start=1):
        outputs = bias.shape[0] if bias.ndim == 1 else 0
        last = outputs == 1 or k < LAYERS
        if weight.shape != (outputs, width) or not 0 < outputs <= MAX_WIDTH or not last:
            raise DataError(
                f"layer {k} has shapes {weight.shape} and {bias.shape}; expected {width} inputs, "
                f"at most {MAX_WIDTH} outputs, and one output of the last"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise DataError(f"layer {k} has weights that are not finite")
        width = outputs
    if width > MAX_WIDTH or not (np.isfinite(network.unit) and network.unit > 0):
        raise DataError(f"unit {network.unit!r} is not positive")


def array_names(target: str) -> list[tuple[str, str]]:
    """Names in the npz of weight and bias of each layer of a target."""
    return [(f"{target}/weight{k}", f"{target}/bias{k}") for k in range(1, LAYERS + 1)]
