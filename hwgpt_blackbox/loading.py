"""From a name to blackboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwgpt_blackbox.blackbox import HWGPTBlackbox
from hwgpt_blackbox.cost import CostModel
from hwgpt_blackbox.devices import ALL_DEVICES, DEVICES, get_device
from hwgpt_blackbox.errors import DataError, UnknownDatasetError, unknown
from hwgpt_blackbox.names import BLACKBOXES, artifact_name
from hwgpt_blackbox.places import find
from hwgpt_blackbox.spaces import Space, get_space
from hwgpt_blackbox.surrogate import Surrogate
from hwgpt_blackbox.tabular import Table

PERPLEXITIES = ("default",)
"""Perplexity models that ``load`` offers."""


def load(
    space: str,
    device: str,
    *,
    noise: bool = True,
    fidelity: str = "single",
    cost_model: CostModel | None = None,
    perplexity: str = "default",
) -> HWGPTBlackbox:
    """A surrogate blackbox with choices that a name cannot carry.

    :param space: ``s``, ``m`` or ``l``
    :param device: one of the 13 devices, or ``all``
    :param noise: whether queries are measurements; else they are expected values
    :param fidelity: ``single``, or ``repeats`` for the levels 1 to 10
    :param cost_model: cost of an evaluation; default: :class:`CostModel`
    :param perplexity: ``default``: the model fitted to the measurements
    :raises InputError: unknown space, device, fidelity or perplexity
    """
    if device != ALL_DEVICES:
        get_device(device)
    if perplexity not in PERPLEXITIES:
        raise unknown("perplexity", perplexity, PERPLEXITIES)
    surrogate = _read_surrogate(artifact_name(get_space(space, measured=True).name), space)
    return HWGPTBlackbox(surrogate, device, noise=noise, fidelity=fidelity, cost_model=cost_model)


class Datasets(dict[str, Any]):
    """Blackboxes by dataset; an unknown one is an error that lists what there is."""

    def __missing__(self, name: object) -> Any:
        raise UnknownDatasetError(str(unknown("dataset", name, self)))


def load_all(name: str) -> Datasets:
    """The blackboxes of every dataset of a name, as Syne Tune's ``load_blackbox`` returns them.

    :param name: ``hwgpt-s``, ``hwgpt-s-repeats``, ``hwgpt-s-tabular`` …
    :raises InputError: unknown name
    :raises MissingArtifactError: the table is not on this machine
    """
    if name not in BLACKBOXES:
        raise unknown("blackbox", name, BLACKBOXES)
    row = BLACKBOXES[name]
    if row.tabular:
        path = find(row.artifact).path
        table = Table.read(path)
        _check_space(path, table.space, row.space)
        return Datasets(table.blackboxes())
    surrogate = _read_surrogate(row.artifact, row.space)
    return Datasets(
        {
            dataset: HWGPTBlackbox(surrogate, dataset, fidelity=row.fidelity)
            for dataset in (*DEVICES, ALL_DEVICES)
        }
    )


def _read_surrogate(artifact: str, space: str) -> Surrogate:
    path = find(artifact).path
    surrogate = Surrogate.read(path)
    _check_space(path, surrogate.space, space)
    return surrogate


def _check_space(path: Path, found: Space, expected: str) -> None:
    """Raise when a folder's name and manifest disagree, as after copying it under a new name."""
    if found.name != expected:
        raise DataError(
            f"{path} holds the space {found.name!r}, its name says {expected!r}; "
            "rename it, or convert or pull it again"
        )
