"""From an artifact and its source to what the source says of it: one way for each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwgpt_blackbox.convert.conversion import read_measurements
from hwgpt_blackbox.convert.judging.against_source import same_source, table_differences
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
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.user_measurements import DeviceMeasurements, read_device
from hwgpt_blackbox.convert.user_device import device_evaluations
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.storage.artifact_kinds import CheckedArtifact
from hwgpt_blackbox.storage.artifact_names import artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.networks import KIND as NETWORK
from hwgpt_blackbox.storage.surrogates import read_surrogate
from hwgpt_blackbox.storage.user_devices import KIND as DEVICE
from hwgpt_blackbox.storage.user_devices import NOISY

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


def _device(artifact: CheckedArtifact, source: str, options: CardOptions) -> Verification:
    device, metrics = str(artifact.manifest["device"]), list(artifact.manifest["metrics"])
    data = _read_device(artifact, source)
    if list(data.values) != metrics:
        raise DataError(
            f"{source} has {' and '.join(data.values)}, {artifact.folder} models "
            f"{' and '.join(metrics)}; name the measurements that it was made from, or convert anew"
        )
    evaluations = device_evaluations(
        data, artifact.content, device, options.splits, progress=options.progress
    )
    return _verified(artifact, data, evaluations)


def _verified(
    artifact: CheckedArtifact,
    data: Measurements | DeviceMeasurements,
    evaluations: Sequence[Evaluation],
) -> Verification:
    card = make_card(artifact.manifest, data, evaluations)
    return Verification(same_source(artifact.manifest, data), card, evaluations)


def _read_device(artifact: CheckedArtifact, source: str) -> DeviceMeasurements:
    """Measurements of a device, in the units in which its artifact was made from a table.

    Their size was checked, or confirmed, when it was made.
    """
    stated = artifact.manifest.get("source")
    units = stated.get("units") if isinstance(stated, dict) else None
    known = units if isinstance(units, dict) and not Path(source).expanduser().is_dir() else {}
    latency, energy = (str(known[name]) if name in known else None for name in NOISY)
    return read_device(
        source, artifact.space, latency_unit=latency, energy_unit=energy, confirm_units=True
    )


def _table(artifact: CheckedArtifact, source: str, options: CardOptions) -> Verification:
    _, data = _checkout(artifact, source, options)
    differences = table_differences(artifact.content, data)
    return Verification(same_source(artifact.manifest, data), differences=differences)


def _checkout(
    artifact: CheckedArtifact, source: str, options: CardOptions
) -> tuple[Checkout, Measurements]:
    checkout = Checkout(source, artifact.space, options.progress)
    return checkout, read_measurements(checkout)


_JUDGES: dict[str, Callable[[CheckedArtifact, str, CardOptions], Verification]] = {
    "surrogate": _surrogate,
    "tabular": _table,
    DEVICE: _device,
    NETWORK: _networks,
}
"""Every kind of artifact, and how it is compared with its source."""
