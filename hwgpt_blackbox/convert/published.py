"""The published networks (MLPs) of one space: from torch checkpoints to plain arrays.

Networks of memory, FLOPs and parameters were trained on another input than is documented (see
``network.scaled_as_trained``). Both are compared with the measurements, and the one that fits is
taken; the artifact's report has the errors of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.conversion import SOURCE, progress_bar, read_measurements
from hwgpt_blackbox.convert.judging.cards.card import plain_row
from hwgpt_blackbox.convert.judging.cards.file import add_report
from hwgpt_blackbox.convert.judging.holdouts import DEFAULT_SPLITS, as_published
from hwgpt_blackbox.convert.judging.measures import location_measures
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.perplexity_checkpoint import MAX_CHECKPOINT_BYTES, read_layers
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError, require
from hwgpt_blackbox.models.published_network import (
    INPUTS,
    LAYERS,
    NETWORK_TARGETS,
    PublishedNetwork,
    array_names,
)
from hwgpt_blackbox.storage.artifact_kinds import NETWORK, artifact_name
from hwgpt_blackbox.storage.atomic_writes import Outputs, terminate_as_exit, writing
from hwgpt_blackbox.storage.locations import find, home
from hwgpt_blackbox.storage.manifest import write_manifest
from hwgpt_blackbox.storage.networks import ARRAYS
from hwgpt_blackbox.storage.surrogates import read_surrogate

CHECKPOINTS = "data_collection/gpt_datasets/predictor_ckpts"
FILES = {
    "perplexity": "metric/perplexity_{space}.pt",
    "memory_float16": "hwmetric/mlp/float16_memory_{space}.pth",
    "memory_bfloat16": "hwmetric/mlp/bfloat16_memory_{space}.pth",
    "flops": "hwmetric/mlp/flops_{space}.pth",
    "params": "hwmetric/mlp/params_{space}.pth",
}
"""Checkpoint of each metric, below ``CHECKPOINTS``."""

TORCH_TOLERANCE = 1e-5
"""Largest relative difference from torch's own outputs."""

SAMPLE_SIZE, SAMPLE_SEED = 2_000, 0
"""Architectures on which outputs are compared with torch's, and their seed."""


