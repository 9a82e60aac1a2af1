"""From a name to blackboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.blackboxes.table_blackbox import blackboxes_of
from hwgpt_blackbox.domain.devices import ALL_DEVICES
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import dataset_columns
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import UnknownDatasetError, unknown
from hwgpt_blackbox.models.published_network import PUBLISHED_MLP
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.measured_table import Table
from hwgpt_blackbox.storage.networks import read_networks
from hwgpt_blackbox.storage.spaces import blackboxes, find_blackbox
from hwgpt_blackbox.storage.surrogates import (
    load_surrogate,
    read_surrogate,
    with_own_devices,
)

PERPLEXITIES = MEMORIES = ("default", PUBLISHED_MLP)
"""Models of perplexity and of memory that ``load`` offers."""

MODELS = ("default", "autogluon")
"""Surrogates of latency and energy that ``load`` offers."""

_MEMORY_METRICS = ("memory_float16", "memory_bfloat16")


def load(
    space: str | Path | Space,
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

    :param space: ``s``, ``m`` or ``l``; or one of your own: the name of a space whose artifact
        ``hwgpt-<name>`` is at hand, its file (``….toml``), or a :class:`Space`
    :param device: one of the space's devices, a user's own beside them, or ``all``
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
    for what, value, known in (
        ("perplexity", perplexity, PERPLEXITIES),
        ("memory", memory, MEMORIES),
        ("models", models, MODELS),
    ):
        if value not in known:
            raise unknown(what, value, known)
    surrogate = load_surrogate(space, part="" if models == "default" else models)
    targets = ["perplexity"] if perplexity == PUBLISHED_MLP else []
    targets += _MEMORY_METRICS if memory == PUBLISHED_MLP else ()
    networks = None
    if targets:
        dataset_columns(device, surrogate.measured)  # unknown? said before a file is missing
        path = find(artifact_name(surrogate.space.name, part="published")).path
        networks = read_networks(path, targets, surrogate.space.name)
    return HWGPTBlackbox(
        surrogate,
        device,
        noise=noise,
        fidelity=fidelity,
        cost_model=cost_model,
        networks=networks,
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
    row = find_blackbox(name)
    if row is None:
        raise unknown("blackbox", name, blackboxes())
    if row.tabular:
        path = find(row.artifact).path if folder is None else folder
        return Datasets(blackboxes_of(Table.read(path, row.space)))
    if folder is None:
        surrogate = load_surrogate(row.space)
    else:
        surrogate = with_own_devices(read_surrogate(folder, row.space))
    return Datasets(
        {
            dataset: HWGPTBlackbox(surrogate, dataset, fidelity=row.fidelity)
            for dataset in (*surrogate.measured.devices, ALL_DEVICES)
        }
    )
