"""``hwgpt-blackbox list``: every blackbox, its state here, and the artifact in use."""

from __future__ import annotations

import argparse
import json
import logging
from shlex import quote
from typing import Any

from hwgpt_blackbox.cli.pull import add_home
from hwgpt_blackbox.domain.devices import ALL_DEVICES, DEVICES
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES
from hwgpt_blackbox.errors import DataError, InputError, MissingArtifactError
from hwgpt_blackbox.storage.artifact_kinds import DEVICE, artifact_name, kind_of
from hwgpt_blackbox.storage.locations import find, home, parts
from hwgpt_blackbox.storage.spaces import blackboxes, own_blackboxes, own_spaces
from hwgpt_blackbox.storage.surrogates import measured_in, own_devices

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.add_argument(
        "--report", action="store_true", help="how good the models of each artifact are"
    )
    parser.add_argument(
        "--cached", action="store_true", help="every version that was pulled, and from where"
    )
    add_home(parser)


def rows() -> list[dict[str, Any]]:
    """One row per blackbox: name, space, status, and the folder of its artifact or None."""
    table = []
    for row in blackboxes().values():
        try:
            location = find(row.artifact)
            # By name, which stays when another version is in use.
            path = str(location.path if location.embedded else home() / row.artifact)
            status = "embedded" if location.embedded else "local"
        except MissingArtifactError:
            status, path = "missing", None
        table.append({"name": row.name, "space": row.space, "status": status, "artifact": path})
    return table


def _others() -> list[dict[str, str]]:
    """Published models on this machine: name, folder of the artifact, and Python that loads it."""
    return [
        {"name": name, "artifact": str(home() / name), "load": kind.load}
        for name in parts()
        if (kind := kind_of(name)) and kind.kind != DEVICE
    ]


def _own_datasets() -> dict[str, list[str]]:
    """Datasets of users' spaces, by name; one that cannot be read is left out, the log says why."""
    found = {}
    for space in own_spaces():
        try:
            found[space] = [*measured_in(space).devices, ALL_DEVICES]
        except DataError as error:
            logger.warning("space %s is left out: %s", space, error)
    return found


def run(args: argparse.Namespace) -> int:
    """Print the table, or the line of each report card."""
    if args.cached:
        return _print_cached(args.home, as_json=args.json)
    if args.home is not None:
        raise InputError("--home is for --cached; otherwise set HWGPT_BLACKBOX_HOME")
    if args.report:
        return _print_reports(as_json=args.json)
    table, others = rows(), _others()
    own = [
        device
        for space in (*MEASURED_SPACES, *own_spaces())
        for device in own_devices(space).values()
    ]
    own_datasets = _own_datasets()
    if args.json:
        devices = [
            {
                "name": d.name,
                "space": d.space,
                "artifact": str(d.path),
                "workload": d.workload.as_dict() if d.workload else None,
            }
            for d in own
        ]
        document = {
            "home": str(home()),
            "datasets": [*DEVICES, ALL_DEVICES],
            "datasets_of_own_spaces": own_datasets,
            "own_devices": devices,
            "other_models": others,
            "blackboxes": table,
        }
        print(json.dumps(document, indent=1))
        return 0
    width = max(len(row["name"]) for row in table)
    for row in table:
        where = row["artifact"] or (
            f"make it with: hwgpt-blackbox convert SOURCE --space {row['space']}; or fetch it "
            f"with: hwgpt-blackbox pull {row['name']} --from REPOSITORY"
        )
        print(f"{row['name']:{width}}  {row['status']:8}  {where}")
    print(f"\ndatasets: {' '.join([*DEVICES, ALL_DEVICES])}")
    for space, names in own_datasets.items():
        print(f"datasets of hwgpt-{space}: {' '.join(names)}")
    for device in own:
        stated = f"  measured on {device.workload}" if device.workload else ""
        print(f"own device: {device.name} in hwgpt-{device.space}  {device.path}{stated}")
    for other in others:
        print(f"other models: {other['name']}  {other['artifact']}  {other['load']}")
    print(f"home of local artifacts: {home()}")
    return 0


def _print_cached(folder: str | None, *, as_json: bool) -> int:
    """Print every pulled version: name, digest, size, time, state, and where it is from."""
    from hwgpt_blackbox.hosting import cached

    versions = cached(folder)
    if as_json:
        table = [
            {
                "name": v.name,
                "digest": v.digest,
                "active": v.active,
                "bytes": v.size,
                "artifact": str(v.path),
                "origins": [dict(row) for row in v.origins],
            }
            for v in versions
        ]
        print(json.dumps({"home": folder or str(home()), "cached": table}, indent=1))
        return 0
    width = max((len(v.name) for v in versions), default=0)
    for v in versions:
        state = "in use" if v.active else ""
        origin = v.origins[-1] if v.origins else {}
        pinned = f" at {origin['revision'][:12]}" if origin.get("revision") else ""
        print(
            f"{v.name:{width}}  {v.digest[:16]}  {v.size / 1e6:8.1f} MB  {v.pulled[:16]:16}  "
            f"{state:6}  {origin.get('source', '')}{pinned}"
        )
    if not versions:
        print(f"nothing was pulled to {folder or home()}")
    return 0


def reports() -> list[dict[str, Any]]:
    """One row per artifact of models: name, folder of the one in use, and its card or None.

    Users' devices and published models that cannot be read are left out with a warning in the log.

    :raises DataError: the card of a space is not sound
    """
    from hwgpt_blackbox.convert.judging.cards.file import read_card

    table, others = [], parts()
    own = [row.artifact for row in own_blackboxes().values() if row.name == row.artifact]
    models = [name for name in own if not name.endswith("-tabular")]
    for name in (*map(artifact_name, MEASURED_SPACES), *models, *others):
        folder = find(name).path
        try:
            table.append({"name": name, "artifact": str(folder), "report": read_card(folder)})
        except DataError as error:
            if name not in (*models, *others):
                raise
            logger.warning("%s is left out: %s", folder, error)
    return table


def _print_reports(*, as_json: bool) -> int:
    """Print what the report card of each artifact says in one line."""
    from hwgpt_blackbox.convert.judging.cards.text import LIST_HEADINGS, list_row

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
                f"hwgpt-blackbox verify {quote(row['artifact'])} --against SOURCE --store"
            )
    if len(lines) > 1:
        print("means over the noisy targets of a hold-out; details: hwgpt-blackbox verify ARTIFACT")
    return 0
