"""Training of supernets by the sandwich rule, on one device as on many.

In every step the largest and the smallest architecture and some random ones are trained on the same
batch. What is random follows from the seed and the number of the step alone, so a run that was
killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.model_config import architecture_of
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import DataError, InputError, require
from hwgpt_blackbox.network.checkpoint import read_safetensors, read_weights
from hwgpt_blackbox.network.evaluation import quality, windows
from hwgpt_blackbox.network.supernet import Supernet, corner
from hwgpt_blackbox.network.text import TokenStream, split
from hwgpt_blackbox.network.training_files import TrainingFiles
from hwgpt_blackbox.storage.measurement_set import alone

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")

WARM_UP_SHARE, MOST_WARM_UP = 0.1, 1000
"""The learning rate rises over this share of the steps, and over no more steps than that."""

FINAL_RATE = 0.1
"""Share of the learning rate that the cosine ends at."""

BETAS, WEIGHT_DECAY, MAX_NORM = (0.9, 0.95), 0.1, 1.0
"""Of AdamW, of matrices, and of gradients."""

VALIDATION_SEQUENCES, VALIDATED_AT_RANDOM = 64, 2
"""Sequences that a validation takes at most, and random architectures that it looks at."""

ROWS = 20
"""Validations of a run, unless it says how many steps are between them."""


@dataclass(frozen=True)
class Settings:
    """What determines a training, beside the space and the text.

    :param steps: how many
    :param batch: sequences of a step, over all devices; None: the space's
    :param learning_rate: its largest
    :param random: random architectures in each step, beside the largest and the smallest
    :param distillation: weight of the largest's predictions, from 0 to 1, against the text in the
        loss of the others
    :param seed: of weights, batches and architectures
    :param every: steps between validations, which also save; None: a twentieth
    :param alone: train this architecture only, in any form, as if there were no others
    :raises InputError: a value out of its range
    """

    steps: int = 1000
    batch: int | None = None
    learning_rate: float = 1e-3
    random: int = 2
    distillation: float = 0.0
    seed: int = 0
    every: int | None = None
    alone: Any = None

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "random": 0, "seed": 0, "every": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is None and name in ("batch", "every"):
                continue
            if type(value) is not int or value < low:
                raise InputError(f"{name} is {value!r}; expected an integer, {low} or more")
        for name, high in (("learning_rate", math.inf), ("distillation", 1.0)):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 <= value <= high or value == math.inf:
                raise InputError(f"{name} is {value!r}; expected a number from 0 to {high:g}")


def train(
    space: Space,
    text: TokenStream,
    out: str | Path,
    settings: Settings | None = None,
    *,
    tokenizer: str | Path | None = None,
    accelerator: str = "auto",
    devices: int = 1,
    nodes: int = 1,
    precision: str = PRECISIONS[0],
    progress: bool = False,
) -> dict[str, float] | None:
    """Train a supernet, or go on where a killed process was.

    On several devices Lightning Fabric starts a process for each, which runs the present command
    again.

    :param space: the space
    :param text: tokens; a tail is held out for validation and never trained on
    :param out: folder; made if need be. It gets the space, the weights, losses and what is held out
    :param settings: what determines the result
    :param tokenizer: the ``tokenizer.json`` that made the tokens; it is copied into the folder
    :param accelerator: ``cpu``, ``cuda`` …, of Lightning Fabric
    :param devices: of each node
    :param nodes: machines
    :param precision: of ``PRECISIONS``
    :param progress: whether a bar is shown
    :return: the last row of validation losses; None in processes other than the first
    :raises InputError: the folder holds a training with other settings, another process trains
        there, or the settings do not fit the devices
    :raises DataError: the text is too short, or the folder's state is not sound
    :raises OutputError: the folder cannot be written
    :raises MissingExtraError: Lightning Fabric or safetensors are not installed
    """
    for module in ("lightning_fabric", "safetensors"):
        require(module, extra="network")
    run = _Training(space, text, Path(out), settings or Settings(), precision)
    fabric = _fabric(accelerator, devices, nodes, precision)
    if run.batch % fabric.world_size:
        raise InputError(
            f"the batch of {run.batch} sequences cannot be shared by {fabric.world_size} devices; "
            "choose a multiple with --batch"
        )
    with ExitStack() as stack:
        if fabric.global_rank == 0:
            stack.enter_context(alone(Path(out), ".training.lock", "trains"))
        fabric.launch()
        run.prepare(fabric, tokenizer)
        return run.go(progress)


def learning_rate(step: int, settings: Settings) -> float:
    """Of a step, from 0: it rises linearly, and falls as a cosine."""
    warm_up = max(1, min(MOST_WARM_UP, round(WARM_UP_SHARE * settings.steps)))
    if step < warm_up:
        return settings.learning_rate * (step + 1) / warm_up
    share = (step - warm_up) / max(1, settings.steps - warm_up)
    cosine = 0.5 * (1 + math.cos(math.pi * share))
    return settings.learning_rate * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def loss_of(logits: Tensor, targets: Tensor, teacher: Tensor | None, weight: float) -> Tensor:
    """Mean loss of the next token.

    :param logits: shape (batch, length, vocabulary)
    :param targets: shape (batch, length)
    :param teacher: logits that are distilled, of the same shape; None: none
    :param weight: of the teacher, from 0 to 1
    """
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    if teacher is None:
        return loss
    soft = teacher.flatten(0, 1).softmax(-1)
    return (1 - weight) * loss + weight * functional.cross_entropy(logits.flatten(0, 1), soft)


class _Training:
    """One training in one process."""

    def __init__(
        self, space: Space, text: TokenStream, out: Path, settings: Settings, precision: str
    ) -> None:
        self.space, self.settings, self.files = space, settings, TrainingFiles(out)
        self.batch = settings.batch or space.batch_size
        self.every = settings.every or max(1, settings.steps // ROWS)
        self.encoding = Encoding(space)
        self.text, self.held_out = split(text, space.sequence_length)
        alone = settings.alone
        self.alone = None if alone is None else architecture_of(space, alone)
        self.record: dict[str, Any] = {
            "space": space.as_dict(),
            "settings": asdict(settings)
            | {"batch": self.batch, "alone": self.alone, "precision": precision},
            "text": text.digest(),
        }
        drawn = self.encoding.sample(VALIDATED_AT_RANDOM, np.random.default_rng(settings.seed))
        self.validated: dict[str, Mapping[str, Any]] = {
            "largest": corner(space, -1),
            "smallest": corner(space, 0),
            **{f"random_{i}": self.encoding.decode_one(row) for i, row in enumerate(drawn)},
        }
        if self.alone is not None:
            self.validated = {"alone": self.alone}

    def prepare(self, fabric: Any, tokenizer: str | Path | None) -> None:
        """Set up weights and optimizer, and the folder; read the state of a killed process."""
        self.fabric = fabric
        state = self.files.resumed(self.record)
        self.supernet = Supernet(self.space)
        if state is None:
            self.supernet.initialise(self.settings.seed)
        else:
            read_weights(self.supernet, self.files.folder / state["weights"])
        self.supernet.to(fabric.device)
        named = dict(self.supernet.largest.named_parameters())
        self.named = named
        matrices = [p for p in named.values() if p.ndim > 1]
        others = [p for p in named.values() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices},
            {"params": others, "weight_decay": 0.0},
        ]
        plain = torch.optim.AdamW(groups, lr=0.0, betas=BETAS, weight_decay=WEIGHT_DECAY)
        self.start = 0 if state is None else state["step"]
        if state is not None:
            _restore(plain, named, self.files.folder / state["optimizer"])
        self.optimizer = fabric.setup_optimizers(plain)
        tokens = windows(self.held_out, self.space.sequence_length, VALIDATION_SEQUENCES)
        self.validation = tokens.to(fabric.device)
        if fabric.is_global_zero:
            self.files.prepare(self.space, self.held_out, tokenizer, self.start, [*self.validated])
        fabric.barrier()

    def go(self, progress: bool) -> dict[str, float] | None:
        """All steps that are left."""
        first, begin = self.fabric.is_global_zero, time.monotonic()
        bar = tqdm(
            total=self.settings.steps,
            initial=self.start,
            unit="step",
            mininterval=0.5,
            disable=not (progress and first),
        )
        losses: list[Tensor] = []
        row = self.files.last_row() if first else {}
        for step in range(self.start, self.settings.steps):
            losses.append(self._step(step))
            bar.update()
            if (step + 1) % self.every and step + 1 < self.settings.steps:
                continue
            row = {
                "step": step + 1,
                "tokens": (step + 1) * self.batch * self.space.sequence_length,
                "learning_rate": learning_rate(step, self.settings),
                "training": torch.stack(losses).mean().item(),
                **self._validate(step + 1),
                "seconds": time.monotonic() - begin,
            }
            losses.clear()
            if first:
                moments = _moments(self.optimizer.optimizer, self.named)
                self.files.save(row, self.named, moments, self.record)
                bar.set_postfix({name: f"{row[name]:.3f}" for name in self.validated})
            self.fabric.barrier()
        bar.close()
        return row if first else None

    def _step(self, step: int) -> Tensor:
        """Train on one batch; returns the loss of the first architecture, on the device."""
        rng = np.random.default_rng([self.settings.seed, step])
        length = self.space.sequence_length
        starts = rng.integers(len(self.text) - length, size=self.batch)
        drawn = self.encoding.sample(self.settings.random, rng)
        architectures = [
            corner(self.space, -1),
            corner(self.space, 0),
            *self.encoding.decode(drawn),
        ]
        if self.alone is not None:
            architectures = [self.alone]
        mine = starts[self.fabric.global_rank :: self.fabric.world_size]
        tokens = torch.from_numpy(self.text.batch(mine, length + 1)).to(self.fabric.device)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, self.settings)
        self.optimizer.zero_grad()
        losses: list[Tensor] = []
        teacher: Tensor | None = None
        for architecture in architectures:
            with self.fabric.autocast():
                logits = self.supernet(tokens[:, :-1], architecture)
                loss = loss_of(logits, tokens[:, 1:], teacher, self.settings.distillation)
            self.fabric.backward(loss / len(architectures))
            losses.append(loss.detach())
            if teacher is None and self.settings.distillation:
                teacher = logits.detach()
        self._share_gradients()
        self.fabric.clip_gradients(
            self.supernet, self.optimizer, max_norm=MAX_NORM, error_if_nonfinite=False
        )
        self.optimizer.step()
        return losses[0]

    def _share_gradients(self) -> None:
        """The mean of the gradients of all processes, in one exchange."""
        if self.fabric.world_size == 1:
            return
        gradients = [p.grad for p in self.named.values() if p.grad is not None]
        mean = self.fabric.all_reduce(torch.cat([g.flatten() for g in gradients]), reduce_op="mean")
        for gradient, part in zip(
            gradients, mean.split([g.numel() for g in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def _validate(self, step: int) -> dict[str, float]:
        """Losses on what is held out."""
        found = {}
        for name, configuration in self.validated.items():
            with self.fabric.autocast():
                loss, _ = quality(self.supernet, self.validation, configuration, batch=self.batch)
            if not math.isfinite(loss):
                raise InputError(
                    f"after {step} steps the loss of the {name} architecture is {loss}; train anew "
                    f"with a lower --lr than {self.settings.learning_rate:g}"
                )
            found[name] = loss
        return found


def _fabric(accelerator: str, devices: int, nodes: int, precision: str) -> Any:
    """Lightning Fabric for the devices.

    :raises InputError: there are no such devices
    """
    from lightning_fabric import Fabric

    if precision not in PRECISIONS:
        raise InputError(f"precision is {precision!r}; choose one of {', '.join(PRECISIONS)}")
    try:
        return Fabric(
            accelerator=accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if devices * nodes > 1 else "auto",
            precision=precision,
        )
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise InputError(
            f"{devices} devices of kind {accelerator!r} cannot be used ({reason:.300})"
        ) from None


def _moments(optimizer: torch.optim.Optimizer, named: dict[str, Any]) -> dict[str, Tensor]:
    """The optimizer's state by the name of the parameter."""
    return {
        f"{name}:{key}": value
        for name, parameter in named.items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _restore(optimizer: torch.optim.Optimizer, named: dict[str, Any], path: Path) -> None:
    """Read the optimizer's state.

    :raises DataError: it is not that of the parameters
    """
    for key, value in read_safetensors(path).items():
        name, _, kind = key.rpartition(":")
        parameter = named.get(name)
        shapes = (
            {"step": torch.Size([])}
            if parameter is None
            else {"step": torch.Size([]), "exp_avg": parameter.shape, "exp_avg_sq": parameter.shape}
        )
        if parameter is None or shapes.get(kind) != value.shape:
            raise DataError(f"{path} is not the optimizer's state of this supernet")
        moved = value if kind == "step" else value.to(parameter.device)
        optimizer.state[parameter][kind] = moved