def convert_published(
    source: str | Path,
    space: str,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Convert the published networks of one space into the artifact ``hwgpt-<space>-published``.

    :param source: root of a checkout of HW-GPT-Bench
    :param space: ``s``, ``m`` or ``l``
    :param out: folder of the artifacts; default: where they are looked for
    :param overwrite: replace an artifact that exists
    :param progress: show a progress bar on standard error
    :return: folder of the artifact
    :raises InputError: unknown space
    :raises MissingExtraError: torch is not installed
    :raises DataError: a checkpoint or the data set is missing, corrupt, hostile or implausible, or
        the outputs are not those of torch
    :raises OutputError: the artifact exists, or cannot be written
    """
    row = get_space(space, measured=True)
    require("torch", extra="bayesian")
    name = artifact_name(row.name, part="published")
    folder = home() if out is None else Path(out).expanduser()
    outputs = Outputs(folder.absolute(), [name], overwrite=overwrite)
    with terminate_as_exit(), progress_bar(progress) as say, outputs:
        checkout = Checkout(source, row, say)
        layers = {target: _read(checkout, target) for target in NETWORK_TARGETS}
        data = read_measurements(checkout)
        chosen: dict[str, PublishedNetwork] = {}
        report: dict[str, Any] = {}
        for target, (weights, biases) in layers.items():
            say(f"{target}: compare")
            chosen[target], report[target] = _choose(data, target, weights, biases)
        path = outputs.build(name)
        with writing(path):
            _write(path, name, chosen, report, checkout)
        base = read_surrogate(find(artifact_name(row.name)).path)
        splits = (None, *DEFAULT_SPLITS)
        trials = [as_published(data, base, chosen, split, chosen) for split in splits]
        add_report(path, data, trials)
        return outputs.publish()[0]


Layers = tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]


def _read(checkout: Checkout, target: str) -> Layers:
    """Weights and biases of a checkpoint, in single precision as published."""
    path = checkout.root / CHECKPOINTS / FILES[target].format(space=checkout.space.name)
    if not path.is_file():
        raise DataError(f"{path} is missing; fetch it from HW-GPT-Bench")
    data = checkout.read_bytes(path, max_bytes=MAX_CHECKPOINT_BYTES)
    arrays = [array.astype(np.float32) for array in read_layers(data, path)]
    return arrays[0::2], arrays[1::2]


def _choose(
    data: Measurements,
    target: str,
    weights: list[NDArray[np.float32]],
    biases: list[NDArray[np.float32]],
) -> tuple[PublishedNetwork, dict[str, Any]]:
    """The network with the input that fits the measurements best, and the report of all."""
    row = NETWORK_TARGETS[target]
    measured = np.asarray(getattr(data, target), dtype=np.float64)
    known = np.flatnonzero(np.isfinite(measured))
    if not len(known):
        raise DataError(f"no {target} was measured: the network cannot be checked")
    found: list[tuple[float, PublishedNetwork, dict[str, Any]]] = []
    for inputs in row.inputs:
        try:
            network = PublishedNetwork(data.space, inputs, weights, biases, row.unit)
        except DataError as error:
            file = FILES[target].format(space=data.space.name)
            raise DataError(
                f"{file} is no network of {target} of space {data.space.name}: {error}; "
                "fetch it anew from HW-GPT-Bench"
            ) from None
        predicted = network(data.matrix[known])
        measures = location_measures(measured[known], predicted)
        measures["offset"] = float(np.median(predicted - measured[known]))
        found.append((measures["mae"], network, plain_row(measures)))
    _, network, measures = min(found, key=lambda entry: entry[0])
    return network, {
        "unit": METRICS[target].unit,
        "compared_with_measurements": len(known),
        **measures,
        "largest_relative_difference_from_torch": _difference_from_torch(network),
        "inputs": {candidate.inputs: errors for _, candidate, errors in found},
    }


def _difference_from_torch(network: PublishedNetwork) -> float:
    """Largest relative difference from what torch computes in single precision.

    :raises DataError: it is above ``TORCH_TOLERANCE``
    """
    import torch

    matrix = Encoding(network.space).sample(SAMPLE_SIZE, np.random.default_rng(SAMPLE_SEED))
    x = torch.tensor(INPUTS[network.inputs](network.space, matrix), dtype=torch.float32)
    with torch.no_grad():
        for k in range(LAYERS):
            weight, bias = torch.tensor(network.weights[k]), torch.tensor(network.biases[k])
            x = torch.nn.functional.linear(torch.relu(x) if k else x, weight, bias)
    expected = x[:, 0].double().numpy()
    difference = np.abs(network.output(matrix) - expected)
    worst = float((difference / np.maximum(np.abs(expected), 1e-300)).max())
    if not worst <= TORCH_TOLERANCE:
        raise DataError(
            f"our outputs differ from torch's by {worst:.2g}, relative; expected at most "
            f"{TORCH_TOLERANCE}: the checkpoint is not a published one"
        )
    return worst


def _write(
    folder: Path,
    name: str,
    networks: Mapping[str, PublishedNetwork],
    report: Mapping[str, Any],
    checkout: Checkout,
) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    for target, network in networks.items():
        for k, (weight, bias) in enumerate(array_names(target)):
            arrays[weight], arrays[bias] = network.weights[k], network.biases[k]
    np.savez_compressed(folder / ARRAYS, **arrays)  # type: ignore[arg-type]
    manifest = {
        "kind": NETWORK,
        "name": name,
        "space": checkout.space.name,
        "networks": {t: {"inputs": n.inputs, "unit": n.unit} for t, n in networks.items()},
        "report": dict(report),
        "source": {**SOURCE, "files": dict(sorted(checkout.records.items()))},
    }
    write_manifest(folder, manifest)
