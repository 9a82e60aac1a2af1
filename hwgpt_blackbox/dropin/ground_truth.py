"""The measured table behind the published ground-truth queries, and the supernet's perplexities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.architecture_strings import Architectures
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.dropin.names import EXACT, METRIC_NAMES, PER_DEVICE, as_names, as_row
from hwgpt_blackbox.dropin.units import OURS, PUBLISHED, measured_energy_unit
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.models.surrogate import COUNTED
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.measured_table import Table

if TYPE_CHECKING:
    from hwgpt_blackbox.network.live import LiveAnswers

REPEATS = {"latency": ("latency_repeats", 10), "energy": ("energy_repeats", 50)}
"""Metric to the key of the manifest that says how often each device measured it, and how often a
table holds at most."""


class GroundTruth:
    """The measured table of a space.

    :param space: the space
    :param unit_system: ``ours``: ms, Wh, MB; ``published``: energies of GPUs in kWh
    :raises MissingArtifactError: the table is not on this machine; names the command that makes it
    :raises DataError: it is not sound
    """

    def __init__(self, space: Space, unit_system: str = OURS) -> None:
        self.folder = find(artifact_name(space.name, tabular=True)).path
        self.table = Table.read(self.folder, space.name)
        self.unit_system = unit_system
        self._encoding, self._strings = Encoding(space), Architectures(space)
        counts = self.table.manifest.get("counts")
        self._counts = counts if isinstance(counts, dict) else {}
        filled, self._accuracy = self.table.read_side()
        self._measured = ~filled

    def __len__(self) -> int:
        """Number of architectures."""
        return len(self.table.matrix)

    def one(self, architecture: str, metric: str, device: str | None = None) -> Any:
        """What was measured of one architecture.

        :param architecture: its string
        :param metric: under its published name
        :param device: for latencies and energies
        :return: a list of ms or of energies; a number of what was measured once, or exactly
        :raises InputError: unknown device, or it was not measured
        """
        number = self.table.rows.get(bytes(as_row(self._encoding, architecture)))
        if number is None:
            raise InputError(
                f"{architecture} is not among the {len(self)} measured architectures; query() "
                "answers for every one of the space"
            )
        (value,) = self._values(metric, device, slice(number, number + 1))
        if value is None:
            raise InputError(
                f"the perplexity of {architecture} was not measured; query(metric='perplexity') "
                "predicts it"
            )
        return value

    def every(self, metric: str, device: str | None = None) -> dict[str, Any]:
        """What was measured of every architecture, by string, in the order of measurement.

        :param metric: under its published name
        :param device: for latencies and energies
        :return: those on which it was measured, values as :meth:`one` returns them
        :raises InputError: unknown device
        """
        strings = map(self._strings.to_string, self.table.matrix.tolist())
        found = zip(strings, self._values(metric, device, slice(None)), strict=True)
        return {string: value for string, value in found if value is not None}

    def _values(self, metric: str, device: str | None, rows: slice) -> list[Any]:
        """What was measured of some rows, None where nothing was."""
        ours = METRIC_NAMES[metric]
        if metric in PER_DEVICE:
            return self._repeats(ours, as_names("device", device, tuple(DEVICES))[0], rows)
        column = self.table.objectives[0, :, 0, 0, self.table.metrics.index(ours)]
        values = np.asarray(column[rows], dtype=np.float64).tolist()
        if ours in COUNTED:
            return [int(value) for value in values]
        if ours != "perplexity":
            return values  # type: ignore[no-any-return]
        known = self._measured[rows].tolist()
        return [value if sure else None for value, sure in zip(values, known, strict=True)]

    def _repeats(self, metric: str, device: str, rows: slice) -> list[Any]:
        """Every measurement of some rows: a list each, or a number where means alone are known."""
        key, most = REPEATS[metric]
        stored = self.table.objectives[
            list(DEVICES).index(device), :, :, 0, self.table.metrics.index(metric)
        ]
        counted = self._counts.get(key)
        times = counted.get(device) if isinstance(counted, dict) else None
        if type(times) is not int or not 1 <= times <= most:
            times = most
        values = np.asarray(stored[rows, : min(times, stored.shape[1])], dtype=np.float64)
        if metric == "energy":
            if self.unit_system == PUBLISHED:
                values = values / measured_energy_unit(device)
            if times == 1:
                return values[:, 0].tolist()  # type: ignore[no-any-return]
        return values.tolist()  # type: ignore[no-any-return]

    def supernet(
        self, matrix: IntMatrix, live: LiveAnswers | None = None
    ) -> dict[str, NDArray[np.float64]]:
        """What the trained supernet was measured to have.

        :param matrix: canonical choice indices, shape (n, num_columns)
        :param live: evaluates the architectures that were not measured; None: they are an error
        :return: ``accuracy`` (share of next tokens, NaN where it is not known) and ``perplexity``,
            each of shape (n,)
        :raises InputError: an architecture was not measured; says what would be needed
        """
        rows = [self.table.rows.get(row.tobytes(), -1) for row in matrix.astype(np.uint8)]
        missing = [i for i, row in enumerate(rows) if row < 0 or not self._measured[row]]
        if missing and live is None:
            raise InputError(
                f"the perplexity of {self._strings.to_string(matrix[missing[0]].tolist())} was not "
                f"measured on the supernet: the table has {int(self._measured.sum())} that were. "
                "HWGPT(…, supernet=PATH, text=PATH) evaluates it with a checkpoint, torch and a "
                "text; predictor='mlp' predicts it"
            )
        stored = self.table.objectives[0, :, 0, 0, self.table.metrics.index("perplexity")]
        found = {
            "accuracy": np.asarray(self._accuracy[rows], dtype=np.float64),
            "perplexity": np.asarray(stored[rows], dtype=np.float64),
        }
        if live is not None:
            for name, values in evaluated(live, self._encoding, matrix[missing]).items():
                found[name][missing] = values
        return found


def evaluated(
    live: LiveAnswers, encoding: Encoding, matrix: IntMatrix
) -> dict[str, NDArray[np.float64]]:
    """What a supernet is evaluated to have, on this machine now.

    :param matrix: canonical choice indices, shape (n, num_columns)
    :return: ``accuracy`` and ``perplexity``, each of shape (n,)
    """
    answers = np.array([live(c) for c in encoding.decode(matrix)], dtype=float).reshape(-1, 2)
    return {"accuracy": 1.0 - answers[:, 1], "perplexity": answers[:, 0]}


class PublishedStats(Mapping[str, dict[str, Any]]):
    """The table as the published ``gt_stats``, read when asked.

    :param truth: the table
    """

    def __init__(self, truth: GroundTruth) -> None:
        self._truth = truth

    def __getitem__(self, architecture: str) -> dict[str, Any]:
        """Devices to their ``latencies`` and ``energies``, and what depends on none; perplexity
        where it was measured.
        """
        one = self._truth.one
        try:
            found = {name: one(architecture, name) for name in EXACT}
        except InputError as error:
            raise KeyError(str(error)) from None
        with suppress(InputError):  # not measured
            found["perplexity"] = one(architecture, "perplexity")
        for device in DEVICES:
            found[device] = {name: one(architecture, name, device) for name in PER_DEVICE}
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._truth.every("flops"))

    def __len__(self) -> int:
        return len(self._truth)
