"""Users' own devices: small artifacts beside a space's, merged with it when it is loaded.

``hwgpt-<space>-device-<name>`` holds the models of latency, and of energy if it was measured, of
one more device. The table of the 13 devices stays as it is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.domain.objectives import OwnDevices
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, SEQUENCE_LENGTH, Space, get_space
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.models.additive import AdditiveModel
from hwgpt_blackbox.models.surrogate import Surrogate, read_models
from hwgpt_blackbox.storage.artifact_names import artifact_name
from hwgpt_blackbox.storage.locations import artifacts, find, home
from hwgpt_blackbox.storage.manifest import check_files, read_arrays, read_manifest, read_whole
from hwgpt_blackbox.storage.surrogates import ARRAYS, read_surrogate

logger = logging.getLogger(__name__)

KIND = "device"
"""Kind of the artifact."""

NOISY = ("latency", "energy")
"""Metrics that may be measured on a device; latency must be."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Workload:
    """What one forward pass was measured on.

    :param batch: sequences
    :param length: tokens of each
    """

    batch: int
    length: int

    def __post_init__(self) -> None:
        for name, value in (("batch", self.batch), ("length", self.length)):
            if type(value) is not int or not 0 < value < 1 << 31:
                raise InputError(f"{name} is {value!r:.50}; expected a whole number from 1")

    def __str__(self) -> str:
        return f"{self.batch:,} x {self.length:,} tokens"

    def share_of(self, space: Space) -> float:
        """Tokens of a pass over those of the space's own."""
        return self.batch * self.length / (space.batch_size * SEQUENCE_LENGTH)

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return {"batch_size": self.batch, "sequence_length": self.length}


def workload_of(space: Space) -> Workload:
    """What the 13 devices were measured on."""
    return Workload(space.batch_size, SEQUENCE_LENGTH)


@dataclass(frozen=True)
class OwnDevice:
    """A user's device, as its manifest says.

    :param name: of the device
    :param space: name of the space
    :param metrics: noisy metrics that were measured
    :param bounds: ideal and nadir by target (``latency@mygpu``), natural units
    :param path: folder of the artifact
    :param workload: what a forward pass was measured on; None: not stated
    """

    name: str
    space: str
    metrics: tuple[str, ...]
    bounds: Mapping[str, Any]
    path: Path
    workload: Workload | None = None

    @property
    def targets(self) -> list[str]:
        """The noisy metrics as users write them."""
        return [f"{metric}@{self.name}" for metric in self.metrics]


def check_name(name: str) -> str:
    """A name that a user's device may have.

    :raises InputError: it is malformed, or of one of the 13 devices
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"device {name!r}: a name has 1 to 40 letters, digits, '_' and '-', and begins with a "
            "letter or digit"
        )
    # Some file systems do not tell upper from lower case.
    for known in (*DEVICES, ALL_DEVICES):
        if name.lower() == known.lower():
            raise InputError(f"device {name!r} is taken by HW-GPT-Bench; choose another name")
    return name


def device_artifact(space: str, name: str) -> str:
    """Name of the artifact of a user's device: ``hwgpt-s-device-mygpu``."""
    return artifact_name(space, part=f"device-{name}")


def own_devices(space: str) -> dict[str, OwnDevice]:
    """Users' devices of a space on this machine, by name in order.

    One that cannot be read is left out with a warning in the log: the 13 stay usable.
    """
    found: dict[str, OwnDevice] = {}
    for name in artifacts(device_artifact(space, "*")):
        try:
            device = read_device(find(name).path, space)
        except (DataError, MissingArtifactError) as error:
            logger.warning("%s is left out: %s", home() / name, error)
        else:
            found[device.name] = device
    return found


def measured_on_own(space: str) -> OwnDevices:
    """Users' devices of a space on this machine, with the noisy metrics measured on each."""
    if space not in MEASURED_SPACES:
        return {}
    return {name: device.metrics for name, device in own_devices(space).items()}


