"""A user's own device: from its measurements to an artifact that is merged with its space."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.convert.conversion import progress_bar
from hwgpt_blackbox.convert.fitting.expected_value import CELLS, MIN_CELL
from hwgpt_blackbox.convert.fitting.features import Sample
from hwgpt_blackbox.convert.fitting.few_architectures import fit_few
from hwgpt_blackbox.convert.fitting.noise_tables import quantile_levels
from hwgpt_blackbox.convert.fitting.repeat_dependence import (
    UNKNOWN_SPREAD,
    estimate_dependence,
    session_spread,
)
from hwgpt_blackbox.convert.fitting.whole_space import fit_least_squares, write_surrogate
from hwgpt_blackbox.convert.judging.cards.card import plain_row
from hwgpt_blackbox.convert.judging.cards.file import add_report
from hwgpt_blackbox.convert.judging.holdouts import DEFAULT_SPLITS, Split, Trial
from hwgpt_blackbox.convert.judging.measures import levels_of, location_measures
from hwgpt_blackbox.convert.source.user_measurements import DeviceMeasurements, read_device
from hwgpt_blackbox.domain.objectives import METRICS, Column
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.ideal_and_nadir import SAMPLE_SEED, SAMPLE_SIZE
from hwgpt_blackbox.models.noise import Dependence
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate
from hwgpt_blackbox.storage.artifact_kinds import DEVICE
from hwgpt_blackbox.storage.atomic_writes import Outputs, terminate_as_exit, writing
from hwgpt_blackbox.storage.locations import home
from hwgpt_blackbox.storage.user_devices import Workload, check_name, device_artifact, workload_of

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
    folder = home() if out is None else Path(out).expanduser()
    outputs = Outputs(folder.absolute(), [name], overwrite=overwrite)
    with terminate_as_exit(), progress_bar(progress) as say, outputs:
        say("measurements")
        data = read_device(
            source,
            row,
            latency_unit=latency_unit,
            energy_unit=energy_unit,
            workload=workload,
            confirm_units=confirm_units,
        )
        surrogate, notes = fit_device(data, device, progress=say)
        path = outputs.build(name)
        manifest: dict[str, Any] = {
            "kind": DEVICE,
            "name": name,
            "space": row.name,
            "device": device,
            "metrics": list(data.values),
            "units": {metric: METRICS[metric].unit for metric in data.values},
            "links": {target: model.link for target, model in surrogate.models.items()},
            "fit": notes,
            "bounds": _bounds(surrogate, device),
            "source": {"name": Path(source).name, **data.source},
        }
        if batch is not None or length is not None:
            manifest["workload"] = workload.as_dict()
        with writing(path):
            write_surrogate(surrogate, path, manifest)
        trials = device_trials(data, surrogate, device, DEFAULT_SPLITS, progress=say)
        add_report(path, data, trials)
        return outputs.publish()[0]


def fit_device(
    data: DeviceMeasurements,
    device: str,
    *,
    progress: Callable[[str], None] | None = None,
    least: int = MIN_CELL,
) -> tuple[Surrogate, dict[str, Any]]:
    """Models of the metrics measured on a device, and their cross-validated errors.

    :param least: architectures that each embed_dim needs, with and without bias
    :return: a surrogate of the device's targets alone, and by target design, drift and measures
    :raises DataError: too few architectures
    """
    say = progress or (lambda step: None)
    if len(data) < CELLS * least:
        raise DataError(
            f"only {len(data)} architectures; a fit needs {CELLS * least}, {least} for each "
            "embed_dim with and without bias, and 500 are advised: measure more"
        )
    sample, levels = Sample(data.space, data.matrix), quantile_levels()
    models: dict[str, AdditiveModel] = {}
    report: dict[str, Any] = {}
    for metric, repeats in data.values.items():
        target = f"{metric}@{device}"
        say(target)
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
    surrogate = Surrogate(data.space, models, levels, {})
    say("dependence of measurements")
    for target, found in _dependence(surrogate, data, device).items():
        models[target] = replace(models[target], dependence=found)
        report[target]["dependence"] = asdict(found)
    return Surrogate(data.space, models, levels, {}), report


def device_trials(
    data: DeviceMeasurements,
    surrogate: Surrogate,
    device: str,
    splits: Sequence[Split],
    *,
    progress: Callable[[str], None] | None = None,
) -> list[Trial]:
    """What the report card of a device is computed from: in sample, then one trial per split.

    :param surrogate: models that were fitted to all of the data
    :param splits: hold-outs; the fit is repeated for each
    :raises DataError: a split holds none out
    """
    say = progress or (lambda step: None)
    trials = [_trial(data, surrogate, device, len(data), {})]
    for split in splits:
        train, test = split.rows(len(data), Sample(data.space, data.matrix).cell)
        if not len(test):
            raise DataError(f"{split} holds none of {len(data)} architectures out; choose another")

        def step(name: str, split: Split = split) -> None:
            say(f"report: {split}: {name}")

        learn = data.take(train)
        fitted, notes = fit_device(learn, device, progress=step, least=MIN_CELL_HELD_OUT)
        floor = {
            f"{metric}@{device}": fit_least_squares(
                Sample(learn.space, learn.matrix), values.mean(axis=1)
            )
            for metric, values in learn.values.items()
        }
        held = _trial(data.take(test), fitted, device, len(train), notes)
        trials.append(replace(held, split=split, floor=floor))
    return trials


def _trial(
    data: DeviceMeasurements, surrogate: Surrogate, device: str, fitted: int, notes: dict[str, Any]
) -> Trial:
    """Models of a device on measurements of it."""
    noisy = {f"{metric}@{device}": values for metric, values in data.values.items()}
    sample = Sample(data.space, data.matrix)
    return Trial(None, surrogate, sample, {}, noisy, floor={}, fitted=fitted, notes=notes)


def _dependence(
    surrogate: Surrogate, data: DeviceMeasurements, device: str
) -> dict[str, Dependence]:
    """How measurements of the device hang together; without energy, those of latency alone."""
    noisy = {f"{metric}@{device}": repeats for metric, repeats in data.values.items()}
    columns = [Column(*target.split("@")) for target in noisy]
    values = Predictor(surrogate, columns).expected(data.matrix)
    expected = {target: values[:, j] for j, target in enumerate(noisy)}
    if len(noisy) > 1:
        return estimate_dependence(surrogate, data.matrix, expected, noisy)
    ((target, repeats),) = noisy.items()
    ratio = repeats / expected[target][:, None]
    spread = session_spread(levels_of(surrogate, target, data.matrix, ratio))
    return {target: Dependence(spread if repeats.shape[1] > 1 else UNKNOWN_SPREAD)}


def _bounds(surrogate: Surrogate, device: str) -> dict[str, Any]:
    """Range of the device's expected values over the architectures that ``bounds`` draws."""
    columns = [Column(*target.split("@")) for target in surrogate.models]
    columns.append(Column("elapsed_time", device))
    predictor = Predictor(surrogate, columns)
    rng = np.random.default_rng(SAMPLE_SEED)
    values = predictor.expected(predictor.encoding.sample(SAMPLE_SIZE, rng))
    ends = zip(columns, values.min(axis=0).tolist(), values.max(axis=0).tolist(), strict=True)
    return {
        "sample_size": SAMPLE_SIZE,
        "seed": SAMPLE_SEED,
        "objectives": {column.target: [low, high] for column, low, high in ends},
    }
