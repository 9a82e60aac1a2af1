"""Architectures as the published package passes them: dicts with keys ``sample_…``, and strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgpt_blackbox.encoding import BIAS, EMBED_DIM, FIRST_LAYER, NUM_LAYERS, Encoding
from hwgpt_blackbox.errors import DataError, InputError

if TYPE_CHECKING:
    from hwgpt_blackbox.convert.architectures import Architectures

LAYERS, EMBED, INDICES = "sample_n_layer", "sample_embed_dim", "sample_layer_indices"
HEADS, MLP, BIASES = "sample_n_head", "sample_mlp_ratio", "sample_bias"

_REQUIRED = (EMBED, LAYERS, HEADS, MLP, BIASES)
_TEXTS = {"True": True, "False": False}


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
        from hwgpt_blackbox.convert.architectures import Architectures  # loads pandas

        return Architectures(self.space)

    def read(self, architecture: Any) -> list[int]:
        """Choice indices of an architecture, in canonical form.

        :param architecture: a dict with keys ``sample_…``; a string ``gpt-s-12-768-…``; or a
            configuration of ours
        :raises InputError: it is not of the space; names key, value and choices
        """
        if isinstance(architecture, str):
            return self.from_string(architecture)
        if not isinstance(architecture, Mapping):
            raise InputError(
                f"an architecture is a {type(architecture).__name__}; expected a dict with the "
                f"keys {', '.join(_REQUIRED)}, as sample_arch() returns it"
            )
        if "num_layers" in architecture:
            return self.encoding.canonical_row(self.encoding.encode_one(architecture))
        return self._from_sample(architecture)

    def from_string(self, text: str) -> list[int]:
        """Choice indices of an architecture string.

        :raises InputError: it is none of the space
        """
        try:
            return self.strings.from_string(text, "architecture")
        except DataError as error:
            raise InputError(str(error)) from None

    def write(self, row: Sequence[int], *, bias_as_text: bool) -> dict[str, Any]:
        """The dict of an architecture, lists as long as the deepest network, as published.

        :param row: canonical choice indices
        :param bias_as_text: whether bias is ``"True"`` or ``"False"``, as the newest version has it
        """
        space, middle = self.space, FIRST_LAYER + self.space.max_layers
        bias = bool(row[BIAS])
        layers = space.num_layers[row[NUM_LAYERS]]
        return {
            EMBED: space.embed_dims[row[EMBED_DIM]],
            LAYERS: layers,
            INDICES: list(range(layers)),
            HEADS: [space.num_heads[i] for i in row[middle:]],
            MLP: [space.mlp_ratios[i] for i in row[FIRST_LAYER:middle]],
            BIASES: str(bias) if bias_as_text else bias,
        }

    def _from_sample(self, sample: Mapping[str, Any]) -> list[int]:
        missing = [key for key in _REQUIRED if key not in sample]
        if missing:
            raise InputError(
                f"the architecture lacks {', '.join(missing)}; expected the keys "
                f"{', '.join(_REQUIRED)}"
            )
        extra = [key for key in sample if key not in (*_REQUIRED, INDICES)]
        if extra:
            raise InputError(f"the architecture has {extra[0]!r}, which is no key of it; remove it")
        layers = sample[LAYERS]
        row = [self._choice(LAYERS, layers, "num_layers")]
        row.append(self._choice(EMBED, sample[EMBED], "embed_dim"))
        row.append(self._bias(sample[BIASES]))
        self._check_indices(sample.get(INDICES), layers)
        for key, name in ((MLP, "mlp_ratio_0"), (HEADS, "num_heads_0")):
            choices = self._list(key, sample[key], layers)
            row += [self._choice(f"{key}[{i}]", v, name) for i, v in enumerate(choices)]
            row += [0] * (self.space.max_layers - len(choices))
        return row

    def _choice(self, key: str, value: Any, hyperparameter: str) -> int:
        choices = self.space.choices[hyperparameter]
        number = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not number or value not in choices:
            known = ", ".join(map(str, choices))
            raise InputError(f"{key} is {value!r}; choose one of {known} (space {self.space.name})")
        return choices.index(int(value))

    def _bias(self, value: Any) -> int:
        value = _TEXTS.get(value, value) if isinstance(value, str) else value
        if not isinstance(value, bool | np.bool_):
            raise InputError(
                f"{BIASES} is {value!r}; choose True or False, or 'True' or 'False' as text"
            )
        return int(value)

    def _list(self, key: str, values: Any, layers: int) -> Sequence[Any]:
        """The entries of the layers that exist; those beyond are not looked at."""
        plain = isinstance(values, Sequence | np.ndarray) and not isinstance(values, str)
        if not plain or not layers <= len(values) <= self.space.max_layers:
            found = f"{len(values)} entries" if plain else repr(values)
            raise InputError(
                f"{key} is or has {found}; expected a list of {layers} entries ({LAYERS}), or of "
                f"up to {self.space.max_layers}"
            )
        return values[:layers]  # type: ignore[no-any-return]

    def _check_indices(self, indices: Any, layers: int) -> None:
        """Other layers than the first have other perplexities, which nobody measured."""
        if indices is None:
            return
        plain = isinstance(indices, Sequence | np.ndarray) and not isinstance(indices, str)
        if not plain or list(indices) != list(range(layers)):
            raise InputError(
                f"{INDICES} is {indices!r}; expected 0 to {layers - 1} ({LAYERS}), which is what "
                "was measured, or leave the key out"
            )
