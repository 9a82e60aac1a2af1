"""What a user measured: a device beside the 13, or a space of their own; one way for both."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from hwgpt_blackbox.convert.build import building
from hwgpt_blackbox.convert.fitting.user_models import fit_user
from hwgpt_blackbox.convert.fitting.whole_space import write_surrogate
from hwgpt_blackbox.convert.judging.cards.drift import drift_of
from hwgpt_blackbox.convert.judging.cards.file import add_report
from hwgpt_blackbox.convert.judging.holdouts import DEFAULT_SPLITS
from hwgpt_blackbox.convert.judging.measures import predictor_of
from hwgpt_blackbox.convert.judging.user_holdouts import user_evaluations
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements, join, read_set
from hwgpt_blackbox.convert.source.user_measurements import DRIFT, read_device, read_quality
from hwgpt_blackbox.convert.source.user_table import QUALITY_TABLE
from hwgpt_blackbox.convert.write_table import complete_rows, write_user_table
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS
from hwgpt_blackbox.domain.spaces import SPACES, Space, get_space
from hwgpt_blackbox.models.ideal_and_nadir import bounds
from hwgpt_blackbox.models.surrogate import COUNTED, Surrogate
from hwgpt_blackbox.storage.artifact_kinds import DEVICE, SURROGATE, artifact_name
from hwgpt_blackbox.storage.manifest import space_entry
from hwgpt_blackbox.storage.spaces import find_space
from hwgpt_blackbox.storage.user_devices import (
    Workload,
    check_name,
    device_artifact,
    workload_of,
)

logger = logging.getLogger(__name__)

WORKLOAD = "workload"
"""Key of what a forward pass was measured on, in manifests of devices."""


def convert_device(
    source: str | Path,
    space: str,
    device: str,
    out: str | Path | None = None,
    *,
    latency_unit: str | None = None,
    energy_unit: str | None = None,
    batch: int | None = None,
    length: int | None = None,
    confirm_units: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Fit one more device and write the artifact ``hwgpt-<space>-device-<device>``.

    Its report card is in it.

    :param source: a ``.csv`` or ``.parquet`` file, or a folder of raw profiler output; see
        :func:`read_device`
    :param space: name of a published space
    :param device: its name
    :param out: folder of the artifacts; default: where they are looked for
    :param latency_unit: of a table; default ms
    :param energy_unit: of a table; default Wh
    :param batch: sequences of a forward pass; default: as the 13 devices, 8, 4 or 1
    :param length: tokens of each; default: as the 13 devices, 1,024
    :param confirm_units: accept latencies and energies of an implausible size
    :param overwrite: replace an artifact that exists
    :param progress: show a progress bar on standard error
    :return: folder of the artifact
    :raises InputError: unknown space or unit, a name that is taken or malformed, no such source
    :raises DataError: the measurements are malformed, implausible or too few
    :raises OutputError: the artifact exists, or cannot be written
    """
    return convert_tables(
        source,
        get_space(space),
        device,
        out,
        latency_unit=latency_unit,
        energy_unit=energy_unit,
        batch=batch,
        length=length,
        confirm_units=confirm_units,
        overwrite=overwrite,
        progress=progress,
    )[0]


