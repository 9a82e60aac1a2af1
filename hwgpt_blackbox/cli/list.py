"""``hwgpt-blackbox list``: every blackbox, its state here, and the artifact in use."""

from __future__ import annotations

import argparse
import json
from typing import Any

from hwgpt_blackbox.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.errors import MissingArtifactError
from hwgpt_blackbox.names import BLACKBOXES, artifact_name
from hwgpt_blackbox.own_devices import OwnDevice, own_devices
from hwgpt_blackbox.places import find, home
from hwgpt_blackbox.spaces import MEASURED_SPACES


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument(
        "--report", action="store_true", help="how good the surrogate of each space is"
    )


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


def _own() -> list[OwnDevice]:
    """Users' devices of every space."""
    return [device for space in MEASURED_SPACES for device in own_devices(space).values()]


def run(args: argparse.Namespace) -> int:
    """Print the table, or the line of each report card."""
    if args.report:
        return _print_reports(as_json=args.json)
    table, own = rows(), _own()
    if args.json:
        print(
            json.dumps(
                {
                    "home": str(home()),
                    "datasets": [*DEVICES, ALL_DEVICES],
                    "own_devices": [
                        {"name": d.name, "space": d.space, "artifact": str(d.path)} for d in own
                    ],
                    "blackboxes": table,
                },
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
    for device in own:
        print(f"own device: {device.name} in hwgpt-{device.space}  {device.path}")
    print(f"home of local artifacts: {home()}")
    return 0


def reports() -> list[dict[str, Any]]:
    """One row per space: name, folder of the artifact in use, and its report card or None.

    :raises DataError: a card is not sound
    """
    from hwgpt_blackbox.convert.card_store import read_card

    table = []
    for space in MEASURED_SPACES:
        name = artifact_name(space)
        folder = find(name).path
        table.append({"name": name, "artifact": str(folder), "report": read_card(folder)})
    return table


def _print_reports(*, as_json: bool) -> int:
    """Print what the report card of each space says in one line."""
    from hwgpt_blackbox.convert.card_text import LIST_HEADINGS, list_row

    table = reports()
    if as_json:
        print(json.dumps({"home": str(home()), "reports": table}, indent=1))
        return 0
    lines: list[tuple[str, ...]] = [LIST_HEADINGS]
    lines += [list_row(row["name"], row["report"]) for row in table if row["report"]]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    for line in lines if len(lines) > 1 else []:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells).rstrip())
    for row in table:
        if row["report"] is None:
            print(
                f"{row['name']} has no report card; make one with: "
                f"hwgpt-blackbox verify {row['artifact']} --against SOURCE --store"
            )
    if len(lines) > 1:
        print("means over the noisy targets of a hold-out; details: hwgpt-blackbox verify ARTIFACT")
    return 0
