"""The seven search spaces, one row each (HW-GPT-Bench, arXiv 2405.10299, table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from hwgpt_blackbox.errors import InputError, unknown

SEQUENCE_LENGTH = 1024
"""Tokens per sequence of a forward pass."""

VOCABULARY = 50254
"""Entries of the token embedding that the parameter formula counts."""

HEAD_SIZE = 64
"""Width of one attention head at every embedding width."""

ROTARY_SHARE = 0.5
"""Share of a head's width that rotary position embedding turns."""

NORM_EPSILON = 1e-5
"""Added to the variance in layer normalisation."""


@dataclass(frozen=True)
class Space:
    """A search space: the choices of every hyperparameter and the batch of one forward pass.

    :param name: ``s``, ``m``, ``l``, or one of the wide spaces
    :param embed_dims: embedding widths, ascending
    :param num_layers: depths, ascending
    :param mlp_ratios: ratios of hidden to embedding width of an MLP, ascending
    :param num_heads: numbers of attention heads of a layer, ascending
    :param batch_size: sequences of 1,024 tokens in one forward pass
    :param measured: whether measurements of it were published
    """

    name: str
    embed_dims: tuple[int, ...]
    num_layers: tuple[int, ...]
    mlp_ratios: tuple[int, ...]
    num_heads: tuple[int, ...]
    batch_size: int
    measured: bool

    @property
    def max_layers(self) -> int:
        """Layers of the deepest architecture: the number of ``mlp_ratio_<i>`` keys."""
        return self.num_layers[-1]

    @cached_property
    def choices(self) -> dict[str, tuple[int, ...]]:
        """Hyperparameter name to its ascending choices, in the order of the encoding."""
        per_layer = range(self.max_layers)
        return {
            "num_layers": self.num_layers,
            "embed_dim": self.embed_dims,
            "bias": (False, True),
            **{f"mlp_ratio_{i}": self.mlp_ratios for i in per_layer},
            **{f"num_heads_{i}": self.num_heads for i in per_layer},
        }

    @property
    def num_architectures(self) -> int:
        """Number of distinct architectures (configurations in canonical form)."""
        per_layer = len(self.mlp_ratios) * len(self.num_heads)
        total: int = sum(per_layer**n for n in self.num_layers)
        return 2 * len(self.embed_dims) * total

    def config_space(self) -> dict[str, Any]:
        """The Syne Tune configuration space: every hyperparameter a ``choice``."""
        from syne_tune.config_space import choice

        return {name: choice(list(values)) for name, values in self.choices.items()}


SPACES: Mapping[str, Space] = MappingProxyType(
    {
        row.name: row
        for row in (
            #     name    embed_dim         layers        MLP ratio  heads        batch measured
            Space("s", (192, 384, 768), (10, 11, 12), (2, 3, 4), (4, 8, 12), 8, True),
            Space("m", (256, 512, 1024), (22, 23, 24), (2, 3, 4), (8, 12, 16), 4, True),
            Space("l", (320, 640, 1280), (34, 35, 36), (2, 3, 4), (8, 16, 20), 1, True),
            Space("s-wide", (192, 384, 768), (3, 6, 12), (1, 2, 4), (3, 6, 12), 8, False),
            Space("m-wide", (256, 512, 1024), (6, 12, 24), (1, 2, 4), (4, 8, 16), 4, False),
            Space("l-wide", (320, 640, 1280), (9, 18, 36), (1, 2, 4), (5, 10, 20), 1, False),
            Space("xl-wide", (400, 800, 1600), (12, 24, 48), (1, 2, 4), (6, 12, 25), 1, False),
        )
    }
)
"""Every space by name; read-only, since only these have models or counts."""

MEASURED_SPACES: tuple[str, ...] = tuple(row.name for row in SPACES.values() if row.measured)
"""Names of the spaces that have blackboxes."""


def get_space(name: str, *, measured: bool = False) -> Space:
    """The space called ``name``.

    :param measured: admit only spaces with published measurements
    :raises InputError: there is none
    """
    known = MEASURED_SPACES if measured else tuple(SPACES)
    if measured and isinstance(name, str) and name in SPACES and name not in known:
        raise InputError(
            f"no measurements of space {name!r} were published: it has definitions, parameters and "
            f"FLOPs only; choose one of {', '.join(known)}"
        )
    if not isinstance(name, str) or name not in known:
        raise unknown("space", name, known)
    return SPACES[name]
