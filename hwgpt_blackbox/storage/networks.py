"""Published networks, read from an artifact and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.published_network import NETWORK_TARGETS, PublishedNetwork, array_names
from hwgpt_blackbox.storage.artifact_kinds import NETWORK
from hwgpt_blackbox.storage.locations import MANIFEST
from hwgpt_blackbox.storage.manifest import check_files, read_arrays, read_manifest, read_whole

ARRAYS = "networks.npz"


def read_networks(
    folder: Path, targets: Sequence[str] | None = None, space: str | None = None
) -> dict[str, PublishedNetwork]:
    """Networks of an artifact, read and checked.

    :param targets: which, of ``NETWORK_TARGETS``; None: all that it has
    :param space: of which they must be; None: any
    :return: by target
    :raises DataError: the folder is no sound artifact of networks, lacks one, or is of another
        space
    """
    return read_whole(folder, lambda folder: _read(folder, targets, space))


def _read(
    folder: Path, targets: Sequence[str] | None, expected: str | None
) -> dict[str, PublishedNetwork]:
    manifest = read_manifest(folder, kind=NETWORK, space=expected)
    listed = manifest.get("networks")
    if targets is None:
        targets = [name for name in NETWORK_TARGETS if isinstance(listed, dict) and name in listed]
        if not targets:
            raise DataError(f"{folder / MANIFEST} lists no networks; convert or pull it again")
    check_files(folder, manifest, [ARRAYS])
    arrays = read_arrays(folder / ARRAYS)
    found = {}
    try:
        space = get_space(manifest.get("space", ""), measured=True)
        for target in targets:
            entry, names = manifest["networks"][target], array_names(target)
            found[target] = PublishedNetwork(
                space,
                entry["inputs"],
                [arrays[weight] for weight, _ in names],
                [arrays[bias] for _, bias in names],
                float(entry["unit"]),
            )
    except (KeyError, TypeError, ValueError) as error:
        reason = str(error) if isinstance(error, DataError) else f"it lacks {error}"
        raise DataError(
            f"{folder} is no sound artifact of published networks: {reason}; convert it again"
        ) from None
    return found
