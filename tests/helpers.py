"""Helpers that build small artifacts and other names of architectures, for any test."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import METRICS, PREFIX
from hwgpt_blackbox.domain.spaces import SPACES, Space
from hwgpt_blackbox.models.ideal_and_nadir import bounds
from hwgpt_blackbox.models.noise import POSITIONS
from hwgpt_blackbox.models.surrogate import ERROR, AdditiveModel, Surrogate, modelled_targets
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.manifest import space_entry, write_manifest
from hwgpt_blackbox.storage.measured_table import ARCHITECTURES, MATRIX, SIDE
from hwgpt_blackbox.storage.surrogates import read_surrogate

ROOT = Path(__file__).parent.parent
"""The checkout"""

SHORT_OPTIONS: dict[str, dict[str, Any]] = {
    "RE": {"population_size": 8, "sample_size": 4},
    "NSGA2": {"population_size": 6},
    "LS": {"initial": 5},
    "RSBO": {"initial": 6},
    "LSBO": {"initial": 6},
    "EHVI": {"initial": 6},
    "MOASHA": {"time_attr": "r", "max_t": 3},
}
"""Options that bring every method past its random start within a few trials."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
"""The fixture ``run_python``"""

# -- spaces ----------------------------------------------------------------------------------


def own_space(**changes: Any) -> Space:
    """A small space of one's own, with 4, 2, 5 and 3 choices."""
    fields: dict[str, Any] = {
        "name": "mine",
        "embed_dims": (16, 24, 32, 64),
        "num_layers": (2, 4),
        "mlp_ratios": (1, 2, 3, 4, 8),
        "num_heads": (1, 2, 4),
        "batch_size": 2,
        "sequence_length": 128,
        "vocabulary": 1000,
        "head_size": 8,
    }
    return Space(**fields | changes)


# -- surrogates ------------------------------------------------------------------------------


@functools.cache
def embedded(space: str) -> Surrogate:
    """The surrogate that the package ships; read once, so do not write to it."""
    return read_surrogate(EMBEDDED / artifact_name(space))


def random_surrogate(space: Space, seed: int = 0) -> Surrogate:
    """A surrogate with random coefficients of every allowed shape and link.

    Axes are full or 1 by turns and links alternate, which no fitted artifact does.
    """
    from hwgpt_blackbox.convert.fitting.whole_space import on_grid

    rng = np.random.default_rng(seed)
    levels = np.array([0.0, 0.1, 0.5, 0.75, 1.0])
    group = (len(space.embed_dims), len(space.num_layers), 2)
    layers = space.max_layers
    models = {}
    for i, target in enumerate([*modelled_targets(), ERROR]):
        mask = rng.random(6) < 0.6
        full = (*group, space.max_layers, 3, 3)
        shape = tuple(n if keep else 1 for n, keep in zip(full, mask, strict=True))
        small = tuple(n if keep else 1 for n, keep in zip(group, mask[::-1][:3], strict=True))
        link = ("identity", "log")[i % 2]
        effect = rng.uniform(0.1, 2.0, size=shape) / (1 if link == "identity" else 30)
        ratio = positions = None
        if METRICS[target.partition("@")[0]].noisy:
            ratio = np.sort(rng.uniform(0.5, 2.0, size=(*small, len(levels))), axis=-1)
            ratio = ratio.astype(np.float32).astype(np.float64)
            if i % 3:
                positions = position_tables(np.random.default_rng(i).random((99, POSITIONS)))
        corrections = tuple(
            rng.uniform(0.0, 0.02, size=(1, 1, 1, *some)) for some in ((1, 3, 3), (layers, 1, 3))
        )[: i % 3]
        intercept = rng.uniform(1.0, 3.0, size=small)
        pairs = (rng.uniform(-0.02, 0.02, size=(3, 1, 1, layers, 9, 9)),) * (
            2 if target == "perplexity" else 0
        )
        model = AdditiveModel(link, intercept, effect, ratio, corrections, neighbours=pairs)
        models[target] = replace(on_grid(model, space), positions=positions)
    manifest = {
        "kind": "surrogate",
        "name": artifact_name(space.name),
        "space": space.name,
        "units": {row.name: row.unit for row in METRICS.values()},
        "links": {target: model.link for target, model in models.items()},
        "source": {},
    }
    return Surrogate(space, models, levels, manifest)


def position_tables(ranks: np.ndarray) -> np.ndarray:
    """Distributions by position, the same in every group: how ``AdditiveModel`` has them."""
    from hwgpt_blackbox.convert.fitting import repeat_positions

    one_width = np.zeros(len(ranks), dtype=np.intp)
    return repeat_positions.position_tables(ranks, one_width, 1)[:, None, None]


def write_random_surrogate(folder: Path, space: str = "s", seed: int = 0) -> Surrogate:
    """Write a random surrogate artifact into a new folder; return what was written."""
    from hwgpt_blackbox.convert.fitting.whole_space import write_surrogate

    surrogate = random_surrogate(SPACES[space], seed)
    folder.mkdir(parents=True)
    write_surrogate(surrogate, folder, dict(surrogate.manifest))
    return surrogate


