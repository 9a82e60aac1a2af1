"""Architectures as the source writes them: a string in stats.pkl, a dict in raw profiler output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwgpt_blackbox.domain.encoding import FIRST_LAYER
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError

_BIAS = {"False": 0, "True": 1}


class ArchitectureStrings:
    """Reads and writes the architectures of one space.

    :param space: the space
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self._layers = {value: i for i, value in enumerate(space.num_layers)}
        self._embed = {value: i for i, value in enumerate(space.embed_dims)}
        self._mlp = {value: i for i, value in enumerate(space.mlp_ratios)}
        self._heads = {value: i for i, value in enumerate(space.num_heads)}

    def from_string(self, text: Any, where: str) -> list[int]:
        """Canonical choice indices of ``gpt-s-12-768-…``.

        :param where: file, for messages
        :raises DataError: it is no architecture of the space
        """
        try:
            layers, embed, *rest, bias = text.removeprefix(f"gpt-{self.space.name}-").split("-")
            n = int(layers)
            if len(rest) != 2 * n:
                raise ValueError
            choices = list(map(int, rest))
            row = self._row(n, int(embed), choices[:n], choices[n:], _BIAS[bias])
            if self.to_string(row) != text:
                raise ValueError  # another beginning, or a number as 012
        except (AttributeError, KeyError, ValueError):
            raise DataError(
                f"{where}: {_shown(text)} is no architecture of space {self.space.name}; expected "
                f"gpt-{self.space.name}-<layers>-<embed>-<mlp ratios>-<heads>-<True|False> with "
                f"the choices {self._choices()}"
            ) from None
        return row

    def from_sample(self, sample: Any, where: str) -> list[int]:
        """Canonical choice indices of the ``arch`` dict of raw profiler output.

        Lists of MLP ratios and heads have entries of layers that do not exist; they are left out.

        :param where: file and position, for messages
        :raises DataError: it is no architecture of the space
        """
        try:
            n = sample["sample_n_layer"]
            mlp, heads = sample["sample_mlp_ratio"], sample["sample_n_head"]
            if min(len(mlp), len(heads)) < n:
                raise ValueError
            bias = _BIAS[str(sample["sample_bias"])]  # Booleans, or as text
            return self._row(n, sample["sample_embed_dim"], mlp[:n], heads[:n], bias)
        except (KeyError, TypeError, ValueError):
            raise DataError(
                f"{where}: 'arch' is no architecture of space {self.space.name} with the choices "
                f"{self._choices()}; is the file in the folder of its own scale?"
            ) from None

    def to_string(self, row: Sequence[int]) -> str:
        """The architecture string of canonical choice indices."""
        space = self.space
        n = space.num_layers[row[0]]
        mlp = row[FIRST_LAYER : FIRST_LAYER + n]
        middle = FIRST_LAYER + space.max_layers
        parts = (
            f"gpt-{space.name}-{n}-{space.embed_dims[row[1]]}",
            *(str(space.mlp_ratios[i]) for i in mlp),
            *(str(space.num_heads[i]) for i in row[middle : middle + n]),
            str(bool(row[2])),
        )
        return "-".join(parts)

    def _row(
        self, layers: int, embed: int, mlp: Sequence[int], heads: Sequence[int], bias: int
    ) -> list[int]:
        inactive = [0] * (self.space.max_layers - layers)
        row = [self._layers[layers], self._embed[embed], bias]
        row += [self._mlp[value] for value in mlp]
        row += inactive
        row += [self._heads[value] for value in heads]
        return row + inactive

    def _choices(self) -> str:
        space = self.space
        return (
            f"layers {space.num_layers}, embed {space.embed_dims}, "
            f"MLP ratio {space.mlp_ratios}, heads {space.num_heads}"
        )


def _shown(text: Any) -> str:
    return repr(text[:200]) if isinstance(text, str) else f"a {type(text).__name__}"