def read_device(path: Path, space: str) -> OwnDevice:
    """What the manifest of a device's artifact says.

    :raises DataError: it is not sound, or not of this space and of the folder's name
    """
    manifest = read_manifest(path, kind=KIND)
    name, metrics = manifest.get("device"), manifest.get("metrics")
    bounds = manifest.get("bounds")
    table = bounds.get("objectives") if isinstance(bounds, dict) else None
    sound = isinstance(table, dict) and metrics in (list(NOISY), ["latency"])
    said = (manifest.get("space"), device_artifact(space, str(name)))
    if not sound or said != (space, path.name):
        raise DataError(
            f"{path} says it is of device {name!r:.100} and space "
            f"{manifest.get('space')!r:.100} with {metrics!r:.100}; its name says otherwise, or it "
            "is incomplete; convert it again"
        )
    try:
        check_name(str(name))
        stated = manifest.get("workload")
        workload = stated and Workload(stated.get("batch_size"), stated.get("sequence_length"))
    except (AttributeError, InputError) as error:
        raise DataError(f"{path}: {error}") from None
    return OwnDevice(str(name), space, tuple(metrics or ()), table or {}, path, workload or None)


def workload_notes(space: str, devices: Collection[str]) -> list[str]:
    """One line for each user's device that was measured on another workload than the space's.

    :param devices: names, of which only users' devices on this machine count
    """
    usual = workload_of(get_space(space))
    return [
        f"{name} was measured on {device.workload}; FLOPs and memory are of {usual}"
        for name, device in own_devices(space).items()
        if name in devices and device.workload not in (None, usual)
    ]


def surrogate_of(device: OwnDevice) -> Surrogate:
    """The models of a user's device alone, as its artifact holds them.

    :raises DataError: the artifact is not sound
    """
    return read_whole(device.path, lambda path: _read(path, device))


def _read(path: Path, device: OwnDevice) -> Surrogate:
    manifest = read_manifest(path, kind=KIND)
    check_files(path, manifest, [ARRAYS])
    arrays, space = read_arrays(path / ARRAYS), get_space(device.space)
    try:
        levels, models = read_models(space, manifest["links"], arrays, device.targets)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} is no complete artifact of a device ({error}); convert it again"
        ) from None
    return Surrogate(space, models, levels, manifest)


def read_models_of(device: OwnDevice, levels: NDArray[np.float64]) -> dict[str, AdditiveModel]:
    """Models of a user's device by target, their noise at ``levels``.

    :raises DataError: the artifact is not sound
    """
    own = surrogate_of(device)
    if np.array_equal(own.levels, levels):
        return own.models
    return {target: _at_levels(model, own.levels, levels) for target, model in own.models.items()}


def _at_levels(
    model: AdditiveModel, own: NDArray[np.float64], levels: NDArray[np.float64]
) -> AdditiveModel:
    """The model with its noise tables read off at other levels."""
    if model.ratio is None:
        return model
    rows = model.ratio.reshape(-1, len(own))
    ratio = np.array([np.interp(levels, own, row) for row in rows])
    return replace(model, ratio=ratio.reshape(*model.ratio.shape[:-1], len(levels)))


def with_own_devices(surrogate: Surrogate) -> Surrogate:
    """The surrogate with the users' devices of its space on this machine."""
    models = dict(surrogate.models)
    for device in own_devices(surrogate.space.name).values():
        try:
            models |= read_whole(
                device.path,
                lambda path: read_models_of(
                    read_device(path, surrogate.space.name), surrogate.levels
                ),
            )
        except DataError as error:
            logger.warning("%s is left out: %s", device.path, error)
    if len(models) == len(surrogate.models):
        return surrogate
    return Surrogate(surrogate.space, models, surrogate.levels, surrogate.manifest)


def load_surrogate(space: str) -> Surrogate:
    """The surrogate in use of a space, with the users' devices on this machine.

    :raises InputError: the space has no measurements
    :raises DataError: the artifact is not sound
    """
    name = artifact_name(get_space(space, measured=True).name)
    return with_own_devices(read_surrogate(find(name).path))
