"""What a training leaves in its folder, and how it goes on from there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.network.checkpoint import (
    OPTIMIZER,
    STATE,
    TOKENIZER,
    WEIGHTS,
    read_state,
    write_safetensors,
)
from hwgpt_blackbox.network.text import TokenStream
from hwgpt_blackbox.storage.atomic_writes import write_file, writing
from hwgpt_blackbox.storage.measurement_set import RowFile, write_space

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = "losses.csv"
"""Losses in nats while a supernet is trained: ``training``, the mean of the first architecture's
since the row before, and of each validated architecture on what is held out."""

NOT_LOSSES = ("step", "tokens", "learning_rate", "seconds")
"""Its other columns: steps, tokens and seconds since the start or the last resumption."""

VALIDATION = "validation.npy"
"""The tokens that are held out."""

_OLD = re.compile(r"(?:supernet|optimizer)-\d+\.safetensors", re.ASCII)


class TrainingFiles:
    """The folder of a training; only its first process writes.

    Weights and moments are written under names that hold their step, then the state that names
    them: a process may be killed at any time.

    :param folder: made if need be
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resumed(self, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The state that a killed process left; None: there is none.

        :param record: ``space``, ``settings`` and ``text`` of this training
        :raises InputError: it was another training
        :raises DataError: it is no sound state
        """
        if not (self.folder / STATE).exists():
            return None
        state = read_state(self.folder)
        ours, theirs = _flat(record), _flat(state)
        for key, value in ours.items():
            if theirs.get(key) != value:
                raise InputError(
                    f"{self.folder} holds a training with {key} {theirs.get(key)!r:.100}, not "
                    f"{value!r:.100}; go on with the same command, or choose another folder with "
                    "--out"
                )
        return state

    def prepare(
        self,
        space: Space,
        held_out: TokenStream,
        tokenizer: str | Path | None,
        start: int,
        validated: Sequence[str],
    ) -> None:
        """Write what does not change, and drop losses of steps that are done again.

        :param start: steps that are done
        :param validated: names of the architectures that are validated
        :raises InputError: the folder is of another space
        :raises OutputError: the folder cannot be written
        """
        path, others = self.folder / LOSSES, ("step", "tokens", "learning_rate", "training")
        with writing(self.folder):
            write_space(self.folder, space)
            tokens = held_out.read(0, len(held_out)).astype(np.uint32)
            write_file(self.folder / VALIDATION, lambda new: np.save(new, tokens))
            if tokenizer is not None:
                write_file(self.folder / TOKENIZER, lambda new: shutil.copyfile(tokenizer, new))
            if not start:
                path.unlink(missing_ok=True)
            self.rows = RowFile(path, [*others, *validated, "seconds"])
            found = self.rows.rows()
            kept = [row for row in found if int(row["step"]) <= start]
            if kept != found:  # killed between a row and the state
                path.unlink()
                self.rows = RowFile(path, self.rows.columns)
                for row in kept:
                    self.rows.append(list(row.values()))

    def last_row(self) -> dict[str, float]:
        """What was validated last; empty if nothing was."""
        rows = self.rows.rows()
        return {name: float(value) for name, value in rows[-1].items()} if rows else {}

    def save(
        self,
        row: Mapping[str, float],
        weights: Mapping[str, Tensor],
        moments: Mapping[str, Tensor],
        record: Mapping[str, Any],
    ) -> None:
        """Write losses, weights and moments, then the state; then remove what it replaces.

        :param row: a value for each column of the losses
        :raises OutputError: they cannot be written; the state before stays
        """
        step = row["step"]
        names = {"weights": WEIGHTS.format(step), "optimizer": OPTIMIZER.format(step)}
        with writing(self.folder):
            self.rows.append(list(row.values()))
            write_safetensors(self.folder / names["weights"], weights)
            write_safetensors(self.folder / names["optimizer"], moments)
            state = {"step": step} | names | dict(record)
            write_file(self.folder / STATE, json.dumps(state, indent=1) + "\n")
            for path in self.folder.iterdir():
                if _OLD.fullmatch(path.name) and path.name not in names.values():
                    path.unlink()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """What must be the same when a training goes on, by name."""
    named = {f"{key} of the space": value for key, value in record["space"].items()}
    return {**named, **record["settings"], "text (SHA-256)": record["text"]}
