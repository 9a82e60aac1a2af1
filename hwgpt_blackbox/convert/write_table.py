"""The measured table in Syne Tune's own format, which its unmodified ``deserialize`` loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.measurements import (
    ENERGY_REPEATS,
    LATENCY_REPEATS,
    Measurements,
)
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS, PREFIX
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.surrogate import ERROR
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.manifest import write_manifest
from hwgpt_blackbox.storage.measured_table import (
    ARCHITECTURES,
    FIDELITIES,
    HYPERPARAMETERS,
    OBJECTIVES,
    SIDE,
)

FIDELITY = "repeats"
"""Name of the fidelity attribute, which Syne Tune requires; the table has one level."""

SEEDS = ENERGY_REPEATS
"""Repeats of an architecture: seed k is energy repeat k and latency repeat k mod 10."""


def table_bytes(architectures: int) -> int:
    """Bytes of the objectives of a table, at most."""
    return 8 * len(DEVICES) * architectures * SEEDS * len(METRICS)


def write_table(
    data: Measurements,
    folder: Path,
    *,
    perplexity: NDArray[np.float64],
    perplexity_source: dict[str, Any],
    progress: Progress = silent,
) -> None:
    """Write the table of a space and its manifest into an existing empty folder.

    A metric that was not measured on every architecture is left out, but for perplexity.

    :param data: measurements
    :param perplexity: shape (n,), complete: measured where it was, else filled
    :param perplexity_source: where filled values come from, for the manifest
    :param progress: called with the name of each step
    :raises DataError: a perplexity is missing
    :raises OSError: the disk is full, or not writable
    """
    from syne_tune.blackbox_repository.serialize import serialize_configspace, serialize_metadata
    from syne_tune.config_space import randint

    if not np.isfinite(perplexity).all():
        raise DataError(
            f"{int((~np.isfinite(perplexity)).sum())} perplexities are missing; fill them first"
        )
    progress("table: architectures")
    serialize_configspace(folder, data.space.config_space(), {FIDELITY: randint(1, 1)})
    _write_hyperparameters(data, folder / HYPERPARAMETERS)
    np.savez_compressed(folder / ARCHITECTURES, matrix=data.matrix)
    np.save(folder / FIDELITIES, np.array([1]), allow_pickle=False)
    metrics = [name for name in METRICS if name != ERROR or np.isfinite(data.error).all()]
    names = {"objectives_names": [PREFIX + name for name in metrics], "task_names": list(DEVICES)}
    serialize_metadata(folder, names)
    filled = np.isnan(data.perplexity)
    np.savez_compressed(folder / SIDE, perplexity_filled=filled, accuracy=data.accuracy)
    _write_objectives(data, perplexity, metrics, folder / OBJECTIVES, progress)
    progress("table: manifest")
    manifest = {
        "kind": "tabular",
        "name": artifact_name(data.space.name, tabular=True),
        "space": data.space.name,
        "units": {name: METRICS[name].unit for name in metrics},
        "counts": {
            "architectures": len(data),
            "devices": len(DEVICES),
            "seeds": SEEDS,
            "latency_repeats": data.latency_repeats,
            "energy_repeats": data.energy_repeats,
            "perplexity_measured": int((~filled).sum()),
            "perplexity_filled": int(filled.sum()),
            "accuracy_measured": int(np.isfinite(data.accuracy).sum()),
        },
        "perplexity": perplexity_source,
        "source": dict(data.source),
    }
    write_manifest(folder, manifest)


def _write_hyperparameters(data: Measurements, path: Path) -> None:
    matrix, columns = data.matrix, {}
    for column, (name, choices) in enumerate(data.space.choices.items()):
        columns[name] = np.array(choices)[matrix[:, column]]
    pd.DataFrame(columns).to_parquet(path, index=False, compression="gzip", engine="fastparquet")


def _write_objectives(
    data: Measurements,
    perplexity: NDArray[np.float64],
    metrics: Sequence[str],
    path: Path,
    progress: Progress,
) -> None:
    """Write the array (devices, architectures, seeds, 1, objectives), one device at a time.

    In double precision, unlike Syne Tune's own: the values equal the source's.
    """
    n = len(data)
    shape = (len(DEVICES), n, SEEDS, 1, len(metrics))
    cost = CostModel()
    with path.open("wb") as file:
        header = {"descr": "<f8", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        values = np.empty(shape[1:], dtype="<f8")
        for d, device in enumerate(DEVICES):
            progress(f"table: {device}")
            of_metric: dict[str, NDArray[Any]] = {
                "perplexity": perplexity[:, None],
                ERROR: data.error[:, None],
                "latency": data.latency[d][:, np.arange(SEEDS) % LATENCY_REPEATS],
                "energy": data.energy[d],
                "memory_float16": data.memory_float16[:, None],
                "memory_bfloat16": data.memory_bfloat16[:, None],
                "flops": data.flops[:, None],
                "params": data.params[:, None],
                ELAPSED_TIME: cost.seconds(data.latency[d].mean(axis=1))[:, None],
            }
            for j, name in enumerate(metrics):
                values[:, :, 0, j] = of_metric[name]
            # Not ndarray.tofile, which loses the reason when a disk is full.
            file.write(values.data.cast("B"))
