"""Users' own devices beside the 13: what they may be called, and what was measured on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from hwgpt_blackbox.domain.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.storage.artifact_kinds import DEVICE_NAME, artifact_name
from hwgpt_blackbox.storage.measurement_set import QUALITY


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
        return self.batch * self.length / (space.batch_size * space.sequence_length)

    def as_dict(self) -> dict[str, int]:
        """For JSON."""
        return {"batch_size": self.batch, "sequence_length": self.length}


def workload_of(space: Space) -> Workload:
    """What a forward pass of a space is: for the published ones, what the 13 devices measured."""
    return Workload(space.batch_size, space.sequence_length)


@dataclass(frozen=True)
class OwnDevice:
    """A user's device, as its manifest says.

    :param name: of the device
    :param space: name of the space
    :param metrics: noisy metrics that were measured
    :param path: folder of the artifact
    :param workload: what a forward pass was measured on; None: not stated
    """

    name: str
    space: str
    metrics: tuple[str, ...]
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
    if not isinstance(name, str) or not re.fullmatch(DEVICE_NAME, name):
        raise InputError(
            f"device {name!r}: a name has 1 to 40 letters, digits, '_' and '-', and begins with a "
            "letter or digit"
        )
    # Some file systems do not tell upper from lower case.
    for known in (*DEVICES, ALL_DEVICES):
        if name.lower() == known.lower():
            raise InputError(f"device {name!r} is taken by HW-GPT-Bench; choose another name")
    if name.lower() == QUALITY:
        raise InputError(
            f"device {name!r} is what measurement sets call their table of perplexities; choose "
            "another name"
        )
    return name


def device_artifact(space: str, name: str) -> str:
    """Name of the artifact of a user's device: ``hwgpt-s-device-mygpu``."""
    return artifact_name(space, part=f"device-{name}")
