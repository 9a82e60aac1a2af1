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
from hwgpt_blackbox.convert.judging.family_comparison import OURS, Contest, beside
from hwgpt_blackbox.convert.judging.holdouts import DEFAULT_SPLITS, Say, Split, Trial, as_published
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.user_measurements import DeviceMeasurements, read_device
from hwgpt_blackbox.convert.user_device import device_trials
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.storage.artifact_check import CheckedArtifact
from hwgpt_blackbox.storage.artifact_kinds import DEVICE, NETWORK, SURROGATE, TABULAR, artifact_name
from hwgpt_blackbox.storage.locations import find
from hwgpt_blackbox.storage.surrogates import read_surrogate
from hwgpt_blackbox.storage.user_devices import NOISY

DISTILLED = "distilled"
"""Key of a manifest under which it lists the targets that others modelled, and how a comparison
calls their models."""


@dataclass(frozen=True)
class Asked:
    """What a report card shall hold.

    :param splits: hold-outs; a fit of ours is repeated for each
    :param contest: families to set beside a surrogate, on the random split
    :param say: called with the name of each step
    """

    splits: Sequence[Split] = DEFAULT_SPLITS
    contest: Contest | None = None
    say: Say = lambda step: None


@dataclass(frozen=True)
class Judged:
    """What a source says of an artifact.

    :param made_from_this_source: None if its manifest does not say
    :param card: its report card, None for a table
    :param trials: what that was computed from
    :param differences: of a table, by metric
    """

    made_from_this_source: bool | None
    card: dict[str, Any] | None = None
    trials: Sequence[Trial] = ()
    differences: Mapping[str, dict[str, float]] = field(default_factory=dict)


def judge_artifact(sound: CheckedArtifact, source: str, asked: Asked) -> Judged:
    """Compare an artifact with its source.

    :param sound: a sound artifact
    :param source: root of a checkout of HW-GPT-Bench; for a user's device its measurements
    :raises InputError: there is no such source, or families are compared on no random split
    :raises DataError: the source is malformed, of other architectures, or too small for a split
    :raises MissingExtraError: scipy, or the library of a family, is not installed
    """
    return _JUDGES[sound.kind](sound, source, asked)


def _surrogate(sound: CheckedArtifact, source: str, asked: Asked) -> Judged:
    contest = asked.contest
    split = next((k for k, s in enumerate(asked.splits, start=1) if s.kind == "random"), None)
    if contest and split is None:
        raise InputError("families are compared on a random split; ask for one")
    checkout, data = _checkout(sound, source, asked)
    if DISTILLED in sound.manifest:
        targets = _distilled(sound)
        judged = _published(sound, data, asked, surrogate=sound.content, targets=targets)
        card, trials, name = judged.card, judged.trials, DISTILLED
    else:
        card, trials = judge(checkout, data, sound.content, asked.splits, progress=asked.say)
        name = OURS
    if contest and card and split:
        card[COMPARISON] = beside(card["sections"][split], name, data, contest, asked.say)
    return Judged(same_source(sound.manifest, data), card, trials)


def _distilled(sound: CheckedArtifact) -> list[str]:
    """The targets that others modelled."""
    stated = sound.manifest[DISTILLED]
    targets = [name for name in sound.content.models if isinstance(stated, dict) and name in stated]
    if not targets:
        raise DataError(f"{sound.folder} states no target as {DISTILLED}; convert it again")
    return targets


def _networks(sound: CheckedArtifact, source: str, asked: Asked) -> Judged:
    _, data = _checkout(sound, source, asked)
    base = read_surrogate(find(artifact_name(sound.space.name)).path)
    networks = sound.content
    return _published(sound, data, asked, surrogate=base, targets=list(networks), networks=networks)


def _published(sound: CheckedArtifact, data: Measurements, asked: Asked, **models: Any) -> Judged:
    asked.say("report: as published")
    trials = [as_published(data, split=split, **models) for split in (None, *asked.splits)]
    card = make_card(sound.manifest, data, trials)
    return Judged(same_source(sound.manifest, data), card, trials)


def _device(sound: CheckedArtifact, source: str, asked: Asked) -> Judged:
    device, metrics = str(sound.manifest["device"]), list(sound.manifest["metrics"])
    data = _read_device(sound, source)
    if list(data.values) != metrics:
        raise DataError(
            f"{source} has {' and '.join(data.values)}, {sound.folder} models "
            f"{' and '.join(metrics)}; name the measurements that it was made from, or convert anew"
        )
    trials = device_trials(data, sound.content, device, asked.splits, progress=asked.say)
    card = make_card(sound.manifest, data, trials)
    return Judged(same_source(sound.manifest, data), card, trials)


def _read_device(sound: CheckedArtifact, source: str) -> DeviceMeasurements:
    """Measurements of a device, in the units in which its artifact was made from a table.

    Their size was checked, or confirmed, when it was made.
    """
    stated = sound.manifest.get("source")
    units = stated.get("units") if isinstance(stated, dict) else None
    known = units if isinstance(units, dict) and not Path(source).expanduser().is_dir() else {}
    latency, energy = (str(known[name]) if name in known else None for name in NOISY)
    return read_device(
        source, sound.space, latency_unit=latency, energy_unit=energy, confirm_units=True
    )


def _table(sound: CheckedArtifact, source: str, asked: Asked) -> Judged:
    _, data = _checkout(sound, source, asked)
    differences = table_differences(sound.content, data)
    return Judged(same_source(sound.manifest, data), differences=differences)


def _checkout(sound: CheckedArtifact, source: str, asked: Asked) -> tuple[Checkout, Measurements]:
    checkout = Checkout(source, sound.space, asked.say)
    return checkout, read_measurements(checkout)


_JUDGES: dict[str, Callable[[CheckedArtifact, str, Asked], Judged]] = {
    SURROGATE: _surrogate,
    TABULAR: _table,
    DEVICE: _device,
    NETWORK: _networks,
}
"""How each kind of artifact, as its manifest calls it, is compared with its source."""
