"""From an artifact and its source to what the source says of it: one way for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.conversion import read_measurements
from hwgpt_blackbox.convert.judging.cards.card import judge, make_card
from hwgpt_blackbox.convert.judging.cards.file import COMPARISON
from hwgpt_blackbox.convert.judging.family_comparison import (
    OURS,
    ComparisonSettings,
    compare_on_section,
)
from hwgpt_blackbox.convert.judging.holdouts import (
    DEFAULT_SPLITS,
    Evaluation,
    Split,
    as_published,
)
from hwgpt_blackbox.convert.judging.user_holdouts import user_evaluations
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements, is_set, join, read_set
from hwgpt_blackbox.convert.source.user_measurements import read_device
from hwgpt_blackbox.convert.write_table import complete_rows
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS, NOISY, Column, Metric
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.models.surrogate import COUNTED
from hwgpt_blackbox.storage.artifact_check import CheckedArtifact
from hwgpt_blackbox.storage.artifact_kinds import DEVICE, NETWORK, SURROGATE, TABULAR, artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.measured_table import Table
from hwgpt_blackbox.storage.measurement_set import QUALITY, SPACE_FILE
from hwgpt_blackbox.storage.surrogates import read_surrogate

DISTILLED = "distilled"
"""Key of a manifest under which it lists the targets that others modelled, and how a comparison
calls their models."""


@dataclass(frozen=True)
class CardOptions:
    """What a report card shall hold.

    :param splits: hold-outs; a fit of ours is repeated for each
    :param comparison: families to set beside a surrogate, on the random split
    :param progress: called with the name of each step
    """

    splits: Sequence[Split] = DEFAULT_SPLITS
    comparison: ComparisonSettings | None = None
    progress: Progress = silent


@dataclass(frozen=True)
class Verification:
    """What a source says of an artifact.

    :param made_from_this_source: None if its manifest does not say
    :param card: its report card, None for a table
    :param evaluations: what that was computed from
    :param differences: of a table, by metric
    """

    made_from_this_source: bool | None
    card: dict[str, Any] | None = None
    evaluations: Sequence[Evaluation] = ()
    differences: Mapping[str, dict[str, float]] = field(default_factory=dict)


def judge_artifact(artifact: CheckedArtifact, source: str, options: CardOptions) -> Verification:
    """Compare an artifact with its source.

    :param artifact: a sound artifact
    :param source: root of a checkout of HW-GPT-Bench; for a user's device its measurements
    :raises InputError: there is no such source, or families are compared on no random split
    :raises DataError: the source is malformed, of other architectures, or too small for a split
    :raises MissingExtraError: scipy, or the library of a family, is not installed
    """
    return _JUDGES[artifact.kind](artifact, source, options)


def _surrogate(artifact: CheckedArtifact, source: str, options: CardOptions) -> Verification:
    if not artifact.space.measured:
        return _user(artifact, source, options)
    comparison, splits = options.comparison, options.splits
    position = next((k for k, s in enumerate(splits, start=1) if s.kind == "random"), None)
    if comparison and position is None:
        raise InputError("families are compared on a random split; ask for one")
    checkout, data = _checkout(artifact, source, options)
    if DISTILLED in artifact.manifest:
        targets = _distilled(artifact)
        options.progress("report: as published")
        name, evaluations = DISTILLED, as_published(data, splits, artifact.content, targets)
        card = make_card(artifact.manifest, data, evaluations)
    else:
        name = OURS
        card, evaluations = judge(
            checkout, data, artifact.content, splits, progress=options.progress
        )
    if comparison and position:
        section = card["sections"][position]
        card[COMPARISON] = compare_on_section(section, name, data, comparison, options.progress)
    return Verification(same_source(artifact.manifest, data), card, evaluations)


def _distilled(artifact: CheckedArtifact) -> list[str]:
    """The targets that others modelled."""
    stated, models = artifact.manifest[DISTILLED], artifact.content.models
    targets = [name for name in models if isinstance(stated, dict) and name in stated]
    if not targets:
        raise DataError(f"{artifact.folder} states no target as {DISTILLED}; convert it again")
    return targets


def _networks(artifact: CheckedArtifact, source: str, options: CardOptions) -> Verification:
    _, data = _checkout(artifact, source, options)
    base = read_surrogate(find(artifact_name(artifact.space.name)).path)
    networks = artifact.content
    options.progress("report: as published")
    return _verified(artifact, data, as_published(data, options.splits, base, networks, networks))


def _user(artifact: CheckedArtifact, source: str, options: CardOptions) -> Verification:
    """A user's device, or a space of their own, against what it was made from."""
    data, targets = _read_user(artifact, source), artifact.content.models
    missing = [target for target in targets if target not in data.values]
    if missing:
        own = f"@{artifact.manifest.get('device')}"
        found, modelled = (
            " and ".join(target.removesuffix(own) for target in names)
            for names in (data.values, targets)
        )
        raise DataError(
            f"{source} has {found}, {artifact.folder} models {modelled}; name the measurements "
            "that it was made from, or convert anew"
        )
    data = data.measuring(targets)
    evaluations = user_evaluations(
        data, artifact.content, options.splits, progress=options.progress
    )
    return _verified(artifact, data, evaluations)


