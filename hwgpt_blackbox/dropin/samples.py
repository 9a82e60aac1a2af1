"""Architectures as the published package passes them: dicts with keys ``sample_…``, and strings."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hwgpt_blackbox.domain.architecture_forms import as_configuration
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, FIRST_LAYER, NUM_LAYERS, Encoding
from hwgpt_blackbox.errors import DataError, InputError

if TYPE_CHECKING:
    from hwgpt_blackbox.domain.architecture_strings import Architectures

LAYERS, EMBED, INDICES = "sample_n_layer", "sample_embed_dim", "sample_layer_indices"
HEADS, MLP, BIASES = "sample_n_head", "sample_mlp_ratio", "sample_bias"


class Samples:
    """Reads and writes the published forms of the architectures of one space.

    :param encoding: of the space
    """

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.space = encoding.space

    @cached_property
    def strings(self) -> Architectures:
        """Reads and writes architecture strings."""
        from hwgpt_blackbox.domain.architecture_strings import Architectures  # loads pandas

        return Architectures(self.space)

    def read(self, architecture: Any) -> list[int]:
        """Choice indices of an architecture, in canonical form.

        :param architecture: a string ``gpt-s-12-768-…``, or what
            :func:`~hwgpt_blackbox.domain.architecture_forms.as_configuration` reads
        :raises InputError: it is not of the space; names key, value and choices
        """
        if isinstance(architecture, str):
            return self.from_string(architecture)
        configuration = as_configuration(self.space, architecture)
        return self.encoding.canonical_row(self.encoding.encode_one(configuration))

    def from_string(self, text: str) -> list[int]:
        """Choice indices of an architecture string.

        :raises InputError: it is none of the space
        """
        try:
            return self.strings.from_string(text, "architecture")
        except DataError as error:
            raise InputError(str(error)) from None

    def write(self, row: Sequence[int]) -> dict[str, Any]:
        """The dict of an architecture as the newest published version draws it: lists as long as
        the deepest network, and the bias as text.

        :param row: canonical choice indices
        """
        space, middle = self.space, FIRST_LAYER + self.space.max_layers
        layers = space.num_layers[row[NUM_LAYERS]]
        return {
            EMBED: space.embed_dims[row[EMBED_DIM]],
            LAYERS: layers,
            INDICES: list(range(layers)),
            HEADS: [space.num_heads[i] for i in row[middle:]],
            MLP: [space.mlp_ratios[i] for i in row[FIRST_LAYER:middle]],
            BIASES: str(bool(row[BIAS])),
        }
