"""Report cards on disk: ``report.json`` of an artifact, listed in its manifest."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from hwgpt_blackbox.convert.judging.cards.card import REPORT_VERSION, make_card
from hwgpt_blackbox.convert.judging.cards.drift import is_drift
from hwgpt_blackbox.convert.judging.holdouts import IN_SAMPLE, SPLIT_KINDS, Evaluation
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.set_reader import UserMeasurements
from hwgpt_blackbox.convert.source.user_measurements import DRIFT
from hwgpt_blackbox.errors import DataError, OutputError
from hwgpt_blackbox.storage.artifact_kinds import CARD_KINDS
from hwgpt_blackbox.storage.atomic_writes import Outputs, terminate_as_exit, writing
from hwgpt_blackbox.storage.manifest import (
    check_files,
    identity,
    read_manifest,
    read_whole,
    write_manifest,
)

REPORT = "report.json"
"""File of the card in an artifact."""

COMPARISON = "comparison"
"""Key of a card under which families of surrogates stand side by side."""

NAMES = ("target", "family")
"""What a row of a comparison is of; everything else in it is a number."""

_NAME = re.compile(r"[A-Za-z0-9_@(][A-Za-z0-9_@() -]{0,59}")

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
    """Write a card and the manifest anew into an artifact that nobody reads yet."""
    manifest = read_manifest(folder, kind=CARD_KINDS)
    (folder / REPORT).write_text(to_json(card) + "\n", encoding="utf-8")
    write_manifest(folder, manifest)


def add_report(
    folder: Path, data: Measurements | UserMeasurements, evaluations: Sequence[Evaluation]
) -> None:
    """Compute the card of an artifact that is being built, and add it.

    :param data: what the models are judged by
    :param evaluations: of the models
    :raises OutputError: it cannot be written
    """
    manifest = read_manifest(folder, kind=CARD_KINDS)
    with writing(folder):
        add_card(folder, make_card(manifest, data, evaluations))


def store_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Put a card into an artifact; a reader sees the artifact before or after, never between.

    :param folder: a sound artifact of one of ``CARD_KINDS``
    :raises OutputError: it cannot be written, or another process replaced the artifact; it is as
        it was
    """
    folder = folder.resolve()
    before = identity(folder)
    outputs = Outputs(folder.parent, [folder.name], overwrite=True)
    with terminate_as_exit(), outputs:
        built = outputs.build(folder.name)
        with writing(folder):
            for path in folder.iterdir():
                shutil.copyfile(path, built / path.name)
            add_card(built, card)
        if identity(folder) != before:
            raise OutputError(f"{folder} was replaced by another process; judge it again")
        outputs.publish()


def read_card(folder: Path) -> dict[str, Any] | None:
    """The card of an artifact of one of ``CARD_KINDS``, None if it has none.

    :raises DataError: the card is not that of the manifest, of another form or version, or of
        another fit
    """
    return read_whole(folder, _read_card)


def _read_card(folder: Path) -> dict[str, Any] | None:
    manifest = read_manifest(folder, kind=CARD_KINDS)
    files = manifest.get("files")
    if not isinstance(files, dict) or REPORT not in files:
        return None
    path = folder / REPORT
    cure = f"make it anew with: hwgpt-blackbox verify {quote(str(folder))} --against SOURCE --store"
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
    arrays = {
        name: row.get("sha256") if isinstance(row, dict) else None
        for name, row in files.items()
        if name.endswith("npz")
    }
    if card["arrays"] != arrays:
        raise DataError(f"{path} is the report card of other models than {folder} holds; {cure}")
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
            and part.get("split") in (IN_SAMPLE, *SPLIT_KINDS)
            and isinstance(part.get("seed"), int | None)
            and isinstance(part.get("fitted"), int)
            and isinstance(part.get("judged"), int)
            and isinstance(part.get("summary"), dict)
            and all(_is_number(v) or _is_name(v) for v in part["summary"].values())
            and isinstance(part.get("targets"), dict)
            and all(map(_is_name, part["targets"]))
            and all(map(_is_row, part["targets"].values()))
        )
        if not sound:
            return "a section is of another form"
    drift = card.get(DRIFT)
    if not is_drift(drift) or not all(map(_is_name, drift or ())):
        return "its drift is of another form"
    return None if _is_comparison(card.get(COMPARISON)) else "its comparison is of another form"


def _is_comparison(part: Any) -> bool:
    """Whether a part of a card is families side by side, or missing."""
    if part is None:
        return True
    rows = part.get("rows") if isinstance(part, dict) else None
    return (
        isinstance(rows, list)
        and part.get("split") in SPLIT_KINDS
        and isinstance(part.get("seed"), int | None)
        and all(
            isinstance(row, dict)
            and all(_is_name(row.get(key)) for key in NAMES)
            and _is_row({key: value for key, value in row.items() if key not in NAMES})
            for row in rows
        )
    )


def _is_name(text: Any) -> bool:
    """Whether a text may be printed as the name of a target or family."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def _is_row(row: Any) -> bool:
    return isinstance(row, dict) and all(map(_is_number, row.values()))


def _is_number(value: Any) -> bool:
    """Whether a value is a number that can be shown, or None for one that is undefined."""
    return value is None or (isinstance(value, int | float) and -1e300 < value < 1e300)