OWN_TARGETS = ("perplexity", "latency@laptop", "energy@laptop", "latency@board")
"""Targets of the artifacts of own spaces that tests write, unless they say which."""


def write_own_space(
    home: Path, space: Space | None = None, targets: Sequence[str] = OWN_TARGETS, seed: int = 0
) -> Path:
    """Write the artifact of a space of one's own, with random models; its folder.

    :param space: default: :func:`own_space`
    """
    from hwgpt_blackbox.convert.fitting.whole_space import on_grid, write_surrogate

    space = space or own_space()
    rng, levels = np.random.default_rng(seed), np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    full = (len(space.embed_dims), len(space.num_layers), 2, space.max_layers)
    full += (len(space.mlp_ratios), len(space.num_heads))
    models = {}
    for target in targets:
        ratio = None
        if METRICS[target.partition("@")[0]].noisy:
            ratio = np.sort(rng.uniform(0.8, 1.2, size=(*full[:3], len(levels))), axis=-1)
            ratio = ratio.astype(np.float32).astype(np.float64)
        intercept, effect = rng.uniform(1.0, 2.0, full[:3]), rng.uniform(0.05, 0.3, full)
        models[target] = on_grid(AdditiveModel("log", intercept, effect, ratio), space)
    surrogate = Surrogate(space, models, levels, {})
    manifest = {
        "kind": "surrogate",
        "name": artifact_name(space.name),
        **space_entry(space),
        "links": dict.fromkeys(targets, "log"),
        "bounds": bounds(surrogate),
        "source": {},
    }
    folder = home / artifact_name(space.name)
    folder.mkdir(parents=True)
    write_surrogate(surrogate, folder, manifest)
    return folder


# -- tables ----------------------------------------------------------------------------------


def distinct_architectures(encoding: Encoding, size: int, seed: int) -> np.ndarray:
    """Canonical choice indices of distinct architectures, shape (size, num_columns)."""
    drawn = encoding.sample(2 * size, np.random.default_rng(seed))
    _, first = np.unique(drawn, axis=0, return_index=True)
    return drawn[np.sort(first)][:size]


def write_table(
    folder: Path, space: str = "s", *, size: int = 12, repeats: int = 6, seed: int = 0
) -> np.ndarray:
    """Write a small table with Syne Tune's own ``serialize``, the architectures, and a manifest.

    :return: the objectives in single precision, shape (devices, size, repeats, 1, objectives)
    """
    import pandas as pd
    from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular, serialize
    from syne_tune.config_space import randint

    encoding = Encoding(SPACES[space])
    matrix = distinct_architectures(encoding, size, seed)
    frame = pd.DataFrame(encoding.decode(matrix))
    rng = np.random.default_rng(seed)
    objectives = rng.lognormal(size=(len(DEVICES), size, repeats, 1, len(METRICS)))
    for j, row in enumerate(METRICS.values()):
        if not row.per_device:
            objectives[..., j] = objectives[:1, :, :1, :, j]
        elif not row.noisy:
            objectives[..., j] = objectives[:, :, :1, :, j]
    first: Any = None
    boxes = {}
    for device, values in zip(DEVICES, objectives, strict=True):
        if first is None:
            first = BlackboxTabular(
                hyperparameters=frame,
                configuration_space=SPACES[space].config_space(),
                fidelity_space={"repeats": randint(1, 1)},
                objectives_evaluations=values,
                objectives_names=[PREFIX + name for name in METRICS],
            )
            boxes[device] = first
        else:  # the initialiser indexes every column anew; a copy does not
            boxes[device] = _with_values(first, values)
    folder.mkdir(parents=True)
    serialize(boxes, path=str(folder))
    np.savez(folder / ARCHITECTURES, **{MATRIX: matrix})
    known = np.zeros(size, dtype=bool), np.full(size, np.nan)
    np.savez(folder / SIDE, perplexity_filled=known[0], accuracy=known[1])
    write_manifest(
        folder, {"kind": "tabular", "name": artifact_name(space, tabular=True), "space": space}
    )
    return objectives.astype(np.float32)


def _with_values(blackbox: Any, values: np.ndarray) -> Any:
    other = copy.copy(blackbox)
    other.objectives_evaluations = values
    return other


# -- configurations --------------------------------------------------------------------------


def equivalent(encoding: Encoding, matrix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same architectures, with other values in the inactive layers."""
    mlp, heads = encoding.layer_choices(matrix)
    active = encoding.active(matrix)
    out = matrix.copy()
    out_mlp, out_heads = encoding.layer_choices(out)
    for part, choices in ((out_mlp, mlp), (out_heads, heads)):
        part[:] = np.where(active, choices, rng.integers(0, 3, size=choices.shape))
    return out


def rewrite_manifest(folder: Path, **changes: Any) -> None:
    """Change keys of a manifest; files are listed anew, so that their checksums fit."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest.pop("files")
    write_manifest(folder, {**manifest, **changes})


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Within the block no file of this process grows beyond so many bytes."""
    resource = pytest.importorskip("resource")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def interruptible() -> None:
    """For ``preexec_fn``: heed SIGINT, which a shell's background jobs ignore and pass on."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
