"""What the published package calls metrics and choices, and how it writes architectures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hwgpt_blackbox.domain.architecture_forms import as_configuration
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, FIRST_LAYER, NUM_LAYERS, Encoding
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import NORM_EPSILON, ROTARY_SHARE, Space
from hwgpt_blackbox.errors import InputError, unknown

METRIC_NAMES: dict[str, str] = {
    "perplexity": "perplexity",
    "latencies": "latency",
    "energies": "energy",
    "flops": "flops",
    "params": "params",
    "float16_memory": "memory_float16",
    "bfloat16_memory": "memory_bfloat16",
}
"""Published name of a metric to ours, in the order of answers."""

PER_DEVICE = tuple(name for name, ours in METRIC_NAMES.items() if METRICS[ours].per_device)
OF_HARDWARE = tuple(name for name in METRIC_NAMES if name != "perplexity")
EXACT = tuple(name for name in OF_HARDWARE if name not in PER_DEVICE)
"""Published names of metrics: those of a device, all but perplexity, and those of the latter that
depend on no device."""

_PUBLISHED_NAMES = {ours: name for name, ours in METRIC_NAMES.items() if ours != name}

_CHOICES = (
    # ours          search_space         cfg_model.model: choices, and the architecture that is set
    ("embed_dims", "embed_dim_choices", "embed_choices", "n_embd"),
    ("num_layers", "n_layer_choices", "layer_choices", "n_layer"),
    ("mlp_ratios", "mlp_ratio_choices", "mlp_ratio_choices", "mlp_ratio"),
    ("num_heads", "n_head_choices", "head_choices", "n_head"),
)
"""Choices of a space under our name and the published ones; the bias is not among them."""


def as_names(what: str, given: Any, known: Sequence[str]) -> list[str]:
    """One name or several as a list, each once.

    :param what: what they are names of, for messages
    :param given: a name, or a sequence of names
    :raises InputError: none, or one that is not known
    """
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, Sequence | np.ndarray) or not len(names):
        raise InputError(f"{what} is {given!r}; expected a name or a list, of {', '.join(known)}")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise unknown(what, name, known)
    return list(dict.fromkeys(names))


def check_metrics(given: Any) -> list[str]:
    """Metrics under their published names.

    :raises InputError: an unknown one; one of our names is answered with the published name
    """
    for name in [given] if isinstance(given, str) else given if isinstance(given, Sequence) else ():
        if isinstance(name, str) and name in _PUBLISHED_NAMES:
            published = _PUBLISHED_NAMES[name]
            raise InputError(f"metric {name!r} is called {published!r} here, as published")
    return as_names("metric", given, tuple(METRIC_NAMES))


def search_space_choices(space: Space) -> dict[str, list[Any]]:
    """The choices of a space under the published keys; bias as text, as in the newest version."""
    choices: dict[str, list[Any]] = {name: [*getattr(space, ours)] for ours, name, *_ in _CHOICES}
    return choices | {"bias_choices": ["True", "False"]}


def as_row(encoding: Encoding, architecture: Any) -> list[int]:
    """Canonical choice indices of an architecture in any form.

    :raises InputError: it is not of the space; names key, value and choices
    """
    configuration = as_configuration(encoding.space, architecture)
    return encoding.canonical_row(encoding.encode_one(configuration))


def sample_of(space: Space, row: Sequence[int]) -> dict[str, Any]:
    """An architecture as the newest published version draws it: lists as long as the deepest
    network, and the bias as text.

    :param row: canonical choice indices
    """
    layers, middle = space.num_layers[row[NUM_LAYERS]], FIRST_LAYER + space.max_layers
    return {
        "sample_embed_dim": space.embed_dims[row[EMBED_DIM]],
        "sample_n_layer": layers,
        "sample_layer_indices": list(range(layers)),
        "sample_n_head": [space.num_heads[i] for i in row[middle:]],
        "sample_mlp_ratio": [space.mlp_ratios[i] for i in row[FIRST_LAYER:middle]],
        "sample_bias": str(bool(row[BIAS])),
    }


class Settings(dict[str, Any]):
    """Settings by key or attribute, as in the published package; what is not here says so."""

    def __getattr__(self, name: str) -> Any:
        if name not in self:
            raise AttributeError(
                f"{name!r} of the published settings is not provided; provided: {', '.join(self)}"
            )
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def model_settings(space: Space) -> Settings:
    """``cfg_model``: choices of a space, and sizes that its networks share.

    The architecture is the largest one until another is set.

    :return: with one attribute, ``model``
    """
    model = Settings({name: [*getattr(space, ours)] for ours, _, name, _ in _CHOICES})
    model |= {
        "bias_choices": [True, False],
        "block_size": space.sequence_length,
        "vocab_size": space.vocabulary,
        "padded_vocab_size": space.vocabulary,
        "head_size": space.head_size,
        "rotary_percentage": ROTARY_SHARE,
        "norm_eps": NORM_EPSILON,
    }
    model |= {name: getattr(space, ours)[-1] for ours, *_, name in _CHOICES} | {"bias": True}
    return Settings(model=model)
