"""A user's own device: from its measurements to an artifact that is merged with its space."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from hwgpt_blackbox.convert.build import building
from hwgpt_blackbox.convert.fitting.expected_value import CELLS, MIN_CELL
from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.fitting.few_architectures import fit_few
from hwgpt_blackbox.convert.fitting.noise_tables import quantile_levels
from hwgpt_blackbox.convert.fitting.repeat_dependence import with_dependence
from hwgpt_blackbox.convert.fitting.repeat_positions import with_positions
from hwgpt_blackbox.convert.fitting.whole_space import fit_least_squares, write_surrogate
from hwgpt_blackbox.convert.judging.cards.card import plain_row
from hwgpt_blackbox.convert.judging.cards.file import add_report
from hwgpt_blackbox.convert.judging.holdouts import DEFAULT_SPLITS, Evaluation, Split, steps_of
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.user_measurements import DeviceMeasurements, read_device
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.ideal_and_nadir import bounds
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate
from hwgpt_blackbox.storage.artifact_kinds import DEVICE
from hwgpt_blackbox.storage.user_devices import (
    Workload,
    check_name,
    device_artifact,
    workload_of,
)

logger = logging.getLogger(__name__)

MIN_ARCHITECTURES = CELLS * MIN_CELL
"""Architectures that are needed at least, 8 for each embed_dim with and without bias."""

MIN_CELL_HELD_OUT = 6
"""Architectures of 8 that are left to fit on while a fifth is held out."""


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
    :param space: ``s``, ``m`` or ``l``
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
    row = get_space(space, measured=True)
    name = device_artifact(row.name, check_name(device))
    usual = workload_of(row)
    workload = Workload(
        usual.batch if batch is None else batch, usual.length if length is None else length
    )
    # Products of small matrices: several threads take longer, and change the last bits.
    with (
        threadpool_limits(1),
        building([name], out, overwrite=overwrite, progress=progress) as build,
    ):
        data = read_device(
            source,
            row,
            latency_unit=latency_unit,
            energy_unit=energy_unit,
            workload=workload,
            confirm_units=confirm_units,
        )
        surrogate, notes = fit_device(data, device, progress=build.progress)
        targets = [*surrogate.models, f"{ELAPSED_TIME}@{device}"]
        columns = predictor_of(surrogate, targets).columns
        manifest: dict[str, Any] = {
            "kind": DEVICE,
            "name": name,
            "space": row.name,
            "device": device,
            "metrics": list(data.values),
            "units": {metric: METRICS[metric].unit for metric in data.values},
            "links": {target: model.link for target, model in surrogate.models.items()},
            "fit": notes,
            "bounds": bounds(surrogate, columns),
            "source": {"name": Path(source).name, **data.source},
        }
        if batch is not None or length is not None:
            manifest["workload"] = workload.as_dict()
        with build.folder(name) as path:
            write_surrogate(surrogate, path, manifest)
        evaluations = device_evaluations(
            data, surrogate, device, DEFAULT_SPLITS, progress=build.progress
        )
        add_report(path, data, evaluations)
        return build.publish()[0]


def fit_device(
    data: DeviceMeasurements,
    device: str,
    *,
    progress: Progress = silent,
    least: int = MIN_CELL,
) -> tuple[Surrogate, dict[str, Any]]:
    """Models of the metrics measured on a device, and their cross-validated errors.

    :param least: architectures that each embed_dim needs, with and without bias
    :return: a surrogate of the device's targets alone, and by target design, drift and measures
    :raises DataError: too few architectures
    """
    if len(data) < CELLS * least:
        raise DataError(
            f"only {len(data)} architectures; a fit needs {CELLS * least}, {least} for each "
            "embed_dim with and without bias, and 500 are advised: measure more"
        )
    sample, levels = Architectures(data.space, data.matrix), quantile_levels()
    models: dict[str, AdditiveModel] = {}
    report: dict[str, Any] = {}
    noisy = data.targets(device)
    for target, repeats in noisy.items():
        progress(target)
        models[target], choice, features = fit_few(sample, repeats, levels, least=least)
        report[target] = {
            "architectures": len(data),
            "repeats": repeats.shape[1],
            "design": str(choice.fit.design),
            "features_per_embed_dim": features,
            "drift_window": 2 * choice.fit.drift.half,
            "drift_by_embed_dim": choice.fit.drift.by_embed,
            "cross_validated": plain_row(
                location_measures(repeats.mean(axis=1), choice.out_of_fold)
            ),
        }
    progress("dependence of measurements")
    surrogate = Surrogate(data.space, models, levels, {})
    values = predictor_of(surrogate, noisy).expected(data.matrix)
    expected = {target: values[:, j] for j, target in enumerate(noisy)}
    surrogate = with_dependence(surrogate, data.matrix, expected, noisy)
    surrogate = with_positions(surrogate, sample, expected, noisy)
    for target in noisy:
        report[target]["dependence"] = asdict(surrogate.models[target].dependence)
        report[target]["positions_matter"] = surrogate.models[target].positions is not None
    return surrogate, report


def device_evaluations(
    data: DeviceMeasurements,
    surrogate: Surrogate,
    device: str,
    splits: Sequence[Split],
    *,
    progress: Progress = silent,
) -> list[Evaluation]:
    """What the report card of a device is computed from: in sample, then one for each split.

    :param surrogate: models that were fitted to all of the data
    :param splits: hold-outs; the fit is repeated for each
    :raises DataError: a split holds none out
    """
    sample, noisy = Architectures(data.space, data.matrix), data.targets(device)
    evaluations = [Evaluation(None, surrogate, sample, {}, noisy, {}, len(data), {})]
    for split in splits:
        train, test = split.rows(len(data), sample.cell)
        if not len(test):
            raise DataError(f"{split} holds none of {len(data)} architectures out; choose another")
        fitted, notes = fit_device(
            data.take(train), device, progress=steps_of(split, progress), least=MIN_CELL_HELD_OUT
        )
        learned = sample.take(train)
        floor = {
            target: fit_least_squares(learned, values[train].mean(axis=1))
            for target, values in noisy.items()
        }
        held = {target: values[test] for target, values in noisy.items()}
        evaluations.append(
            Evaluation(split, fitted, sample.take(test), {}, held, floor, len(train), notes)
        )
    return evaluations
