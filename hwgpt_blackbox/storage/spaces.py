"""Spaces by name, file or artifact: the published ones, and users' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwgpt_blackbox.domain.objectives import METRICS
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES, SPACES, Space, get_space, is_name
from hwgpt_blackbox.errors import DataError, InputError, unknown
from hwgpt_blackbox.storage.artifact_kinds import (
    BLACKBOXES,
    BY_MANIFEST,
    DEVICE,
    SURROGATE,
    TABULAR,
    ArtifactKind,
    BlackboxName,
    artifact_name,
    blackbox_of,
    blackboxes_of_space,
    kind_of,
)
from hwgpt_blackbox.storage.locations import artifacts, find, home, is_artifact
from hwgpt_blackbox.storage.manifest import read_manifest, space_of

SUFFIX = ".toml"
"""How the name of a space file ends."""


def find_space(given: str | Path | Space) -> Space:
    """A space by its name, by its file, or as it is.

    :param given: a published name, the name of a space whose artifact ``hwgpt-<name>`` is at hand,
        a path that ends in ``.toml``, or a space
    :raises InputError: there is none of that name, or no such file
    :raises DataError: the file or the artifact describes no space
    """
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith(SUFFIX)):
        return Space.from_file(given)
    if not isinstance(given, str) or given in SPACES:
        return get_space(given)
    for name in _artifacts_of(given):
        folder = find(name).path
        return space_of(read_manifest(folder, kind=tuple(BY_MANIFEST), space=given), folder)
    raise _unknown(given, SPACES)


def _artifacts_of(space: str) -> list[str]:
    """Names of the artifacts of a space at hand: its models, its table, devices beside them."""
    if not is_name(space):
        return []
    own = (artifact_name(space), artifact_name(space, tabular=True))
    devices = artifacts(artifact_name(space, part="device-*"))
    return [name for name in own if is_artifact(home() / name)] + devices


def find_measured(given: str | Path | Space) -> Space:
    """A space of which models or a table are at hand, or were published: see :func:`find_space`.

    :raises InputError: there is none of that name, or nothing was measured of it
    :raises DataError: as :func:`find_space`; or the artifact of that name is of another space
    :raises MissingArtifactError: it was not converted here
    """
    own = own_spaces()
    if isinstance(given, str) and not given.endswith(SUFFIX) and given not in (*SPACES, *own):
        raise _unknown(given, MEASURED_SPACES)
    row = find_space(given)
    if row.name not in own:
        if row.name in SPACES:
            return get_space(row.name, measured=True)
        find(artifact_name(row.name))  # which is not there, and says how to make it
    stored = find_space(row.name)
    if stored != row:
        raise DataError(
            f"{home() / artifact_name(row.name)} is of a space {row.name!r} with other choices or "
            "sizes; give yours another name, and convert its measurements"
        )
    return row


def _unknown(given: str, published: Any) -> InputError:
    """The error for a name of a space that is not at hand."""
    error = unknown("space", given, [*published, *own_spaces()])
    return InputError(f"{error}; or name a space file, ending in {SUFFIX}")


def own_spaces() -> list[str]:
    """Names of the spaces beside s, m and l of which an artifact is at hand, in order."""
    return sorted({kind.space for kind in _own_artifacts().values()})


def _own_artifacts() -> dict[str, ArtifactKind]:
    """Artifacts of users' spaces at hand, by name."""
    kinds = {artifact: kind_of(artifact) for artifact in artifacts("hwgpt-*")}
    return {a: kind for a, kind in kinds.items() if kind and kind.space not in MEASURED_SPACES}


def own_blackboxes() -> dict[str, BlackboxName]:
    """The blackboxes of users' spaces whose artifact is at hand, by name."""
    found: dict[str, BlackboxName] = {}
    for artifact, kind in _own_artifacts().items():
        model, repeats, table = blackboxes_of_space(kind.space)
        row = table if kind.kind == TABULAR else model
        found[row.name] = row
        if kind.kind == DEVICE or (kind.kind == SURROGATE and _has_noise(artifact)):
            found[repeats.name] = repeats
    return found


def blackboxes() -> dict[str, BlackboxName]:
    """Every blackbox by name: the published ones, and those of users' spaces at hand."""
    return {**BLACKBOXES, **own_blackboxes()}


def find_blackbox(name: str) -> BlackboxName | None:
    """What a name of ``load_blackbox`` stands for; None: it is none of :func:`blackboxes`."""
    if name in BLACKBOXES:
        return BLACKBOXES[name]
    return own_blackboxes().get(name) if blackbox_of(name) else None


def _has_noise(artifact: str) -> bool:
    """Whether an artifact has a metric that is measured with noise, so that repeats differ."""
    try:
        links = read_manifest(find(artifact).path, kind=SURROGATE).get("links")
    except DataError:
        return False
    stated = links if isinstance(links, dict) else {}
    metrics = (target.partition("@")[0] for target in stated)
    return any(name in METRICS and METRICS[name].noisy for name in metrics)
