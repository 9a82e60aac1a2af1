"""What the results of a run depend on beside its settings: artifacts, and a user's own method."""

from __future__ import annotations

from collections.abc import Mapping

from hwgpt_blackbox.experiments.methods import get_method
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.runs import RunSettings
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import MANIFEST, find
from hwgpt_blackbox.storage.manifest import sha256
from hwgpt_blackbox.storage.spaces import find_space
from hwgpt_blackbox.storage.surrogates import has_models, holder


def artifact_digests(problem: Problem) -> dict[str, str]:
    """sha256 of the manifest of every artifact that a problem needs: it holds those of its files.

    :return: by name: ``hwgpt-s``, ``hwgpt-s-device-mygpu``
    :raises MissingArtifactError: one is not on this machine
    """
    holders = (holder(problem.space, device) for device in (None, *problem.devices))
    names = dict.fromkeys(holders)
    if len(names) > 1 and not has_models(find_space(problem.space)):
        del names[artifact_name(problem.space)]
    return {name: sha256(find(name).path / MANIFEST) for name in names}


def provenance(run: RunSettings) -> dict[str, str]:
    """Digests of what makes the results of a run: its artifacts, and the method if it is not ours.

    :return: as :func:`artifact_digests`; and by import path the sha256 of the file that defines the
        factory (what that file imports is not looked at)
    :raises InputError: the method is unknown or cannot be imported
    :raises MissingArtifactError: an artifact is not on this machine
    """
    found = artifact_digests(run.problem)
    digest = get_method(run.method).digest
    return found if digest is None else {**found, run.method: digest}


def changed(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """Names of what differs, sorted; what only one of them knows differs too."""
    return sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
