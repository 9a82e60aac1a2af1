"""Surrogates: the models of a space, and of users' devices beside it, read and checked.

``hwgpt-<space>-device-<name>`` holds the models of latency, and of energy if it was measured, of
one more device. They are merged with those of the space when it is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS, NOISY, Measured
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, SPACES, Space, is_name
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError, printable
from hwgpt_blackbox.models.surrogate import (
    COUNTED,
    ERROR,
    AdditiveModel,
    Surrogate,
    measured_targets,
    modelled_targets,
    read_models,
)
from hwgpt_blackbox.storage.artifact_kinds import DEVICE, SURROGATE, artifact_name
from hwgpt_blackbox.storage.locations import MANIFEST, artifacts, find, home, is_artifact
from hwgpt_blackbox.storage.manifest import (
    check_files,
    read_arrays,
    read_manifest,
    read_whole,
    space_of,
)
from hwgpt_blackbox.storage.spaces import find_measured, find_space
from hwgpt_blackbox.storage.user_devices import (
    OwnDevice,
    Workload,
    check_name,
    device_artifact,
    workload_of,
)

logger = logging.getLogger(__name__)

ARRAYS = "arrays.npz"

_T = TypeVar("_T")


def load_surrogate(space: str | Path | Space, part: str = "") -> Surrogate:
    """The surrogate in use of a space, with the users' devices on this machine.

    :param space: see :func:`find_space`
    :param part: ``autogluon`` for the models distilled from published predictors
    :raises InputError: the space has no measurements
    :raises DataError: the artifact is not sound, or of another space
    :raises MissingArtifactError: there is none on this machine
    """
    published = isinstance(space, str) and space in MEASURED_SPACES
    row = SPACES[str(space)] if published else find_measured(space)
    if not part and not has_models(row):
        return with_own_devices(counts_of(row))
    return with_own_devices(read_surrogate(find(artifact_name(row.name, part=part)).path, row.name))


def has_models(space: Space) -> bool:
    """Whether a space has an artifact of its own; a wide one may have users' devices alone."""
    return (
        space.measured
        or is_artifact(home() / artifact_name(space.name))
        or not own_devices(space.name)
    )


def counts_of(space: Space) -> Surrogate:
    """What is known of a space without measurements: parameters and FLOPs."""
    return Surrogate(space, {}, np.array([0.0, 0.5, 1.0]), {})


def read_surrogate(folder: Path, space: str | None = None) -> Surrogate:
    """The models of a space, read from an artifact and checked.

    :param space: of which they must be; None: any
    :raises DataError: the folder is no sound surrogate artifact, or of another space
    """

    def read(folder: Path) -> Surrogate:
        manifest = read_manifest(folder, kind=SURROGATE, space=space)
        return _read_models(folder, manifest, _targets(folder, manifest))

    return read_whole(folder, read)


def _targets(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """The targets of which a space's artifact has models.

    :raises DataError: one of them is none of a space's
    """
    space, place = space_of(manifest, folder), folder / MANIFEST
    links = manifest.get("links")
    stated = links if isinstance(links, dict) else {}
    if space.measured:
        return [*modelled_targets(), *([ERROR] if ERROR in stated else [])]
    for target in stated:
        metric, at, device = target.partition("@")
        row = METRICS.get(metric)
        modelled = row is not None and metric not in (*COUNTED, ELAPSED_TIME)
        if not modelled or bool(at) != METRICS[metric].per_device:
            raise DataError(
                f"{place} has a model of {printable(target)!r:.80}, "
                "which is no metric, or needs a device; convert or pull it again"
            )
        try:
            _ = at and check_name(device)
        except InputError as error:
            raise DataError(f"{place}, of space {space.name}: {printable(error)}") from None
    return list(stated)


def _read_models(folder: Path, manifest: Mapping[str, Any], targets: list[str]) -> Surrogate:
    """The models of some targets, from the folder of an artifact."""
    check_files(folder, manifest, [ARRAYS])
    arrays = read_arrays(folder / ARRAYS)
    space = space_of(manifest, folder)
    try:
        levels, models = read_models(space, manifest["links"], arrays, targets)
    except DataError as error:
        raise DataError(f"{folder}: {error}; convert or pull it again") from None
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder} is no complete {manifest['kind']} artifact ({error!s:.200}); "
            "convert or pull it again"
        ) from error
    return Surrogate(space, models, levels, manifest)


# -- users' devices --------------------------------------------------------------------------------


