"""The measured table in Syne Tune's own format, which its unmodified ``deserialize`` loads."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hwgpt_blackbox.convert.judging.holdouts import PERPLEXITY
from hwgpt_blackbox.convert.judging.measures import predictor_of
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.measurements import (
    ENERGY_REPEATS,
    LATENCY_REPEATS,
    Measurements,
)
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding, IntMatrix
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS, NOISY, PREFIX
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.surrogate import COUNTED, ERROR, Surrogate
from hwgpt_blackbox.storage.artifact_kinds import TABULAR, artifact_name
from hwgpt_blackbox.storage.manifest import write_manifest
from hwgpt_blackbox.storage.measured_table import (
    ARCHITECTURES,
    FIDELITIES,
    HYPERPARAMETERS,
    OBJECTIVES,
    SIDE,
)
from hwgpt_blackbox.storage.spaces import space_entry

logger = logging.getLogger(__name__)

FIDELITY = "repeats"
"""Name of the fidelity attribute, which Syne Tune requires; the table has one level."""

MAX_SEEDS = 1_000
"""Repeats of an architecture in a table of one's own, at most."""

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
    if not np.isfinite(perplexity).all():
        raise DataError(
            f"{int((~np.isfinite(perplexity)).sum())} perplexities are missing; fill them first"
        )
    filled, cost = np.isnan(data.perplexity), CostModel()
    devices = list(DEVICES)
    metrics = [name for name in METRICS if name != ERROR or np.isfinite(data.error).all()]

    def values_of(device: str) -> dict[str, NDArray[Any]]:
        d = devices.index(device)
        return {
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

    np.savez_compressed(folder / SIDE, perplexity_filled=filled, accuracy=data.accuracy)
    progress("table: architectures")
    _write_files(folder, data.space, data.matrix, devices, metrics)
    shape = (len(data), SEEDS, len(metrics))
    _write_objectives(folder, shape, devices, metrics, values_of, progress)
    progress("table: manifest")
    manifest = {
        "kind": TABULAR,
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


def complete_rows(data: UserMeasurements) -> NDArray[np.intp] | None:
    """Rows of the architectures of which latency and energy were measured on every device.

    :return: None if there are none: there is no table of these measurements
    """
    known = [~np.isnan(values[:, 0]) for values in data.noisy.values()]
    rows = np.flatnonzero(np.all(known, axis=0)) if known else np.zeros(0, dtype=np.intp)
    if len(rows):
        return rows
    logger.warning("no architecture was measured on every device: there is no measured table")
    return None


def write_user_table(
    data: UserMeasurements,
    surrogate: Surrogate,
    folder: Path,
    source: Mapping[str, Any],
    progress: Progress = silent,
) -> None:
    """Write the table of a space of one's own and its manifest into an existing empty folder.

    A metric that was not measured on every architecture is left out, but for perplexity; energy is
    NaN throughout on a device of which it was not measured.

    :param data: latency and energy complete
    :param surrogate: answers for perplexity where it was not measured
    :param source: what was read, for the manifest
    :param progress: called with the name of each step
    """
    space, devices, noisy = data.space, list(data.order), data.noisy
    exact: dict[str, NDArray[Any]] = data.exact
    filled = np.zeros(len(data), dtype=bool)
    if PERPLEXITY in exact:
        filled = np.isnan(exact[PERPLEXITY])
        predicted = predictor_of(surrogate, [PERPLEXITY]).expected(data.matrix)[:, 0]
        exact[PERPLEXITY] = np.where(filled, predicted, exact[PERPLEXITY])
    exact |= {name: count(Encoding(space), data.matrix, name) for name in COUNTED}
    complete = {name for name, values in exact.items() if np.isfinite(values).all()}
    complete |= {target.partition("@")[0] for target in noisy}
    metrics = [name for name in METRICS if name in complete or name == ELAPSED_TIME]
    seeds = min(math.lcm(*(values.shape[1] for values in noisy.values())), MAX_SEEDS)
    cost, unknown = CostModel(), np.full((len(data), 1), np.nan)

    def values_of(device: str) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {name: v[:, None] for name, v in exact.items()}
        for name in set(NOISY) & complete:
            repeats = noisy.get(f"{name}@{device}", unknown)
            found[name] = repeats[:, np.arange(seeds) % repeats.shape[1]]
        seconds = cost.seconds(noisy[f"latency@{device}"].mean(axis=1))
        return found | {ELAPSED_TIME: seconds[:, None]}

    progress("table: architectures")
    accuracy = 1.0 - exact[ERROR] if ERROR in exact else np.full(len(data), np.nan)
    np.savez_compressed(folder / SIDE, perplexity_filled=filled, accuracy=accuracy)
    _write_files(folder, space, data.matrix, devices, metrics)
    shape = (len(data), seeds, len(metrics))
    _write_objectives(folder, shape, devices, metrics, values_of, progress)
    manifest = {
        "kind": TABULAR,
        "name": artifact_name(space.name, tabular=True),
        **space_entry(space),
        "units": {name: METRICS[name].unit for name in metrics},
        "counts": {
            "architectures": len(data),
            "devices": len(devices),
            "seeds": seeds,
            "repeats": {target: values.shape[1] for target, values in noisy.items()},
            "perplexity_filled": int(filled.sum()),
        },
        "source": dict(source),
    }
    write_manifest(folder, manifest)


def _write_files(
    folder: Path, space: Space, matrix: IntMatrix, devices: list[str], metrics: list[str]
) -> None:
    """Everything of a table but its objectives, its side file and its manifest."""
    from syne_tune.blackbox_repository.serialize import serialize_configspace, serialize_metadata
    from syne_tune.config_space import randint

    serialize_configspace(folder, space.config_space(), {FIDELITY: randint(1, 1)})
    columns = {}
    for column, (name, choices) in enumerate(space.choices.items()):
        columns[name] = np.array(choices)[matrix[:, column]]
    frame = pd.DataFrame(columns)
    path = folder / HYPERPARAMETERS
    frame.to_parquet(path, index=False, compression="gzip", engine="fastparquet")
    np.savez_compressed(folder / ARCHITECTURES, matrix=matrix)
    np.save(folder / FIDELITIES, np.array([1]), allow_pickle=False)
    names = [PREFIX + name for name in metrics]
    serialize_metadata(folder, {"objectives_names": names, "task_names": devices})


def _write_objectives(
    folder: Path,
    shape: tuple[int, int, int],
    devices: list[str],
    metrics: list[str],
    values_of: Callable[[str], Mapping[str, NDArray[Any]]],
    progress: Progress,
) -> None:
    """Write the array (devices, architectures, seeds, 1, objectives), one device at a time.

    In double precision, unlike Syne Tune's own: the values equal the source's.

    :param shape: architectures, seeds, objectives
    :param values_of: from a device to metric to values, shape (architectures, seeds or 1)
    """
    n, seeds, objectives = shape
    with (folder / OBJECTIVES).open("wb") as file:
        full = (len(devices), n, seeds, 1, objectives)
        header = {"descr": "<f8", "fortran_order": False, "shape": full}
        np.lib.format.write_array_header_1_0(file, header)
        values = np.empty(full[1:], dtype="<f8")
        for device in devices:
            progress(f"table: {device}")
            of_metric = values_of(device)
            for j, name in enumerate(metrics):
                values[:, :, 0, j] = of_metric[name]
            # Not ndarray.tofile, which loses the reason when a disk is full.
            file.write(values.data.cast("B"))