def _verified(
    artifact: CheckedArtifact,
    data: Measurements | UserMeasurements,
    evaluations: Sequence[Evaluation],
) -> Verification:
    card = make_card(artifact.manifest, data, evaluations)
    return Verification(same_source(artifact.manifest, data), card, evaluations)


def _read_user(artifact: CheckedArtifact, source: str) -> UserMeasurements:
    """A user's measurements, in the units in which the artifact was made from a table.

    Their size was checked, or confirmed, when it was made.
    """
    path = Path(source).expanduser()
    if is_set(path):
        return read_set(path, confirm_units=True)
    if artifact.kind != DEVICE:
        raise InputError(
            f"{source} is no measurement set; put the tables that {artifact.folder} was made from "
            f"into a folder with {SPACE_FILE}, as <device>.csv and {QUALITY}.csv"
        )
    stated = artifact.manifest.get("source")
    units = stated.get("units") if isinstance(stated, dict) else None
    known = units if isinstance(units, dict) and not path.is_dir() else {}
    latency, energy = (str(known[name]) if name in known else None for name in NOISY)
    table = read_device(
        source, artifact.space, latency_unit=latency, energy_unit=energy, confirm_units=True
    )
    return join(artifact.space, {str(artifact.manifest["device"]): table})


def _table(artifact: CheckedArtifact, source: str, options: CardOptions) -> Verification:
    data: Measurements | UserMeasurements
    if artifact.space.measured:
        _, data = _checkout(artifact, source, options)
    else:
        data = _read_user(artifact, source)
        rows = complete_rows(data)
        data = data.take(np.zeros(0, dtype=np.intp) if rows is None else rows)
    differences = table_differences(artifact.content, data)
    return Verification(same_source(artifact.manifest, data), differences=differences)


def _checkout(
    artifact: CheckedArtifact, source: str, options: CardOptions
) -> tuple[Checkout, Measurements]:
    checkout = Checkout(source, artifact.space, options.progress)
    return checkout, read_measurements(checkout)


def same_source(manifest: dict[str, Any], data: Measurements | UserMeasurements) -> bool | None:
    """Whether an artifact was made from these very files; None if its manifest does not say."""
    source = manifest.get("source")
    made_from = source.get("files") if isinstance(source, dict) else None
    if not isinstance(made_from, dict) or not made_from:
        return None
    files = data.source.get("files", {})
    return all(made_from.get(name) == row for name, row in files.items())


def table_differences(
    table: Table, data: Measurements | UserMeasurements
) -> dict[str, dict[str, float]]:
    """Largest relative difference between a table and its source, by metric.

    Elapsed time, which is computed, is left out; perplexity counts where it was measured, error
    where the table has it.

    :return: by metric: ``largest_relative_difference``, and ``differing``, the number of values
    :raises DataError: the architectures are not those of the source
    """
    if table.matrix.shape != data.matrix.shape or (table.matrix != data.matrix).any():
        raise DataError(
            f"the table has {len(table.matrix)} architectures, the source {len(data)}, and they "
            "are not the same in the same order; is the table of another source?"
        )
    repeats = np.arange(table.objectives.shape[2])
    found: dict[str, dict[str, float]] = {}
    for j, metric in enumerate(METRICS[name] for name in table.metrics):
        if metric.name == ELAPSED_TIME:
            continue
        largest, differing = 0.0, 0
        for d, device in enumerate(table.devices):
            source = _measured(data, metric, device)
            expected = source[:, repeats % source.shape[1]].astype(np.float64)
            gap = np.abs(table.objectives[d, :, :, 0, j] / expected - 1.0)
            gap = gap[np.isfinite(expected)]
            largest = max(largest, float(gap.max(initial=0.0)))
            differing += int((gap > 0.0).sum())
        found[metric.name] = {"largest_relative_difference": largest, "differing": differing}
    return found


def _measured(data: Measurements | UserMeasurements, metric: Metric, device: str) -> NDArray[Any]:
    """What a source says of a metric on a device, shape (n, repeats); NaN where it says nothing."""
    if isinstance(data, Measurements):
        found: NDArray[Any] = getattr(data, metric.name)
        return found[list(DEVICES).index(device)] if metric.noisy else found[:, None]
    if metric.name in COUNTED:
        return count(Encoding(data.space), data.matrix, metric.name)[:, None]
    target = Column(metric.name, device if metric.per_device else None).target
    return data.values.get(target, np.full((len(data), 1), np.nan))


_JUDGES: dict[str, Callable[[CheckedArtifact, str, CardOptions], Verification]] = {
    SURROGATE: _surrogate,
    TABULAR: _table,
    DEVICE: _user,
    NETWORK: _networks,
}
"""How each kind of artifact, as its manifest calls it, is compared with its source."""
