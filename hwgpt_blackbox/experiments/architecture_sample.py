"""Architectures to describe a space with: measured ones where a table is at hand, else random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, NUM_LAYERS, Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, Column, Measured, dataset_columns
from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.spaces import find_space
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
        encoding = Encoding(find_space(self.space))
        space, means = encoding.space, encoding.mean_layer_choices(self.matrix)
        return pd.DataFrame(
            {
                "embed_dim": np.array(space.embed_dims)[self.matrix[:, EMBED_DIM]],
                "num_layers": np.array(space.num_layers)[self.matrix[:, NUM_LAYERS]],
                "bias": self.matrix[:, BIAS].astype(np.int64),
                "mlp_ratio": means[:, 0],
                "num_heads": means[:, 1],
            }
        )


def sample_architectures(
    space: str,
    dataset: str,
    columns: Sequence[Column] | None,
    *,
    size: int,
    seed: int,
    measured: bool = True,
) -> ArchitectureSample:
    """Architectures with expected values.

    :param dataset: a device, or ``all``: what a table is asked for
    :param columns: objectives of that dataset; None: all that the sample has, but elapsed time
    :param size: how many architectures; a table may have fewer
    :param measured: take them from the table artifact of published measurements, if one is at hand
        and has the objectives; tables of users are of a few architectures
    """
    from hwgpt_blackbox.storage.measured_table import Table

    rng = np.random.default_rng(seed)
    matrix: IntMatrix
    try:
        measured &= find_space(space).measured
        table = Table.read(find(artifact_name(space, tabular=True)).path) if measured else None
    except MissingArtifactError:
        table = None
    if table is not None and not {c.metric for c in columns or ()} <= set(table.metrics):
        table = None
    if table is None:
        surrogate = load_surrogate(space)
        kind, matrix = RANDOM, Encoding(find_space(space)).sample(size, rng)
        columns = columns or _but_elapsed_time(dataset, surrogate.measured)
        values = Predictor(surrogate, columns).expected(matrix)
    else:
        from hwgpt_blackbox.blackboxes.table_blackbox import TabularBlackbox

        matrix = table.matrix[rng.permutation(len(table.matrix))[:size]]
        kind, blackbox = MEASURED, TabularBlackbox(table, dataset)
        columns = columns or _but_elapsed_time(dataset, table.measured)
        names = {c: name for name, c in dataset_columns(dataset, table.measured).items()}
        chosen = [blackbox.objectives_names.index(names[column]) for column in columns]
        values = blackbox.expected_values(matrix)[:, chosen]
    frame = pd.DataFrame(values, columns=[column.target for column in columns])
    return ArchitectureSample(space, kind, matrix, frame)


def _but_elapsed_time(dataset: str, known: Measured) -> list[Column]:
    """The columns of a dataset that are measured or computed of the architecture itself."""
    columns = dataset_columns(dataset, known).values()
    return [column for column in columns if column.metric != ELAPSED_TIME]
