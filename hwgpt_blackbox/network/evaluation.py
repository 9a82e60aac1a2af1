"""Quality of sub-networks on a text: perplexity and next-token error."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError
from hwgpt_blackbox.models.noise import check_repeat
from hwgpt_blackbox.network.supernet import Supernet
from hwgpt_blackbox.network.text import TokenStream
from hwgpt_blackbox.storage.atomic_writes import write_file, writing
from hwgpt_blackbox.storage.measurement_set import (
    ERROR,
    PERPLEXITY,
    QUALITY,
    RowFile,
    alone,
    configuration_cells,
    write_space,
)

PROGRESS_SECONDS = 0.5


def windows(stream: TokenStream, sequence_length: int, most: int | None = None) -> Tensor:
    """Sequences side by side, each with the token after it; what is left at the end is not used.

    :param sequence_length: of the network
    :param most: sequences; of more, so many evenly spread are taken
    :return: shape (sequences, sequence_length + 1)
    :raises DataError: the text is shorter than a sequence and the token after it
    """
    number = (len(stream) - 1) // sequence_length
    if number < 1:
        raise DataError(
            f"the text has {len(stream)} tokens; a sequence and the token after it are "
            f"{sequence_length + 1}: give more text"
        )
    taken = np.arange(number)
    if most is not None and most < number:
        taken = np.linspace(0, number - 1, most).round().astype(int)
    return torch.from_numpy(stream.batch(taken * sequence_length, sequence_length + 1))


def quality(
    network: nn.Module, tokens: Tensor, configuration: Any = None, *, batch: int
) -> tuple[float, float]:
    """Mean loss of the next token, and share of next tokens that are wrong.

    :param network: a supernet, or a network of one architecture
    :param tokens: on the network's device, as :func:`windows` gives them
    :param configuration: the architecture that a supernet runs
    :param batch: sequences of a forward pass
    :return: loss in nats; error from 0 to 1
    """
    given = () if configuration is None else (configuration,)
    losses, errors = [], []
    with torch.inference_mode():
        for chunk in torch.split(tokens, batch):
            logits = network(chunk[:, :-1], *given).flatten(0, 1).float()
            targets = chunk[:, 1:].flatten()
            losses.append(functional.cross_entropy(logits, targets, reduction="sum"))
            errors.append((logits.argmax(-1) != targets).sum())
        # Read back once: on a GPU every reading waits for all that was asked of it.
        sums = torch.stack([torch.stack(losses), torch.stack(errors).float()]).cpu().double()
    loss, wrong = (sums.sum(1) / (len(tokens) * (tokens.shape[1] - 1))).tolist()
    return loss, wrong


def perplexity(loss: float) -> float:
    """Exponential of a loss in nats.

    :raises DataError: it is not finite
    """
    if not loss < math.log(1e300):
        raise DataError(f"the loss is {loss}: the weights are not those of a trained supernet")
    return math.exp(loss)


def sample(space: Space, size: int, seed: int) -> list[dict[str, Any]]:
    """Distinct architectures drawn uniformly; fewer where the space has no more.

    :param size: how many; a larger sample of the same seed begins with the smaller
    :return: configurations in canonical form
    """
    encoding, rng = Encoding(space), np.random.default_rng(check_repeat(seed))
    rows: dict[bytes, Any] = {}
    while len(rows) < min(size, space.num_architectures):
        for row in encoding.sample(256, rng):
            rows.setdefault(row.tobytes(), row)
    return [encoding.decode_one(row) for row in list(rows.values())[:size]]


def evaluate(
    supernet: Supernet,
    text: TokenStream,
    configurations: Sequence[Mapping[str, Any]],
    out: str | Path,
    *,
    batch: int | None = None,
    sequences: int | None = None,
    progress: bool = False,
) -> Path:
    """Quality of sub-networks into a measurement set; what is there already is not done again.

    :param supernet: on the device that computes
    :param text: on which none was trained
    :param configurations: every hyperparameter of the space each
    :param out: folder of the measurement set; made if need be
    :param batch: sequences of a forward pass; default: the space's
    :param sequences: most of the text that are taken, evenly spread; default: all
    :return: the table
    :raises InputError: a configuration is not of the space, or the set was measured with other
        weights, another text, batch or number of sequences, or another process evaluates there
    :raises DataError: the text is shorter than a sequence, or the set is another space's
    :raises OutputError: the folder cannot be written
    """
    space, folder = supernet.space, Path(out)
    batch = batch or space.batch_size
    encoding = Encoding(space)
    wanted: dict[tuple[str, ...], dict[str, Any]] = {}
    for configuration in configurations:
        canonical = encoding.canonical_form(configuration)
        wanted.setdefault(tuple(configuration_cells(space, canonical)), canonical)
    tokens = windows(text, space.sequence_length, sequences).to(device_of(supernet))
    conditions = {
        "weights": digest(supernet),
        "text": hashlib.sha256(tokens.cpu().numpy().tobytes()).hexdigest(),
        "sequences": len(tokens),
        "batch_size": batch,
    }
    table = folder / f"{QUALITY}.csv"
    with alone(folder, ".quality.lock", "evaluates"):
        write_space(folder, space)
        about = {"device": str(tokens.device), "torch": torch.__version__}
        _check_conditions(table, conditions, about)
        rows = RowFile(table, [*space.choices, PERPLEXITY, ERROR])
        done = {tuple(row[name] for name in space.choices) for row in rows.rows()}
        todo = [(cells, c) for cells, c in wanted.items() if cells not in done]
        bar = tqdm(
            todo,
            unit="architecture",
            disable=not progress,
            mininterval=PROGRESS_SECONDS,
            initial=len(wanted) - len(todo),
            total=len(wanted),
        )
        for cells, configuration in bar:
            loss, wrong = quality(supernet, tokens, configuration, batch=batch)
            rows.append([*cells, repr(perplexity(loss)), repr(wrong)])
    return table


def device_of(network: nn.Module) -> torch.device:
    """Where its weights are."""
    return next(network.parameters()).device


def digest(network: nn.Module) -> str:
    """SHA-256 of the weights and their names."""
    found = hashlib.sha256()
    for name, weight in sorted(network.state_dict().items()):
        found.update(name.encode() + weight.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _check_conditions(table: Path, conditions: dict[str, Any], about: dict[str, Any]) -> None:
    """Write how the table comes about, or raise if its rows came about otherwise."""
    path = table.with_suffix(".json")
    if not path.exists():
        if table.exists():
            raise InputError(
                f"{table} exists, and no {path.name} says how it was measured; choose another "
                "folder with --out"
            )
        with writing(path):
            write_file(path, json.dumps(conditions | about, indent=1) + "\n")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key, value in conditions.items() if found[key] != value]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(
            f"{path} does not say how {table.name} was measured; remove both, or "
            "choose another folder with --out"
        ) from None
    if other:
        raise InputError(
            f"{table} was measured with other {' and '.join(other)} ({path.name}); go on with the "
            "same, or choose another folder with --out"
        )
