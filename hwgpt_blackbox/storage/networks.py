"""Published networks, read from an artifact and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hwgpt_blackbox.domain.spaces import Space, get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.published_network import NETWORK_TARGETS, PublishedNetwork, array_names
from hwgpt_blackbox.storage.artifact_kinds import NETWORK
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import check_files, read_arrays, read_manifest, read_whole

ARRAYS = "networks.npz"


def read_networks(
    folder: Path, targets: Sequence[str] | None = None
) -> dict[str, PublishedNetwork]:
    """Networks of an artifact, read and checked.

    :param targets: which, of ``NETWORK_TARGETS``; None: all that it has
    :return: by target
    :raises DataError: the folder is no sound artifact of networks, or lacks one
    """
    return read_whole(folder, lambda folder: _read(folder, targets))


def _read(folder: Path, targets: Sequence[str] | None) -> dict[str, PublishedNetwork]:
    manifest = read_manifest(folder, kind=NETWORK)
    if targets is None:
        listed = manifest.get("networks")
        targets = [name for name in NETWORK_TARGETS if isinstance(listed, dict) and name in listed]
        if not targets:
            raise DataError(f"{folder / MANIFEST} lists no networks; convert or pull it again")
    check_files(folder, manifest, [ARRAYS])
    arrays = read_arrays(folder / ARRAYS)
    try:
        space = get_space(manifest.get("space", ""), measured=True)
        return {t: _network(space, manifest["networks"][t], arrays, t) for t in targets}
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, DataError) else f"it lacks {error}"
        raise DataError(
            f"{folder} is no sound artifact of published networks: {reason}; convert it again"
        ) from None


def _network(
    space: Space, entry: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], target: str
) -> PublishedNetwork:
    names = array_names(target)
    weights, biases = [arrays[w] for w, _ in names], [arrays[b] for _, b in names]
    return PublishedNetwork(space, entry["inputs"], weights, biases, float(entry["unit"]))