def with_own_devices(surrogate: Surrogate) -> Surrogate:
    """The surrogate with the users' devices of its space on this machine."""
    models, levels = dict(surrogate.models), surrogate.levels
    for own in _of_own_devices(surrogate.space.name, read_own_device):
        if own.space != surrogate.space:
            name = own.manifest["name"]
            logger.warning("%s is left out: its space has other choices or sizes", name)
            continue
        levels = levels if models else own.levels
        models |= {t: _at_levels(m, own.levels, levels) for t, m in own.models.items()}
    if len(models) == len(surrogate.models):
        return surrogate
    return Surrogate(surrogate.space, models, levels, surrogate.manifest)


def own_devices(space: str) -> dict[str, OwnDevice]:
    """Users' devices of a space on this machine, by name in order."""
    return {device.name: device for device in _of_own_devices(space, _read_device)}


def _of_own_devices(space: str, read: Callable[[Path], _T]) -> Iterator[_T]:
    """What is read of each user's device of a space on this machine, in order.

    One that cannot be read is left out with a warning in the log: the 13 stay usable.
    """
    for name in artifacts(artifact_name(space, part="device-*")):
        try:
            yield read(find(name).path)
        except (DataError, MissingArtifactError) as error:
            logger.warning("%s is left out: %s", home() / name, error)


def measured_in(space: str | Path | Space) -> Measured:
    """What was measured of a space, by its artifact and those of users' devices on this machine.

    :param space: see :func:`find_space`
    :raises InputError: there is none
    :raises DataError: its artifact is not sound
    """
    row = find_space(space)
    own = [t for device in own_devices(row.name).values() for t in device.targets]
    return measured_targets(row, [*_of_artifact(row), *own])


def _of_artifact(space: Space) -> list[str]:
    """The targets of which the artifact of a space has models; none where there is none."""
    if space.measured:
        return [*modelled_targets(), ERROR]
    try:
        folder = find(artifact_name(space.name)).path
    except MissingArtifactError:
        return []
    return _targets(folder, read_manifest(folder, kind=SURROGATE))


def holder(space: str, device: str | None) -> str:
    """Name of the artifact with the models of a device: the space's, or one of the device alone.

    :param space: name of the space
    :param device: None: the models of metrics that depend on no device
    """
    theirs = {target.partition("@")[2] for target in _of_artifact(find_space(space))}
    return (
        device_artifact(space, device) if device and device not in theirs else artifact_name(space)
    )


def workload_notes(space: str | Space, devices: Collection[str]) -> list[str]:
    """One line for each user's device that was measured on another workload than the space's.

    :param space: see :func:`find_space`
    :param devices: names, of which only users' devices on this machine count
    """
    row = find_space(space)
    usual = workload_of(row)
    return [
        f"{name} was measured on {device.workload}; FLOPs and memory are of {usual}"
        for name, device in own_devices(row.name).items()
        if name in devices and device.workload not in (None, usual)
    ]


def read_own_device(folder: Path) -> Surrogate:
    """The models of a user's device alone, as its artifact holds them.

    :raises DataError: the artifact is not sound
    """

    def read(folder: Path) -> Surrogate:
        manifest = read_manifest(folder, kind=DEVICE)
        return _read_models(folder, manifest, _as_device(folder, manifest).targets)

    return read_whole(folder, read)


def _read_device(folder: Path) -> OwnDevice:
    return _as_device(folder, read_manifest(folder, kind=DEVICE))


def _as_device(folder: Path, manifest: Mapping[str, Any]) -> OwnDevice:
    """What the manifest of a device's artifact says.

    :raises DataError: it is not sound, or not of the folder's name
    """
    name, metrics, space = (manifest.get(key) for key in ("device", "metrics", "space"))
    bounds = manifest.get("bounds")
    stated = isinstance(bounds, dict) and isinstance(bounds.get("objectives"), dict)
    complete = stated and metrics in (list(NOISY), ["latency"]) and is_name(space)
    if not complete or device_artifact(str(space), str(name)) != folder.name:
        raise DataError(
            f"{folder} says it is of device {name!r:.100} and space {space!r:.100} with "
            f"{metrics!r:.100}; its name says otherwise, or it is incomplete; convert it again"
        )
    try:
        check_name(str(name))
        row = manifest.get("workload")
        workload = row and Workload(row.get("batch_size"), row.get("sequence_length"))
    except (AttributeError, InputError) as error:
        raise DataError(f"{folder}: {error}") from None
    return OwnDevice(str(name), str(space), tuple(metrics or ()), folder, workload or None)


def _at_levels(
    model: AdditiveModel, own: NDArray[np.float64], levels: NDArray[np.float64]
) -> AdditiveModel:
    """The model with its noise tables read off at other levels."""
    if model.ratio is None or np.array_equal(own, levels):
        return model
    rows = model.ratio.reshape(-1, len(own))
    ratio = np.array([np.interp(levels, own, row) for row in rows])
    return replace(model, ratio=ratio.reshape(*model.ratio.shape[:-1], len(levels)))
