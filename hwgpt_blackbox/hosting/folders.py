"""Publishing to a plain folder of this machine, or one that is mounted."""

from __future__ import annotations

import shutil
from pathlib import Path

from hwgpt_blackbox.hosting.listing import Listing
from hwgpt_blackbox.output import Outputs, writing

OTHER_ADDRESS = "choose another address"


def push_to_folder(folder: Path, listing: Listing, target: Path, *, overwrite: bool) -> None:
    """Copy an artifact to its place in one step.

    :param folder: of the artifact
    :param target: its new folder
    :raises OutputError: something else is there, or it cannot be written; nothing of it stays
    """
    with Outputs(target.parent, [target.name], overwrite=overwrite, other=OTHER_ADDRESS) as outputs:
        outputs.need(listing.size)
        temporary = outputs.build(target.name)
        with writing(temporary, OTHER_ADDRESS):
            for name in sorted(listing.names):
                shutil.copyfile(folder / name, temporary / name)
        outputs.publish()
