"""Report cards on disk: ``report.json`` of an artifact, listed in its manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwgpt_blackbox.artifact import check_files, read_manifest, write_manifest
from hwgpt_blackbox.convert.output import Outputs, terminate_as_exit, writing
from hwgpt_blackbox.convert.report_card import REPORT_VERSION
from hwgpt_blackbox.errors import DataError
from hwgpt_blackbox.surrogate import ARRAYS

REPORT = "report.json"
"""File of the card in an artifact."""

MAX_REPORT_BYTES = 1 << 20
"""A card beyond this is refused unread."""


def to_json(value: Any, depth: int = 0) -> str:
    """JSON with one line per target: dicts that hold no dict or list stand on one line."""
    pad, end = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, Mapping) and any(isinstance(v, dict | list) for v in value.values()):
        rows = (f"{json.dumps(key)}: {to_json(v, depth + 1)}" for key, v in value.items())
        return "{" + ",".join(pad + row for row in rows) + end + "}"
    if isinstance(value, list) and any(isinstance(v, dict) for v in value):
        return "[" + ",".join(pad + to_json(v, depth + 1) for v in value) + end + "]"
    return json.dumps(value, allow_nan=False)


def add_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write a card and the manifest anew into a surrogate artifact that nobody reads yet."""
    manifest = read_manifest(folder, kind="surrogate")
    (folder / REPORT).write_text(to_json(card) + "\n", encoding="utf-8")
    write_manifest(folder, manifest)


def store_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Put a card into an artifact; a reader sees the artifact before or after, never between.

    :param folder: a sound surrogate artifact
    :raises OutputError: it cannot be written; the artifact is as it was
    """
    folder = folder.resolve()
    outputs = Outputs(folder.parent, [folder.name], overwrite=True)
    with terminate_as_exit(), outputs:
        built = outputs.build(folder.name)
        with writing(folder):
            for path in folder.iterdir():
                shutil.copyfile(path, built / path.name)
            add_card(built, card)
        outputs.publish()


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of a surrogate artifact, None if it has none.

    :raises DataError: the card is not that of the manifest, of another form or version, or of
        another fit
    """
    manifest = read_manifest(folder, kind="surrogate")
    files = manifest.get("files")
    if not isinstance(files, dict) or REPORT not in files:
        return None
    path = folder / REPORT
    cure = f"make it anew with: hwgpt-blackbox verify {folder} --against SOURCE --store"
    if path.is_file() and path.stat().st_size > MAX_REPORT_BYTES:
        raise DataError(f"{path} is larger than {MAX_REPORT_BYTES} bytes; {cure}")
    check_files(folder, manifest, [REPORT])
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); {cure}") from error
    wrong = _wrong_form(card)
    if wrong:
        raise DataError(f"{path} is no report card ({wrong}); {cure}")
    listed = files.get(ARRAYS)
    if not isinstance(listed, dict) or card["arrays"].get(ARRAYS) != listed.get("sha256"):
        raise DataError(f"{path} is the report card of other {ARRAYS}; {cure}")
    return dict(card)


def _wrong_form(card: Any) -> str | None:
    """What is wrong with the form of a card."""
    if not isinstance(card, dict):
        return "it holds no object"
    version = card.get("report_version")
    if version != REPORT_VERSION:
        return f"its report_version is {version!r}, expected {REPORT_VERSION}"
    sections = card.get("sections")
    if not isinstance(card.get("arrays"), dict) or not isinstance(card.get("space"), str):
        return "arrays or space are missing"
    if not isinstance(sections, list) or not sections:
        return "it has no sections"
    for part in sections:
        sound = (
            isinstance(part, dict)
            and isinstance(part.get("split"), str)
            and isinstance(part.get("seed"), int | None)
            and isinstance(part.get("fitted"), int)
            and isinstance(part.get("judged"), int)
            and isinstance(part.get("summary"), dict)
            and isinstance(part.get("targets"), dict)
            and all(map(_is_row, part["targets"].values()))
        )
        if not sound:
            return "a section is of another form"
    return None


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(isinstance(v, int | float | None) for v in row.values())
