"""Where things are in a checkout of HW-GPT-Bench, and a record of what was read."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.pickle_reader import MAX_BYTES, parse_pickle, read_bytes
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError

STATS = "data_collection/gpt_datasets/gpt_{space}/stats.pkl"
CHECKPOINT = "data_collection/gpt_datasets/predictor_ckpts/metric/perplexity_{space}.pt"
RAW = "data_collection/raw_results_hw"
PERPLEXITY_BENCH = "arch_ppl_bench_{space}"

SUFFIXES = {"s": "", "m": "_m", "l": "_l"}
"""Ending of the raw folders of each space."""

LATENCY_FILES = "efficiency_observations"
ENERGY_FILES = "efficiency_energy_observations_tracker"
PERPLEXITY_FILES = "ppl_observations_tracker"

_CURE = "expected a checkout of github.com/automl/HW-GPT-Bench, its root"


class Checkout:
    """A checkout of the source repository.

    :param root: its root folder
    :param space: the space whose files are read
    :param progress: called with the name of every file that is read
    :raises DataError: the folder or the data set of the space is not there
    """

    def __init__(self, root: str | Path, space: Space, progress: Progress = silent) -> None:
        self.root = Path(root).expanduser()
        self.space = space
        self.records: dict[str, dict[str, Any]] = {}
        """Path below the root to sha256 and size of every file that was read."""
        self._progress = progress
        if not self.root.is_dir():
            raise DataError(f"source {self.root} is no folder; {_CURE}")
        if not self.stats.is_file():
            raise DataError(f"source {self.root} has no {self._name(self.stats)}; {_CURE}")

    @property
    def stats(self) -> Path:
        """The profiled data set."""
        return self.root / STATS.format(space=self.space.name)

    @property
    def checkpoint(self) -> Path:
        """The published perplexity network."""
        return self.root / CHECKPOINT.format(space=self.space.name)

    def raw_chunks(self, folder: str, kind: str) -> list[Path]:
        """Raw files of one kind in profiling order.

        :param folder: folder name without the ending of the space, for instance ``latency_a100``
        :param kind: start of the file names
        """
        return numbered_chunks(self.root / RAW / f"{folder}{SUFFIXES[self.space.name]}", kind)

    def perplexity_chunks(self) -> list[Path]:
        """Raw files of perplexity and accuracy in profiling order."""
        folder = self.root / PERPLEXITY_BENCH.format(space=self.space.name)
        return numbered_chunks(folder, PERPLEXITY_FILES)

    def read_bytes(self, path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
        """Bytes of a file, which enters the record.

        :raises DataError: it is unreadable or too large
        """
        self._progress(self._name(path))
        data = read_bytes(path, max_bytes=max_bytes)
        digest = hashlib.sha256(data).hexdigest()
        self.records[self._name(path)] = {"sha256": digest, "bytes": len(data)}
        return data

    def read_pickle(self, path: Path) -> Any:
        """Data of a pickle, which enters the record.

        :raises DataError: it is unreadable, corrupt or hostile
        """
        return parse_pickle(self.read_bytes(path), path)

    def read_rows(self, path: Path) -> list[dict[str, Any]]:
        """Rows of a raw profiler file.

        :raises DataError: it is unreadable, corrupt, hostile, or no list of dicts
        """
        return parse_rows(self.read_bytes(path), path)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def parse_rows(data: bytes, path: Path) -> list[dict[str, Any]]:
    """Rows of a raw profiler file.

    :raises DataError: it is corrupt, hostile, or no list of dicts
    """
    rows = parse_pickle(data, path)
    if type(rows) is not list or any(type(row) is not dict for row in rows):
        raise DataError(
            f"{path} is no list of dicts, as profiler output is; measure it, or fetch it, anew"
        )
    return rows


def numbered_chunks(folder: Path, kind: str) -> list[Path]:
    """Files ``<kind>_<first>_<end>.pkl`` of a folder that need not exist, by their first row."""
    pattern = re.compile(re.escape(kind) + r"_(\d{1,9})_\d{1,9}\.pkl")
    found = [
        (int(match[1]), path.name, path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := pattern.fullmatch(path.name))
    ]
    return [path for _, _, path in sorted(found)]
