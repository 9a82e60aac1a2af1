"""Surrogates: reading of the models of one space."""

from __future__ import annotations

from pathlib import Path

from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.models.surrogate import Surrogate, modelled_targets, read_models
from hwgpt_blackbox.storage.manifest import check_files, read_arrays, read_manifest, read_whole

ARRAYS = "arrays.npz"


def read_surrogate(folder: Path) -> Surrogate:
    """The models of a space, read from an artifact and checked.

    :raises DataError: the folder is no sound surrogate artifact
    """
    return read_whole(folder, _read)


def _read(folder: Path) -> Surrogate:
    manifest = read_manifest(folder, kind="surrogate")
    check_files(folder, manifest, [ARRAYS])
    arrays = read_arrays(folder / ARRAYS)
    try:
        space = get_space(manifest.get("space", ""), measured=True)
        levels, models = read_models(space, manifest["links"], arrays, modelled_targets())
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise DataError(f"{folder}: {error}; convert or pull it again") from None
        raise DataError(
            f"{folder} is no complete surrogate artifact ({error!s:.200}); convert or pull it again"
        ) from error
    return Surrogate(space, models, levels, manifest)
