"""Predicted values in the units of answers: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.objectives import METRICS, Column, OwnDevices
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.dropin.names import (
    METRIC_NAMES,
    PUBLISHED,
    predicted_energy_unit,
    published_flops,
    published_params,
)
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

    @property
    def own_devices(self) -> OwnDevices:
        """Users' devices beside the 13."""
        return self.surrogate.own_devices

    def columns(
        self, metrics: Sequence[str], devices: Sequence[str], *, lenient: bool
    ) -> list[Column]:
        """What to predict for an answer; FLOPs and parameters are counted instead.

        :param metrics: published names
        :param lenient: whether to leave out what a user's own device lacks
        :raises InputError: a user's own device lacks a metric
        """
        found = []
        for name in metrics:
            metric = METRIC_NAMES[name]
            if METRICS[metric].per_device:
                for device in devices:
                    if device not in self.own_devices or metric in self.own_devices[device]:
                        found.append(Column(metric, device))
                    elif not lenient:
                        raise InputError(f"{name} were not measured on {device}; leave it out")
            elif metric not in COUNTED:
                found.append(Column(metric))
        return found

    def values(
        self, matrix: IntMatrix, columns: Sequence[Column], repeats: NDArray[np.uint64] | None
    ) -> dict[Column, NDArray[np.float64]]:
        """Measurements, or expected values.

        :param matrix: checked choice indices, shape (n, num_columns)
        :param repeats: numbers of the repeats, shape (n,) or (1,); None: expected values
        :return: for each column shape (n,)
        """
        key = tuple(columns)
        if not key:
            return {}
        if key not in self._predictors:
            self._predictors[key] = Predictor(self.surrogate, key)
        predictor = self._predictors[key]
        values = (
            predictor.expected(matrix)
            if repeats is None
            else predictor.measurements(matrix, repeats)
        )
        found = dict(zip(key, values.T, strict=True))
        for column in key if self.published else ():
            if column.metric == "energy":
                found[column] = found[column] / predicted_energy_unit(str(column.device))
        return found

    def counted(
        self, metric: str, matrix: IntMatrix, biased: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """FLOPs or parameters.

        :param metric: ``flops`` or ``params``
        :param biased: whether the published package builds biases, shape (n,)
        :return: shape (n,)
        """
        if not self.published:
            return count(self.encoding, matrix, metric)
        formula = {"flops": published_flops, "params": published_params}[metric]
        return formula(self.encoding, matrix, biased)

    def published_perplexity(self, matrix: IntMatrix) -> NDArray[np.float64]:
        """What the published network says, shape (n,).

        :raises MissingArtifactError: it is not on this machine
        """
        space = self.surrogate.space.name
        folder = find(artifact_name(space, part="published")).path
        return read_networks(folder, ["perplexity"], space)["perplexity"](matrix)
