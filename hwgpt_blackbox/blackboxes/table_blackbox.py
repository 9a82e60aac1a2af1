"""The Syne Tune blackboxes that answer from the measured table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular
from syne_tune.config_space import randint

from hwgpt_blackbox.blackboxes.surrogate_blackbox import FIDELITY
from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.encoding import Configurations
from hwgpt_blackbox.domain.objectives import Column, dataset_columns
from hwgpt_blackbox.errors import DataError, InputError, unknown
from hwgpt_blackbox.models.noise import check_repeat
from hwgpt_blackbox.storage.measured_table import Table


class TabularBlackbox(BlackboxTabular):  # type: ignore[misc]
    """Measured architectures on one device, or on all; any name of an architecture finds its row.

    :param table: the table
    :param dataset: a device, or ``all``
    """

    def __init__(self, table: Table, dataset: str) -> None:
        columns = dataset_columns(dataset, table.measured)
        # Not BlackboxTabular's own initialiser: it indexes 75 columns anew for every device.
        Blackbox.__init__(
            self,
            configuration_space=table.space.config_space(),
            fidelity_space={FIDELITY: randint(1, 1)},
            objectives_names=list(columns),
        )
        self.table = table
        self.space = table.space
        self.dataset = dataset
        self.encoding = table.encoding
        self.hyperparameters = table.hyperparameters
        self.num_seeds = table.objectives.shape[2]
        self.num_fidelities = 1
        self._fidelity_values = np.array([1])
        self.fidelity_map = {1: 0}
        self._columns = list(columns.values())
        self._sources = [_source(table, column) for column in self._columns]
        self._rng = np.random.default_rng()

    @cached_property
    def objectives_evaluations(self) -> NDArray[np.float64]:
        """Every measurement, shape (rows, repeats, 1, objectives).

        Mapped from disk for a device with all its objectives; else made when asked for.
        """
        complete = [j for _, j in self._sources] == list(range(len(self.table.metrics)))
        if self.dataset != ALL_DEVICES and complete:
            return self.table.objectives[self.table.devices.index(self.dataset)]  # type: ignore[no-any-return]
        parts = [self.table.objectives[d, ..., j].max(axis=0) for d, j in self._sources]
        return np.stack(parts, axis=-1)

    def __getstate__(self) -> dict[str, Any]:
        """For pickles: what comes from the table is left out, it is read again."""
        from_table = ("hyperparameters", "objectives_evaluations", "_means")
        return {name: value for name, value in vars(self).items() if name not in from_table}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Back from a pickle."""
        self.__dict__.update(state, hyperparameters=state["table"].hyperparameters)

    @cached_property
    def _means(self) -> NDArray[np.float64]:
        """Expected values of the rows, shape (rows, objectives)."""
        stored = self.table.objectives
        with np.errstate(invalid="ignore", over="ignore"):
            means = [
                stored[d, :, :, 0, j].max(axis=0).mean(axis=-1, dtype=np.float64)
                for d, j in self._sources
            ]
        return _checked(np.stack(means, axis=-1))

    def canonical_form(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration of the same architecture in canonical form.

        :raises InputError: the configuration is not of this space
        """
        return self.encoding.canonical_form(configuration)

    def objective_function(
        self,
        configuration: Mapping[str, Any] | int,
        fidelity: Any = None,
        seed: int | None = None,
    ) -> Any:
        """One measurement of one architecture of the table.

        :param configuration: every hyperparameter of the space, or the number of a row
        :param fidelity: 1, or None
        :param seed: number of the repeat, 0 to 49; None draws it from the blackbox's own generator
        :return: shape (1, objectives) without fidelity, else a dict of objectives
        :raises InputError: bad configuration, fidelity or seed, or not in the table
        """
        named = isinstance(fidelity, Mapping)
        if fidelity is not None and (dict(fidelity) != {FIDELITY: 1} if named else fidelity != 1):
            raise InputError(f"fidelity is {fidelity!r}; the table has the level 1 only")
        if seed is None:
            seed = int(self._rng.integers(self.num_seeds))
        elif check_repeat(seed) >= self.num_seeds:
            raise InputError(f"seed is {seed}; the table has repeats 0 to {self.num_seeds - 1}")
        row = self._row(configuration)
        stored = self.table.objectives
        values = _checked(np.array([stored[d, row, seed, 0, j].max() for d, j in self._sources]))
        if fidelity is None:
            return values[None]
        return dict(zip(self.objectives_names, values.tolist(), strict=True))

    def expected_values(self, configurations: Configurations) -> NDArray[np.float64]:
        """Means over the repeats of architectures of the table.

        :param configurations: dicts, a DataFrame, or choice indices of shape (n, hyperparameters):
            see :meth:`.Encoding.as_matrix`
        :return: shape (n, objectives), columns as in ``objectives_names``, natural units
        :raises InputError: a configuration is not of this space, or not in the table
        """
        matrix = self.encoding.canonical(self.encoding.as_matrix(configurations))
        return self._means[[self._find(row) for row in matrix.astype(np.uint8)]]

    def rename_objectives(self, objective_name_mapping: dict[str, str]) -> TabularBlackbox:
        """A blackbox with the objectives named, under new names.

        :param objective_name_mapping: present name to new name
        :raises InputError: a name is not an objective
        """
        for name in objective_name_mapping:
            if name not in self.objectives_names:
                raise unknown("objective", name, self.objectives_names)
        other = TabularBlackbox(self.table, self.dataset)
        keep = [self.objectives_names.index(name) for name in objective_name_mapping]
        other.objectives_names = list(objective_name_mapping.values())
        other._columns = [self._columns[i] for i in keep]
        other._sources = [self._sources[i] for i in keep]
        return other

    def _row(self, configuration: Mapping[str, Any] | int) -> int:
        if isinstance(configuration, Mapping):
            return self._find(self.encoding.canonical_row(self.encoding.encode_one(configuration)))
        if not isinstance(configuration, int | np.integer) or not (
            0 <= configuration < len(self.hyperparameters)
        ):
            raise InputError(
                f"row {configuration!r}: expected 0 to {len(self.hyperparameters) - 1}"
            )
        return int(configuration)

    def _find(self, row: Sequence[int] | NDArray[np.uint8]) -> int:
        found = self.table.rows.get(bytes(row))
        if found is None:
            raise InputError(
                f"the architecture {self.encoding.decode_one(row)} is not in the table of "
                f"{len(self.hyperparameters)} measured ones; 'hwgpt-{self.space.name}' answers for "
                "all, or give Syne Tune's BlackboxRepositoryBackend "
                "surrogate='KNeighborsRegressor', which answers with the nearest one"
            )
        return found


def blackboxes_of(table: Table) -> dict[str, TabularBlackbox]:
    """The blackbox of every device, and ``all``."""
    return {name: TabularBlackbox(table, name) for name in (*table.measured.devices, ALL_DEVICES)}


def _checked(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values, if they are positive and finite; all of a table are too many to check at once.

    :raises DataError: they are not
    """
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise DataError(
            "the table holds values that are not positive and finite; convert or pull it again"
        )
    return values


def _source(table: Table, column: Column) -> tuple[list[int], int]:
    """Devices (the largest of which counts) and stored objective of a column."""
    devices = [table.devices.index(name) for name in column.devices]
    return devices or [0], table.metrics.index(column.metric)
