"""The network of an architecture as a torch module.

The shapes of the gated network follow from the published counts (30,000 architectures, exact): with
width e, bias b, MLP ratio m and h heads of width 64, a layer has two normalisations (4e),
projections to and from heads (256eh, 192bh + be) and a gated MLP (3e²m, 2bem + be); around them are
two tables (2 · 50254e) and a normalisation (2e). The other network was trained as the supernet: its
MLP has no gate (2e²m, bem + be), and its output layer is the table of the embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwgpt_blackbox.domain.model_config import ModelConfig
from hwgpt_blackbox.domain.spaces import NETWORKS
from hwgpt_blackbox.errors import InputError

GATED = NETWORKS[0]
"""The network with a gated MLP and an output layer of its own."""

ROTARY_BASE = 10_000.0
"""Wavelengths of rotary positions grow from 2π to 2π times this."""


class GPT(nn.Module):
    """Token numbers to logits of the next token.

    :param config: what to build
    :param device: of torch
    """

    def __init__(self, config: ModelConfig, *, device: str = "cpu") -> None:
        super().__init__()
        width, place = config.embed_dim, torch.device(device)
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary, width, device=place)
        self.layers = nn.ModuleList(
            Layer(config, ratio, heads, place)
            for ratio, heads in zip(config.mlp_ratios, config.num_heads, strict=True)
        )
        self.norm = _norm(config, place)
        self.output: nn.Linear | None = None  # tied: the table of the embedding
        if config.network == GATED:
            self.output = nn.Linear(width, config.vocabulary, bias=False, device=place)

    @property
    def num_parameters(self) -> int:
        """Number of parameters, counted."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the next token at every position.

        :param tokens: integers below the vocabulary, shape (batch, length)
        :return: shape (batch, length, vocabulary)
        :raises InputError: wrong shape, or longer than the model's sequences
        """
        check_tokens(tokens, self.config)
        x = self.embedding(tokens)
        angles = rotation(self.config, tokens.shape[1], x)
        for layer in self.layers:
            x = layer(x, *angles)
        x = self.norm(x)
        if self.output is None:
            return functional.linear(x, self.embedding.weight)
        logits: Tensor = self.output(x)
        return logits


class Layer(nn.Module):
    """Attention and MLP side by side, each behind a normalisation of its own.

    :param config: of the model
    :param ratio: MLP ratio
    :param heads: number of heads
    :param device: of torch
    """

    def __init__(self, config: ModelConfig, ratio: int, heads: int, device: torch.device) -> None:
        super().__init__()
        self.attention_norm = _norm(config, device)
        self.attention = Attention(config, heads, device)
        self.mlp_norm = _norm(config, device)
        self.mlp = MLP(config, ratio, device)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Shape (batch, length, width) to the same."""
        attended: Tensor = self.attention(self.attention_norm(x), cosine, sine)
        transformed: Tensor = self.mlp(self.mlp_norm(x))
        return x + attended + transformed


class Attention(nn.Module):
    """Causal attention with rotary positions; heads of one width, however wide the model.

    The rows of ``inputs`` are ordered head by head: query, key and value of head 0, then of head 1.
    So fewer heads are the leading rows.

    :param config: of the model
    :param heads: number of heads
    :param device: of torch
    """

    def __init__(self, config: ModelConfig, heads: int, device: torch.device) -> None:
        super().__init__()
        inner = heads * config.head_size
        self.heads = heads
        self.inputs = nn.Linear(config.embed_dim, 3 * inner, bias=config.bias, device=device)
        self.output = nn.Linear(inner, config.embed_dim, bias=config.bias, device=device)

    def forward(self, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Shape (batch, length, width) to the same."""
        batch, length, _ = x.shape
        parts = self.inputs(x).view(batch, length, self.heads, 3, -1)
        query, key, value = parts.permute(3, 0, 2, 1, 4)  # each (batch, heads, length, head size)
        query, key = (_turn(part, cosine, sine) for part in (query, key))
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        attended: Tensor = self.output(mixed.transpose(1, 2).reshape(batch, length, -1))
        return attended


class MLP(nn.Module):
    """Two linear maps and what is between: exact GELU, or the product with a gate (SiLU).

    :param config: of the model
    :param ratio: hidden width in multiples of the width
    :param device: of torch
    """

    def __init__(self, config: ModelConfig, ratio: int, device: torch.device) -> None:
        super().__init__()
        width, hidden = config.embed_dim, config.embed_dim * ratio
        self.gate: nn.Linear | None = None
        if config.network == GATED:
            self.gate = nn.Linear(width, hidden, bias=config.bias, device=device)
        self.inner = nn.Linear(width, hidden, bias=config.bias, device=device)
        self.output = nn.Linear(hidden, width, bias=config.bias, device=device)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (batch, length, width) to the same."""
        hidden = self.inner(x)
        if self.gate is None:
            hidden = functional.gelu(hidden)
        else:
            hidden = functional.silu(self.gate(x)) * hidden
        out: Tensor = self.output(hidden)
        return out


def check_tokens(tokens: Tensor, config: ModelConfig) -> None:
    """Raise unless tokens have a shape that a model takes.

    :raises InputError: wrong shape, or longer than the model's sequences
    """
    if tokens.ndim != 2 or not 0 < tokens.shape[1] <= config.sequence_length:
        raise InputError(
            f"tokens has shape {tuple(tokens.shape)}; expected (batch, length) with a length "
            f"from 1 to {config.sequence_length}"
        )


def _norm(config: ModelConfig, device: torch.device) -> nn.LayerNorm:
    return nn.LayerNorm(config.embed_dim, eps=config.norm_epsilon, device=device)


def rotation(config: ModelConfig, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the angle of every position, each of shape (length, turned / 2)."""
    pairs = int(config.head_size * config.rotary_share) // 2
    powers = torch.arange(pairs, device=like.device, dtype=torch.float32) / pairs
    positions = torch.arange(length, device=like.device, dtype=torch.float32)
    angles = torch.outer(positions, ROTARY_BASE**-powers)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def _turn(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turn the first dimensions of heads by their position, in pairs half of them apart.

    :param x: shape (batch, heads, length, head size)
    """
    pairs = cosine.shape[-1]
    first, second, rest = x[..., :pairs], x[..., pairs : 2 * pairs], x[..., 2 * pairs :]
    turned = (first * cosine - second * sine, second * cosine + first * sine, rest)
    return torch.cat(turned, dim=-1)
