"""Whether an artifact is what its manifest says, and whether a table is what its source says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgpt_blackbox.artifact import check_files, read_manifest
from hwgpt_blackbox.convert.measurements import Measurements
from hwgpt_blackbox.devices import DEVICES
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.metrics import ELAPSED_TIME, METRICS
from hwgpt_blackbox.names import BLACKBOXES
from hwgpt_blackbox.places import MANIFEST, find
from hwgpt_blackbox.spaces import Space
from hwgpt_blackbox.surrogate import Surrogate

if TYPE_CHECKING:
    from hwgpt_blackbox.tabular import Table


def _read_table(folder: Path) -> Table:
    from hwgpt_blackbox.tabular import Table  # brings Syne Tune, which takes seconds

    return Table.read(folder)


READERS: dict[str, Callable[[Path], Any]] = {"surrogate": Surrogate.read, "tabular": _read_table}
"""Kinds of artifacts, and what reads and checks each."""


@dataclass(frozen=True)
class Sound:
    """An artifact that was found sound.

    :param folder: where it is
    :param kind: ``surrogate`` or ``tabular``
    :param manifest: what it says of itself
    :param content: its models, or its table
    """

    folder: Path
    kind: str
    manifest: dict[str, Any]
    content: Any

    @property
    def space(self) -> Space:
        """Its space."""
        space: Space = self.content.space
        return space


def locate(artifact: str) -> Path:
    """The folder that a user means.

    :param artifact: a name (``hwgpt-s``: the one in use), or a folder
    :raises InputError: it is neither
    :raises MissingArtifactError: no artifact of that name is on this machine
    """
    if artifact in BLACKBOXES:
        return find(BLACKBOXES[artifact].artifact).path
    folder = Path(artifact).expanduser()
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{artifact!r} is no artifact: neither a name ({', '.join(BLACKBOXES)}) nor a folder "
            f"with a {MANIFEST}"
        )
    return folder


def check_artifact(folder: Path) -> Sound:
    """Check manifest, size and sha256 of every file, that no file is unlisted, and the content.

    :raises DataError: says what is wrong
    """
    manifest = _read_manifest(folder)
    listed = manifest.get("files")
    if not isinstance(listed, dict):
        raise DataError(f"{folder / MANIFEST} lists no files; convert or pull the artifact again")
    unlisted = sorted({path.name for path in folder.iterdir()} - {MANIFEST, *listed})
    if unlisted:
        raise DataError(
            f"{folder} holds {', '.join(unlisted)}, which {MANIFEST} does not list; remove it, or "
            "convert or pull the artifact again"
        )
    odd = sorted(name for name in listed if Path(name).name != name)
    if odd:
        raise DataError(f"{folder / MANIFEST} lists {odd[0]!r}, which is no name of a file in it")
    check_files(folder, manifest, list(listed))
    kind = manifest["kind"]
    return Sound(folder, kind, manifest, READERS[kind](folder))


def _read_manifest(folder: Path) -> dict[str, Any]:
    first, *others = READERS
    try:
        return read_manifest(folder, kind=first)
    except DataError as error:
        for kind in others:
            try:
                return read_manifest(folder, kind=kind)
            except DataError:
                continue
        raise error


def same_source(manifest: dict[str, Any], data: Measurements) -> bool | None:
    """Whether an artifact was made from these very files; None if its manifest does not say."""
    source = manifest.get("source")
    made_from = source.get("files") if isinstance(source, dict) else None
    if not isinstance(made_from, dict) or not made_from:
        return None
    files = data.source.get("files", {})
    return all(made_from.get(name) == row for name, row in files.items())


def table_differences(table: Table, data: Measurements) -> dict[str, dict[str, float]]:
    """Largest relative difference between a table and its source, by metric.

    Elapsed time, which is computed, is left out; perplexity counts where it was measured.

    :return: by metric: ``largest_relative_difference``, and ``differing``, the number of values
    :raises DataError: the architectures are not those of the source
    """
    if table.matrix.shape != data.matrix.shape or (table.matrix != data.matrix).any():
        raise DataError(
            f"the table has {len(table.matrix)} architectures, the source {len(data)}, and they "
            "are not the same in the same order; is the table of another source?"
        )
    repeats = np.arange(table.objectives.shape[2])
    found: dict[str, dict[str, float]] = {}
    for j, metric in enumerate(METRICS.values()):
        if metric.name == ELAPSED_TIME:
            continue
        largest, differing = 0.0, 0
        for d in range(len(DEVICES)):
            source = getattr(data, metric.name)
            source = source[d] if metric.noisy else source[:, None]
            expected = source[:, repeats % source.shape[1]].astype(np.float64)
            gap = np.abs(table.objectives[d, :, :, 0, j] / expected - 1.0)
            gap = gap[np.isfinite(expected)]
            largest = max(largest, float(gap.max(initial=0.0)))
            differing += int((gap > 0.0).sum())
        found[metric.name] = {"largest_relative_difference": largest, "differing": differing}
    return found
