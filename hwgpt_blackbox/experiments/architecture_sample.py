"""Architectures to describe a space with: measured ones where a table is at hand, else random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import Column, dataset_columns
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.surrogates import load_surrogate

RANDOM, MEASURED = "random", "measured"
"""Kinds of samples: uniform, with the surrogate's values; or rows of the table."""


@dataclass(frozen=True)
class ArchitectureSample:
    """Architectures of a space and their expected values.

    :param space: name of the space
    :param kind: ``random`` or ``measured``
    :param matrix: choice indices, shape (n, hyperparameters)
    :param values: natural units, a column per objective (``latency@a100``), n rows
    """

    space: str
    kind: str
    matrix: IntMatrix
    values: pd.DataFrame

    @property
    def hyperparameters(self) -> pd.DataFrame:
        """``embed_dim``, ``num_layers``, ``bias``, and means over active layers of the others."""
        encoding = Encoding(get_space(self.space))
        space, active = encoding.space, encoding.active(self.matrix)
        mlp, heads = encoding.layer_choices(self.matrix)

        def mean(choices: tuple[int, ...], indices: IntMatrix) -> NDArray[np.float64]:
            total = (np.array(choices)[indices] * active).sum(axis=1)
            return np.asarray(total / active.sum(axis=1), dtype=np.float64)

        return pd.DataFrame(
            {
                "embed_dim": np.array(space.embed_dims)[self.matrix[:, EMBED_DIM]],
                "num_layers": np.array(space.num_layers)[self.matrix[:, NUM_LAYERS]],
                "bias": self.matrix[:, BIAS].astype(np.int64),
                "mlp_ratio": mean(space.mlp_ratios, mlp),
                "num_heads": mean(space.num_heads, heads),
            }
        )


def sample_architectures(
    space: str,
    dataset: str,
    columns: Sequence[Column],
    *,
    size: int,
    seed: int,
    measured: bool = True,
) -> ArchitectureSample:
    """Architectures with expected values.

    :param dataset: a device, or ``all``: what a table is asked for
    :param columns: objectives of that dataset
    :param size: how many architectures; a table may have fewer
    :param measured: take them from the table artifact if one is at hand
    """
    rng = np.random.default_rng(seed)
    matrix: IntMatrix
    try:
        folder = find(artifact_name(space, tabular=True)).path if measured else None
    except MissingArtifactError:
        folder = None
    if folder is None:
        kind, matrix = RANDOM, Encoding(get_space(space)).sample(size, rng)
        values = Predictor(load_surrogate(space), columns).expected(matrix)
    else:
        from hwgpt_blackbox.blackboxes.table_blackbox import TabularBlackbox
        from hwgpt_blackbox.storage.measured_table import Table

        table = Table.read(folder)
        matrix = table.matrix[rng.permutation(len(table.matrix))[:size]]
        kind, blackbox = MEASURED, TabularBlackbox(table, dataset)
        names = {column: name for name, column in dataset_columns(dataset).items()}
        chosen = [blackbox.objectives_names.index(names[column]) for column in columns]
        values = blackbox.expected_values(matrix)[:, chosen]
    frame = pd.DataFrame(values, columns=[column.target for column in columns])
    return ArchitectureSample(space, kind, matrix, frame)
