"""From a name to blackboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.blackboxes.table_blackbox import blackboxes_of
from hwgpt_blackbox.domain.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import dataset_columns
from hwgpt_blackbox.domain.spaces import Space, get_space
from hwgpt_blackbox.errors import DataError, UnknownDatasetError, unknown
from hwgpt_blackbox.models.published_network import PUBLISHED_MLP, Network
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage.artifact_names import BLACKBOXES, artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.measured_table import Table
from hwgpt_blackbox.storage.networks import read_networks
from hwgpt_blackbox.storage.surrogates import read_surrogate
from hwgpt_blackbox.storage.user_devices import with_own_devices

PERPLEXITIES = MEMORIES = ("default", PUBLISHED_MLP)
"""Models of perplexity and of memory that ``load`` offers."""

MODELS = ("default", "autogluon")
"""Surrogates of latency and energy that ``load`` offers."""

_MEMORY_METRICS = ("memory_float16", "memory_bfloat16")


def load(
    space: str,
    device: str,
    *,
    noise: bool = True,
    fidelity: str = "single",
    cost_model: CostModel | None = None,
    perplexity: str = "default",
    memory: str = "default",
    models: str = "default",
) -> HWGPTBlackbox:
    """A surrogate blackbox with choices that a name cannot carry.

    :param space: ``s``, ``m`` or ``l``
    :param device: one of the 13 devices, a user's own, or ``all``
    :param noise: whether queries are measurements; else they are expected values
    :param fidelity: ``single``, or ``repeats`` for the levels 1 to 10
    :param cost_model: cost of an evaluation; default: :class:`CostModel`
    :param perplexity: ``default``: the model fitted to the measurements; ``published-mlp``: the
        published network, whose values are offset from the measurements (see its report) and are
        no sum over layers: exact fronts do not hold for it
    :param memory: likewise
    :param models: ``default``, or ``autogluon``: distilled from published AutoGluon predictors
    :raises InputError: unknown space, device, fidelity, or model
    :raises MissingArtifactError: an artifact is not on this machine
    """
    row = get_space(space, measured=True)
    for what, value, known in (
        ("perplexity", perplexity, PERPLEXITIES),
        ("memory", memory, MEMORIES),
        ("models", models, MODELS),
    ):
        if value not in known:
            raise unknown(what, value, known)
    part = "" if models == "default" else models
    surrogate = _read_surrogate(find(artifact_name(row.name, part=part)).path, row.name)
    dataset_columns(device, surrogate.own_devices)  # an unknown device comes before a missing file
    targets = ["perplexity"] if perplexity == PUBLISHED_MLP else []
    targets += _MEMORY_METRICS if memory == PUBLISHED_MLP else ()
    return HWGPTBlackbox(
        surrogate,
        device,
        noise=noise,
        fidelity=fidelity,
        cost_model=cost_model,
        networks=_read_published(row, targets),
    )


class Datasets(dict[str, Any]):
    """Blackboxes by dataset; an unknown one is an error that lists what there is."""

    def __missing__(self, name: object) -> Any:
        raise UnknownDatasetError(str(unknown("dataset", name, self)))


def load_all(name: str, folder: Path | None = None) -> Datasets:
    """The blackboxes of every dataset of a name, as Syne Tune's ``load_blackbox`` returns them.

    :param name: ``hwgpt-s``, ``hwgpt-s-repeats``, ``hwgpt-s-tabular`` …
    :param folder: of the artifact; default: the one in use
    :raises InputError: unknown name
    :raises MissingArtifactError: the table is not on this machine
    """
    if name not in BLACKBOXES:
        raise unknown("blackbox", name, BLACKBOXES)
    row = BLACKBOXES[name]
    path = find(row.artifact).path if folder is None else folder
    if row.tabular:
        table = Table.read(path)
        _check_space(path, table.space, row.space)
        return Datasets(blackboxes_of(table))
    surrogate = _read_surrogate(path, row.space)
    return Datasets(
        {
            dataset: HWGPTBlackbox(surrogate, dataset, fidelity=row.fidelity)
            for dataset in (*DEVICES, *surrogate.own_devices, ALL_DEVICES)
        }
    )


def _read_surrogate(path: Path, space: str) -> Surrogate:
    surrogate = read_surrogate(path)
    _check_space(path, surrogate.space, space)
    return with_own_devices(surrogate)


def _read_published(space: Space, targets: list[str]) -> dict[str, Network]:
    """The published networks of targets; none are read when there are no targets."""
    if not targets:
        return {}
    path = find(artifact_name(space.name, part="published")).path
    networks = read_networks(path, targets)
    for network in networks.values():
        _check_space(path, network.space, space.name)
    return networks


def _check_space(path: Path, found: Space, expected: str) -> None:
    """Raise when a folder's name and manifest disagree, as after copying it under a new name."""
    if found.name != expected:
        raise DataError(
            f"{path} holds the space {found.name!r}, its name says {expected!r}; "
            "rename it, or convert or pull it again"
        )