def convert_tables(
    source: str | Path,
    space: str | Path | Space,
    device: str,
    out: str | Path | None = None,
    *,
    quality: str | Path | None = None,
    latency_unit: str | None = None,
    energy_unit: str | None = None,
    batch: int | None = None,
    length: int | None = None,
    confirm_units: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Fit what a user has in tables: of one device, and of perplexity and error.

    :param source: as of :func:`convert_device`
    :param space: name of a published space or of one of the user's own, a space file, or a space
    :param device: name of the device
    :param quality: a ``.csv`` or ``.parquet`` file with perplexity, error or both
    :return: folders of the artifacts, see :func:`convert_set`

    The other arguments, and what is raised, are those of :func:`convert_device`.
    """
    check_name(device)
    row = find_space(space)
    usual = workload_of(row)
    workload = Workload(
        usual.batch if batch is None else batch, usual.length if length is None else length
    )
    table = read_device(
        source,
        row,
        latency_unit=latency_unit,
        energy_unit=energy_unit,
        workload=workload,
        confirm_units=confirm_units,
    )
    if batch is not None or length is not None:
        table = replace(table, source={**table.source, WORKLOAD: workload.as_dict()})
    data = join(row, {device: table}, read_quality(quality, row) if quality else None)
    return _publish(data, Path(source).name, out, overwrite=overwrite, progress=progress)


def convert_set(
    folder: str | Path,
    out: str | Path | None = None,
    *,
    confirm_units: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> list[Path]:
    """Fit a measurement set, and write its artifacts, each with its report card.

    Of a space of one's own: ``hwgpt-<space>`` with every metric that was measured, and the measured
    table ``hwgpt-<space>-tabular``. Of a published space: ``hwgpt-<space>-device-<device>`` for
    each device, and of the wide ones ``hwgpt-<space>`` with perplexity and error if measured.

    :param folder: the measurement set
    :param out: folder of the artifacts; default: where they are looked for
    :param confirm_units: accept latencies and energies of an implausible size
    :param overwrite: replace artifacts that exist
    :param progress: show a progress bar on standard error
    :return: folders of the artifacts
    :raises InputError: it is no measurement set, or a device's name is taken
    :raises DataError: the measurements are malformed, implausible or too few
    :raises OutputError: an artifact exists, or cannot be written
    """
    path = Path(folder).expanduser()
    data = read_set(path, confirm_units=confirm_units)
    return _publish(data, path.resolve().name, out, overwrite=overwrite, progress=progress)


@dataclass(frozen=True)
class Part:
    """What becomes one surrogate artifact.

    :param name: of the artifact
    :param data: what it is fitted to
    :param manifest: what its manifest says beside what all say
    """

    name: str
    data: UserMeasurements
    manifest: Mapping[str, Any]


def _parts(data: UserMeasurements) -> Iterator[Part]:
    """The surrogate artifacts that measurements become."""
    space, about = data.space, {"kind": SURROGATE, "source": data.source}
    if space.name not in SPACES:
        yield Part(artifact_name(space.name), data, about)
        return
    for device in data.order:
        source = dict(data.source["tables"][device])
        workload = source.pop(WORKLOAD, None)
        source.pop(DRIFT, None)  # it stands beside the fit
        targets = [target for target in data.noisy if target.endswith(f"@{device}")]
        of_device = {
            "kind": DEVICE,
            "device": device,
            "metrics": [target.partition("@")[0] for target in targets],
            "source": source,
        }
        if workload:
            of_device[WORKLOAD] = workload
        yield Part(device_artifact(space.name, device), data.measuring(targets), of_device)
    quality = [target for target in QUALITY_TABLE.metrics if target in data.values]
    if quality and space.measured:
        name = space.name
        logger.warning("perplexity and error of space %s are published: yours are left out", name)
    elif quality:
        yield Part(artifact_name(space.name), data.measuring(quality), about)


def _publish(
    data: UserMeasurements,
    source: str,
    out: str | Path | None,
    *,
    overwrite: bool,
    progress: bool,
) -> list[Path]:
    """Fit and write all artifacts of measurements; folders of the artifacts.

    :param source: name of what was read, for the manifest
    """
    parts, table = list(_parts(data)), artifact_name(data.space.name, tabular=True)
    rows = complete_rows(data) if data.space.name not in SPACES else None
    names = [part.name for part in parts] + [table] * (rows is not None)
    # Products of small matrices: several threads take longer, and change the last bits.
    with (
        threadpool_limits(1),
        building(names, out, overwrite=overwrite, progress=progress) as build,
    ):
        for part in parts:
            surrogate, notes = fit_user(part.data, progress=build.progress)
            for target, curve in drift_of(part.data).items():
                notes[target]["reference_drift"] = curve
            about = {**part.manifest, "source": {"name": source, **part.manifest["source"]}}
            with build.folder(part.name) as path:
                write_surrogate(surrogate, path, _manifest(part, surrogate, notes) | about)
            evaluations = user_evaluations(
                part.data, surrogate, DEFAULT_SPLITS, progress=build.progress
            )
            add_report(path, part.data, evaluations)
            if rows is not None:
                with build.folder(table) as path:
                    write_user_table(
                        data.take(rows), surrogate, path, about["source"], build.progress
                    )
        return build.publish()


def _manifest(part: Part, surrogate: Surrogate, notes: Mapping[str, Any]) -> dict[str, Any]:
    """What every manifest of a user's artifact says."""
    targets = [*surrogate.models, *(f"{ELAPSED_TIME}@{device}" for device in part.data.order)]
    targets += COUNTED if part.manifest["kind"] == SURROGATE else ()
    metrics = dict.fromkeys(target.partition("@")[0] for target in surrogate.models)
    return {
        "name": part.name,
        **space_entry(surrogate.space),
        "units": {metric: METRICS[metric].unit for metric in metrics},
        "links": {target: model.link for target, model in surrogate.models.items()},
        "fit": dict(notes),
        "bounds": bounds(surrogate, predictor_of(surrogate, targets).columns),
    }
