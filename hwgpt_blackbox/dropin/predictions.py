"""What the models answer, under published names and in the units of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.dropin.names import METRIC_NAMES, PER_DEVICE
from hwgpt_blackbox.dropin.units import PUBLISHED, PUBLISHED_COUNTS, predicted_energy_unit
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import COUNTED, Surrogate
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.networks import read_networks


class Predictions:
    """Answers of the models of one space.

    :param surrogate: the models
    :param unit_system: of the answers
    """

    def __init__(self, surrogate: Surrogate, unit_system: str) -> None:
        self.surrogate = surrogate
        self.encoding = Encoding(surrogate.space)
        self.published = unit_system == PUBLISHED
        self._predictors: dict[tuple[Column, ...], Predictor] = {}

    def answer(
        self,
        metrics: Sequence[str],
        devices: Sequence[str],
        matrix: IntMatrix,
        *,
        repeats: NDArray[np.uint64] | None,
        biased: NDArray[np.bool_],
        lenient: bool,
    ) -> dict[str, Any]:
        """Measurements, or expected values.

        :param metrics: published names
        :param matrix: checked choice indices, shape (n, num_columns)
        :param repeats: numbers of the repeats, shape (n,) or (1,); None: expected values
        :param biased: whether the published package builds biases, shape (n,)
        :param lenient: whether to leave out what a user's own device lacks
        :return: metric to values of shape (n,), or to such values by device
        :raises InputError: a user's own device lacks a metric
        """
        columns = self._columns(metrics, devices, lenient=lenient)
        predicted = self._predicted(columns, matrix, repeats)
        found: dict[str, Any] = {}
        for name in metrics:
            ours = METRIC_NAMES[name]
            if ours in COUNTED:
                found[name] = self._counted(ours, matrix, biased)
            elif name not in PER_DEVICE:
                found[name] = predicted[Column(ours)]
            elif mine := {c.device: predicted[c] for c in columns if c.metric == ours}:
                found[name] = mine  # a user's own device may lack energy
        return found

    def published_perplexity(self, matrix: IntMatrix) -> NDArray[np.float64]:
        """What the published network says, shape (n,).

        :raises MissingArtifactError: it is not on this machine
        """
        space = self.surrogate.space.name
        folder = find(artifact_name(space, part="published")).path
        return read_networks(folder, ["perplexity"], space)["perplexity"](matrix)

    def _columns(
        self, metrics: Sequence[str], devices: Sequence[str], *, lenient: bool
    ) -> tuple[Column, ...]:
        """What to predict; FLOPs and parameters are counted instead."""
        known, found = self.surrogate.measured, []
        for name in metrics:
            metric = METRIC_NAMES[name]
            if name in PER_DEVICE:
                for device in devices:
                    if known.has(metric, device):
                        found.append(Column(metric, device))
                    elif not lenient:
                        raise InputError(f"{name} were not measured on {device}; leave it out")
            elif metric not in COUNTED:
                if known.has(metric):
                    found.append(Column(metric))
                elif not lenient:
                    raise InputError(f"{name} was not measured in this space; leave it out")
        return tuple(found)

    def _predicted(
        self, columns: tuple[Column, ...], matrix: IntMatrix, repeats: NDArray[np.uint64] | None
    ) -> dict[Column, NDArray[np.float64]]:
        """Values of each column, shape (n,)."""
        if not columns:
            return {}
        if columns not in self._predictors:
            self._predictors[columns] = Predictor(self.surrogate, columns)
        model = self._predictors[columns]
        values = model.expected(matrix) if repeats is None else model.measurements(matrix, repeats)
        found = dict(zip(columns, values.T, strict=True))
        for column in columns if self.published else ():
            if column.metric == "energy":
                found[column] = found[column] / predicted_energy_unit(str(column.device))
        return found

    def _counted(
        self, metric: str, matrix: IntMatrix, biased: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """FLOPs or parameters, shape (n,)."""
        if self.published:
            return PUBLISHED_COUNTS[metric](self.encoding, matrix, biased)
        return count(self.encoding, matrix, metric)
