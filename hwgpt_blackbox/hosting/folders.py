"""Publishing to a plain folder of this machine, or one that is mounted."""

from __future__ import annotations

import shutil
from pathlib import Path

from hwgpt_blackbox.hosting.listing import Listing, check_foreign
from hwgpt_blackbox.storage.atomic_writes import Outputs, writing
from hwgpt_blackbox.storage.locations import MANIFEST

OTHER_ADDRESS = "choose another address"


def push_to_folder(folder: Path, listing: Listing, target: Path, *, overwrite: bool) -> None:
    """Copy an artifact to its place in one step.

    :param folder: of the artifact
    :param target: its new folder; what is left there of the same version is replaced
    :param overwrite: replace any artifact, with all that lies in its folder
    :raises OutputError: something else is there, or it cannot be written; nothing of it stays
    """
    if not overwrite and _is_version(target, listing):
        names = {path.name for path in target.iterdir()}
        check_foreign(sorted(names - listing.names), str(target))
        overwrite = True
    with Outputs(target.parent, [target.name], overwrite=overwrite, other=OTHER_ADDRESS) as outputs:
        outputs.need(listing.size)
        temporary = outputs.build(target.name)
        with writing(temporary, OTHER_ADDRESS):
            for name in sorted(listing.names):
                shutil.copyfile(folder / name, temporary / name)
        outputs.publish()


def _is_version(target: Path, listing: Listing) -> bool:
    """Whether a folder holds the manifest of a listing."""
    with writing(target, OTHER_ADDRESS):
        manifest = target / MANIFEST
        return manifest.is_file() and manifest.read_bytes() == listing.content
