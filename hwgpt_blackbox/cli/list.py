"""``hwgpt-blackbox list``: every blackbox, its state here, and the artifact in use."""

from __future__ import annotations

import argparse
import json
from typing import Any

from hwgpt_blackbox.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.names import BLACKBOXES
from hwgpt_blackbox.places import find, home


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def rows() -> list[dict[str, Any]]:
    """One row per blackbox: name, space, status, and the folder of its artifact or None."""
    table = []
    for row in BLACKBOXES.values():
        try:
            location = find(row.artifact)
            status, path = "embedded" if location.embedded else "local", str(location.path)
        except MissingArtifactError:
            status, path = "missing", None
        table.append({"name": row.name, "space": row.space, "status": status, "artifact": path})
    return table


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    table = rows()
    if args.json:
        print(
            json.dumps(
                {"home": str(home()), "datasets": [*DEVICES, ALL_DEVICES], "blackboxes": table},
                indent=1,
            )
        )
        return 0
    width = max(len(row["name"]) for row in table)
    for row in table:
        where = row["artifact"] or (
            f"make it with: hwgpt-blackbox convert SOURCE --space {row['space']}"
        )
        print(f"{row['name']:{width}}  {row['status']:8}  {where}")
    print(f"\ndatasets: {' '.join([*DEVICES, ALL_DEVICES])}")
    print(f"home of local artifacts: {home()}")
    return 0
