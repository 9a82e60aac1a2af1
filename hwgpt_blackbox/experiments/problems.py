"""What a run optimises: a space, objectives, and the constants that normalise their values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.encoding import Configurations, Encoding
from hwgpt_blackbox.domain.objectives import (
    NOISY,
    PUBLISHED,
    Column,
    Measured,
    check_device,
    dataset_columns,
    parse_objective,
)
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.models.ideal_and_nadir import (
    REFERENCE_POINT,
    bounds,
    check_bounds,
    stated_bounds,
)
from hwgpt_blackbox.models.surrogate import COUNTED, ERROR, no_error
from hwgpt_blackbox.storage.artifact_kinds import DEVICE, SURROGATE
from hwgpt_blackbox.storage.locations import MANIFEST, find
from hwgpt_blackbox.storage.manifest import read_manifest
from hwgpt_blackbox.storage.spaces import find_measured, find_space
from hwgpt_blackbox.storage.surrogates import (
    counts_of,
    has_models,
    holder,
    load_surrogate,
    measured_in,
)

if TYPE_CHECKING:
    from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox

MIN_OBJECTIVES = 2


@dataclass(frozen=True)
class Problem:
    """A space and two or more objectives, all minimised. Make it with :meth:`parse`.

    :param space: name of the space
    :param objectives: what is minimised, in this order
    :param devices: devices that evaluate an architecture: those of the objectives in order of
        mention; if they have none, the one device on which the evaluation runs. An evaluation
        takes as long as on the slowest of them.
    :param ideal: what normalises to 0, one natural value per objective
    :param nadir: what normalises to 1, one natural value per objective
    """

    space: str
    objectives: tuple[Column, ...]
    devices: tuple[str, ...]
    ideal: tuple[float, ...]
    nadir: tuple[float, ...]

    @classmethod
    def parse(
        cls, space: str | Path | Space, objectives: Sequence[str], *, device: str | None = None
    ) -> Problem:
        """The problem that a user names; ideal and nadir come from the artifact in use.

        >>> problem = Problem.parse("s", ["perplexity", "energy@rtx2080"])
        >>> problem.name, problem.dataset, problem.attributes
        ('s-perplexity-energy@rtx2080', 'rtx2080', ('metric_perplexity', 'metric_energy'))

        :param space: ``s``, ``m`` or ``l``, or one of your own: its name, its file or itself
        :param objectives: two or more of ``perplexity``, ``energy@rtx2080`` …
        :param device: device that evaluates the architectures of a problem whose objectives name
            none; default: ``rtx2080``, or the first one of your space
        :raises InputError: unknown space, objective or device, too few objectives, one of them
            twice, or a device although the objectives name theirs
        :raises DataError: the artifact holds no bounds of an objective
        """
        name = find_measured(space).name
        known = measured_in(name)
        columns = parse_objectives(objectives, known)
        devices = evaluating_devices(columns, device, known)
        ideal, nadir = zip(*_artifact_bounds(name, columns), strict=True)
        return cls(name, columns, devices, ideal, nadir)

    @property
    def targets(self) -> tuple[str, ...]:
        """The objectives as users write them: ``perplexity``, ``energy@rtx2080``."""
        return tuple(column.target for column in self.objectives)

    @property
    def name(self) -> str:
        """Name of the problem, fit for file names: ``s-perplexity-energy@rtx2080``."""
        return "-".join((self.space, *self.targets))

    @property
    def dataset(self) -> str:
        """Dataset of the blackbox that knows the objectives: a device, or ``all``."""
        return self.devices[0] if len(self.devices) == 1 else ALL_DEVICES

    @property
    def reference_point(self) -> NDArray[np.float64]:
        """Reference point of the hypervolume, natural units, shape (number of objectives,)."""
        ideal, nadir = np.array(self.ideal), np.array(self.nadir)
        return np.asarray(ideal + REFERENCE_POINT * (nadir - ideal))

    @property
    def encoding(self) -> Encoding:
        """Encoding of the space: draws architectures, and has the bounds of their indices."""
        return self._blackbox.encoding

    @cached_property
    def attributes(self) -> tuple[str, ...]:
        """Names of the objectives in that dataset: ``metric_perplexity``, ``metric_energy``."""
        names = {
            column: name
            for name, column in dataset_columns(self.dataset, anywhere(self.devices)).items()
        }
        return tuple(names[column] for column in self.objectives)

    def expected(self, configurations: Configurations) -> NDArray[np.float64]:
        """Expected values of the objectives, by the artifact in use at the first call.

        :param configurations: dicts, a DataFrame, or choice indices of shape (n, hyperparameters):
            see :meth:`.Encoding.as_matrix`
        :return: shape (n, number of objectives), natural units
        :raises InputError: a configuration is not of the space
        """
        return self._blackbox.expected_values(configurations)

    def measure(
        self, configurations: Configurations, seeds: int | Sequence[int]
    ) -> NDArray[np.float64]:
        """Measurements of the objectives: what a run of the problem sees.

        :param configurations: as for :meth:`expected`
        :param seeds: number of the repeat, one for all or one each
        :return: shape (n, number of objectives), natural units
        :raises InputError: a configuration is not of the space, or a bad seed
        """
        return self._blackbox.measurements(configurations, seeds)

    @cached_property
    def _blackbox(self) -> HWGPTBlackbox:
        """Answers for the objectives and nothing else."""
        from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox

        columns = dict(zip(self.attributes, self.objectives, strict=True))
        return HWGPTBlackbox(load_surrogate(self.space), self.dataset, columns=columns)

    def __getstate__(self) -> dict[str, Any]:
        """The fields only: another process reads the models itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def normalise(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values mapped so that the ideal is 0 and the nadir 1; better and worse ones exist.

        :param values: natural units, shape (n, number of objectives)
        :return: the same shape
        :raises InputError: another shape
        """
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != len(self.objectives):
            raise InputError(
                f"values has shape {array.shape}; expected (n, {len(self.objectives)}), a column "
                f"for each of {', '.join(self.targets)}"
            )
        ideal, nadir = np.array(self.ideal), np.array(self.nadir)
        return np.asarray((array - ideal) / (nadir - ideal))


def anywhere(devices: Sequence[str]) -> Measured:
    """Every metric, on published devices and on others: what results from elsewhere may name."""
    return PUBLISHED.beside({name: NOISY for name in devices if name not in PUBLISHED.devices})


def parse_objectives(objectives: Sequence[str], known: Measured = PUBLISHED) -> tuple[Column, ...]:
    """The columns that two or more different objectives name.

    :param objectives: ``perplexity``, ``energy@rtx2080`` …
    :param known: what was measured in the space
    :raises InputError: unknown, too few, or one of them twice
    """
    if isinstance(objectives, str):
        raise InputError(f"objectives is the text {objectives!r}; expected a list of texts")
    columns = tuple(parse_objective(text, known) for text in objectives)
    if len(columns) < MIN_OBJECTIVES:
        raise InputError(
            f"objectives are {' '.join(objectives) or 'none'}; name two or more, for instance "
            "perplexity energy@rtx2080"
        )
    for i, column in enumerate(columns):
        if column in columns[:i]:
            raise InputError(f"objective {column.target!r} is given twice; name it once")
    return columns


def evaluating_devices(
    columns: Sequence[Column], device: str | None, known: Measured = PUBLISHED
) -> tuple[str, ...]:
    """The devices that evaluate an architecture.

    :param columns: the objectives
    :param device: the user's choice for objectives without a device
    :param known: what was measured in the space
    :raises InputError: unknown device, or one that the objectives do not name
    """
    own = tuple(dict.fromkeys(column.device for column in columns if column.device))
    if device is None:
        default = known.default_device
        if not own and default is None:
            raise InputError("no device was measured in this space, so nothing times an evaluation")
        return own or (str(default),)
    check_device(device, known)
    if own and own != (device,):
        raise InputError(
            f"device is {device!r}, but the objectives are measured on {', '.join(own)}; leave "
            "the device out"
        )
    return (device,)


def _artifact_bounds(space: str, columns: Sequence[Column]) -> list[tuple[float, float]]:
    """Ideal and nadir of each objective, out of the manifests of the artifacts in use."""
    found = []
    for column in columns:
        name = holder(space, column.device)
        if column.metric in COUNTED and not has_models(find_space(space)):
            stated = stated_bounds({"bounds": bounds(counts_of(find_space(space)), [column])})
            found.append(check_bounds(stated[column.target], column.target, name))
            continue
        path = find(name).path / MANIFEST
        table = stated_bounds(read_manifest(path.parent, kind=(SURROGATE, DEVICE)))
        if column.metric == ERROR and column.target not in table:
            raise no_error(space)
        try:
            found.append(check_bounds(table.get(column.target), column.target, path))
        except DataError as error:
            raise DataError(f"{error}; convert or pull the artifact again") from None
    return found
