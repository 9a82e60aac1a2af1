"""The supernet: the largest architecture of a space, whose leading weights are all the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from hwgpt_blackbox.domain.model_config import ModelConfig, model_config
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.network.gpt import GPT, Layer, check_tokens, rotation

WIDTH_OF_INITIAL_DEVIATION, INITIAL_DEVIATION = 768, 0.02
"""Initial weights have this standard deviation in a network of this width (GPT-2)."""


class Supernet(nn.Module):
    """One set of weights that runs every architecture of a space.

    An architecture takes the leading rows and columns of every weight and the first layers; without
    bias the linear maps leave theirs out. They are views: nothing is copied, and gradients reach
    the shared weights.

    :param space: the space
    :param changes: what of the model configurations differs from the space, if anything: the
        published supernets have another network and may have another vocabulary than the networks
        that were profiled
    :param device: of torch; on ``"meta"`` there are no weights yet
    """

    def __init__(
        self, space: Space, changes: Mapping[str, Any] | None = None, *, device: str = "cpu"
    ) -> None:
        super().__init__()
        self.space, self._changes = space, dict(changes or {})
        self.largest = GPT(self.config_of(corner(space, -1)), device=device)
        self._layers: dict[tuple[int, bool, int, int], Layer] = {}

    def initialise(self, seed: int) -> None:
        """Draw initial weights, as GPT-2 does: normal, those that end a branch smaller.

        :param seed: the same seed gives the same weights, on any device
        """
        rng = torch.Generator().manual_seed(seed)
        config = self.largest.config
        deviation = INITIAL_DEVIATION * (WIDTH_OF_INITIAL_DEVIATION / config.embed_dim) ** 0.5
        for name, parameter in self.largest.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "norm" in name:
                nn.init.ones_(parameter)
            else:
                ends = name.endswith(("attention.output.weight", "mlp.output.weight"))
                shrink = (2 * config.num_layers) ** -0.5 if ends else 1.0
                drawn = torch.empty(parameter.shape).normal_(0, deviation * shrink, generator=rng)
                with torch.no_grad():
                    parameter.copy_(drawn)

    def config_of(self, configuration: Mapping[str, Any] | ModelConfig | str) -> ModelConfig:
        """The model configuration of an architecture of the space.

        :raises InputError: it is not of the space; names key, value and choices
        """
        return replace(model_config(self.space, configuration), **self._changes)

    def forward(
        self, tokens: Tensor, configuration: Mapping[str, Any] | ModelConfig | str
    ) -> Tensor:
        """Logits of the next token at every position, of one architecture.

        :param tokens: integers below the vocabulary, shape (batch, length)
        :param configuration: of the space, in any form that ``model_config`` reads
        :return: shape (batch, length, vocabulary)
        :raises InputError: not of the space, wrong shape, or longer than the model's sequences
        """
        config, whole = self.config_of(configuration), self.largest
        check_tokens(tokens, config)
        width = config.embed_dim
        table = _leading(whole.embedding.weight, (config.vocabulary, width))
        x = functional.embedding(tokens, table)
        angles = rotation(config, tokens.shape[1], x)
        choices = zip(config.mlp_ratios, config.num_heads, strict=True)
        for layer, (ratio, heads) in zip(whole.layers, choices, strict=False):
            plain = self._layer(config, ratio, heads)
            x = functional_call(plain, _inherited(layer, plain), (x, *angles))
        weight, bias = (_leading(part, (width,)) for part in (whole.norm.weight, whole.norm.bias))
        x = functional.layer_norm(x, (width,), weight, bias, config.norm_epsilon)
        if whole.output is not None:
            table = _leading(whole.output.weight, (config.vocabulary, width))
        return functional.linear(x, table)

    def extract(self, configuration: Mapping[str, Any] | ModelConfig | str) -> GPT:
        """The sub-network of an architecture as a plain module with weights of its own.

        :param configuration: of the space, in any form that ``model_config`` reads
        :return: what ``build_model`` builds, with a copy of the inherited weights
        :raises InputError: it is not of the space
        """
        plain = GPT(self.config_of(configuration), device="meta")
        weights = {k: v.detach().clone() for k, v in _inherited(self.largest, plain).items()}
        plain.load_state_dict(weights, assign=True)
        return plain

    def _layer(self, config: ModelConfig, ratio: int, heads: int) -> Layer:
        """A plain layer of these choices without weights."""
        key = (config.embed_dim, config.bias, ratio, heads)
        if key not in self._layers:
            self._layers[key] = Layer(config, ratio, heads, torch.device("meta"))
        return self._layers[key]


def corner(space: Space, index: int) -> dict[str, Any]:
    """The configuration of every first (0) or last (-1) choice: the smallest or largest network."""
    return {name: choices[index] for name, choices in space.choices.items()}


def _inherited(whole: nn.Module, plain: nn.Module) -> dict[str, Tensor]:
    """The leading part of every weight of a module that a smaller one has; views."""
    return {
        name: _leading(whole.get_parameter(name), parameter.shape)
        for name, parameter in plain.named_parameters()
    }


def _leading(weight: Tensor, shape: Sequence[int]) -> Tensor:
    """The leading rows and columns; a view."""
    for dimension, size in enumerate(shape):
        if weight.shape[dimension] != size:
            weight = weight.narrow(dimension, 0, size)
    return weight
