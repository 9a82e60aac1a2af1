"""Writes small synthetic checkouts in the layout of HW-GPT-Bench, and changes them for tests."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.convert.published import CHECKPOINTS, FILES
from hwgpt_blackbox.domain.architecture_strings import ArchitectureStrings
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.encoding import BIAS, EMBED_DIM, FIRST_LAYER, Encoding
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SPACES, Space
from hwgpt_blackbox.models.published_network import scaled_as_trained

STATS = "data_collection/gpt_datasets/gpt_{}/stats.pkl"
RAW = "data_collection/raw_results_hw"
SUFFIX = {"s": "", "m": "_m", "l": "_l"}
RAW_DEVICES = ("rtx2080", "cpu_xeon_gold", "cpu_amd_7513")
"""Devices of which raw output is written: a GPU, a CPU with mixed units, a CPU measured once."""

LOG_OFFSET = 0.002
"""How far the tiny network's predictions lie above the measured perplexities."""


@dataclass
class Source:
    """A checkout in memory; change it, then write it."""

    space: Space
    matrix: np.ndarray
    stats: dict[str, dict[str, Any]]
    raw: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    """Raw folder (without suffix) to file name to rows."""
    perplexity: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    network: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return list(self.stats)

    def write(self, root: Path, *, dump: Callable[[Any], bytes] | None = None) -> Path:
        """Write all files; ``dump`` pickles (default: protocol 4)."""
        dump = dump or (lambda data: pickle.dumps(data, protocol=4))
        name = self.space.name
        files: dict[str, Any] = {STATS.format(name): self.stats}
        for folder, chunks in self.raw.items():
            for file, rows in chunks.items():
                files[f"{RAW}/{folder}{SUFFIX[name]}/{file}"] = rows
        for file, rows in self.perplexity.items():
            files[f"arch_ppl_bench_{name}/{file}"] = rows
        for path, data in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(dump(data))
        if self.network:
            write_checkpoint(root, self)
        return root

    def copy(self) -> Source:
        return copy.deepcopy(self)


def checkpoint_path(root: Path, space: str) -> Path:
    return root / f"data_collection/gpt_datasets/predictor_ckpts/metric/perplexity_{space}.pt"


def write_checkpoint(root: Path, source: Source) -> None:
    import torch

    path = checkpoint_path(root, source.space.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({k: torch.tensor(v) for k, v in source.network.items()}, path)


def write_networks(root: Path, source: Source) -> None:
    """Checkpoints of the hardware networks, which fit one of the two inputs."""
    import torch

    encoding = Encoding(source.space)
    values = {
        "memory_float16": [e["float16_memory"] for e in source.stats.values()],
        "memory_bfloat16": [e["bfloat16_memory"] for e in source.stats.values()],
        "flops": count(encoding, source.matrix, "flops") / 1e12,
        "params": count(encoding, source.matrix, "params") / 1e6,
    }
    x = scaled_as_trained(source.space, source.matrix)
    for target, y in values.items():
        path = root / CHECKPOINTS / FILES[target].format(space=source.space.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        state = fitted_state(x, np.array(y))
        torch.save({k: torch.tensor(v, dtype=torch.float32) for k, v in state.items()}, path)


def fitted_state(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """A network that is linear in its input: what makes one of two inputs the right one."""
    solution = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
    first = np.concatenate([solution[None, :-1], np.zeros((3, x.shape[1]))])
    state = {"fc1.weight": first, "fc1.bias": np.array([solution[-1], 0, 0, 0])}
    for k in (2, 3, 4):
        state |= {f"fc{k}.weight": np.eye(4), f"fc{k}.bias": np.zeros(4)}
    state |= {"fc5.weight": np.eye(4)[:1], "fc5.bias": np.zeros(1)}
    return state


def make_source(space: str = "s", n: int = 96, seed: int = 0, missing: float = 0.0) -> Source:
    """A plausible checkout of ``n`` architectures.

    :param missing: share of the architectures without a measured perplexity
    """
    row, rng = SPACES[space], np.random.default_rng(seed)
    encoding = Encoding(row)
    matrix = encoding.sample(n, rng)
    matrix[:, EMBED_DIM] = np.arange(n) % 3  # enough of every group for a fit
    matrix[:, BIAS] = np.arange(n) // 3 % 2
    matrix = np.unique(matrix, axis=0)
    matrix = matrix[rng.permutation(len(matrix))]
    architectures = ArchitectureStrings(row)
    network = tiny_network(row, rng)
    perplexity = predict(row, network, matrix) * np.exp(-LOG_OFFSET)
    perplexity *= np.exp(1e-4 * rng.standard_normal(len(matrix)))
    params, flops = count(encoding, matrix, "params"), count(encoding, matrix, "flops")
    stats: dict[str, dict[str, Any]] = {}
    samples = []
    for i, choices in enumerate(matrix.tolist()):
        size = 0.7 + 0.6 * params[i] / params.max()
        entry: dict[str, Any] = {d: device_entry(d, size, rng) for d in DEVICES}
        memory = 200.0 * size + rng.random()
        entry |= {"float16_memory": memory, "bfloat16_memory": memory + 1.0}
        entry |= {"flops": int(flops[i]), "params": int(params[i])}
        if i >= missing * len(matrix):
            entry["perplexity"] = float(perplexity[i])
        stats[architectures.to_string(choices)] = entry
        samples.append(sample_of(row, choices, rng))
    source = Source(row, matrix, stats, network=network)
    _add_raw(source, samples)
    return source


def device_entry(device: str, size: float, rng: np.random.Generator) -> dict[str, Any]:
    """Latencies and energies around the middle of the plausible range, times ``size``."""
    row = DEVICES[device]
    middle = [math.sqrt(low * high) for low, high in (row.latency_range, row.energy_range)]
    repeats = 1 if device == "cpu_amd_7513" else 10
    latency = middle[0] * size * rng.uniform(0.95, 1.05, size=repeats)
    energy = middle[1] * size * rng.uniform(0.95, 1.05, size=50) / row.energy_to_wh
    gpu = row.energy_to_wh != 1.0
    return {"latencies": latency.tolist(), "energies": energy.tolist() if gpu else float(energy[0])}


def sample_of(space: Space, choices: list[int], rng: np.random.Generator) -> dict[str, Any]:
    """The ``arch`` dict, with entries of inactive layers that do not exist in the network."""
    layers = space.num_layers[choices[0]]
    middle = FIRST_LAYER + space.max_layers
    mlp = [space.mlp_ratios[i] for i in choices[FIRST_LAYER:middle]]
    heads = [space.num_heads[i] for i in choices[middle:]]
    for i in range(layers, space.max_layers):
        mlp[i] = int(rng.choice(space.mlp_ratios))
        heads[i] = int(rng.choice(space.num_heads))
    return {
        "sample_embed_dim": space.embed_dims[choices[1]],
        "sample_n_layer": layers,
        "sample_layer_indices": list(range(layers)),
        "sample_n_head": heads,
        "sample_mlp_ratio": mlp,
        "sample_bias": bool(choices[2]),
    }


def _add_raw(source: Source, samples: list[dict[str, Any]]) -> None:
    """Raw output in two chunks, the second of which sorts first by name."""
    half = len(samples) // 2
    parts = {"900": slice(0, half), "1800": slice(half, None)}
    begin = {"900": "0_900", "1800": "900_10000"}
    for device in RAW_DEVICES:
        name = DEVICES[device].source_name
        gpu = DEVICES[device].energy_to_wh != 1.0
        latency, energy = [], []
        for sample, entry in zip(samples, source.stats.values(), strict=True):
            latency.append(latency_row(sample, entry[device], gpu))
            energy.append(energy_row(sample, entry[device]))
        folder = source.raw.setdefault(f"latency_{name}", {})
        for part, rows in parts.items():
            folder[f"efficiency_observations_{begin[part]}.pkl"] = latency[rows]
            if gpu:
                file = f"efficiency_energy_observations_tracker_{begin[part]}.pkl"
                folder[file] = energy[rows]
    for name, key in (("mem_rtx2080", "float16_memory"), ("mem_a100", "bfloat16_memory")):
        rows = [
            {"arch": sample, "mean_mem": entry[key], "std_mem": 0.0}
            for sample, entry in zip(samples, source.stats.values(), strict=True)
        ]
        source.raw[name] = {"efficiency_observations_0_10000.pkl": rows}
    measured = [
        {"accuracy": 0.4, "perplexity": entry["perplexity"], "arch": sample}
        for sample, entry in zip(samples, source.stats.values(), strict=True)
        if "perplexity" in entry
    ]
    source.perplexity = {"ppl_observations_tracker_0_1000.pkl": measured[::-1]}


def latency_row(sample: dict[str, Any], entry: dict[str, Any], gpu: bool) -> dict[str, Any]:
    """A row of efficiency_observations: CPU times in s, or ms below one second."""
    times, units = [], []
    for value in entry["latencies"]:
        in_ms = gpu or value < 1000.0
        times.append(value if in_ms else value / 1000.0)
        units.append("ms" if in_ms else "s")
    kind, other = ("gpu", "cpu") if gpu else ("cpu", "gpu")
    mean = np.float64(np.mean(entry["energies"]))
    return {
        "arch": sample,
        f"times_profiler_{kind}": times,
        f"unit_{kind}": units,
        f"times_profiler_{other}": [],
        f"unit_{other}": [],
        f"mean_energy_{kind}": mean,
        f"mean_energy_{other}": None,
        "unit_energy": "Wh",  # of a GPU in kWh nevertheless, as published
        "flops": 0,
        "params": 1,
    }


def energy_row(sample: dict[str, Any], entry: dict[str, Any]) -> dict[str, Any]:
    """A row of the energy tracker: energies in kWh, and power under the name of emissions."""
    return {
        "arch": sample,
        "energy_gpu": entry["energies"],
        "emissions_gpu": [150.0] * 50,
        "unit": "W",
        "unit_energy": "KWh",
        "energy_cpu": [],
    }


# -- the network -----------------------------------------------------------------------------


def tiny_network(space: Space, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A state dict in the published form, of width 4; predictions depend most on embed_dim."""
    sizes = [8 + 6 * space.max_layers, 4, 4, 4, 4, 1]
    state = {}
    for k in range(5):
        weight = rng.uniform(0.0, 1.0, size=(sizes[k + 1], sizes[k])) * (0.1 if k == 0 else 0.5)
        if k == 0:
            weight[:, :3] = 12.0, 6.0, 0.0
        state[f"fc{k + 1}.weight"] = weight.astype(np.float32)
        bias = np.full(sizes[k + 1], 25.0 if k == 4 else -0.1)
        state[f"fc{k + 1}.bias"] = bias.astype(np.float32)
    return state


def predict(space: Space, state: dict[str, np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """Predictions, by an encoding written anew, one architecture at a time."""
    out = []
    for row in matrix.tolist():
        layers = space.num_layers[row[0]]
        x = [float(row[1] == k) for k in range(3)] + [float(row[0] == k) for k in range(3)]
        for first in (FIRST_LAYER, FIRST_LAYER + space.max_layers):
            for i in range(space.max_layers):
                x += [float(i < layers and row[first + i] == k) for k in range(3)]
        h = np.array([*x, float(row[2] == 1), float(row[2] == 0)])
        for k in range(1, 6):
            h = state[f"fc{k}.weight"].astype(float) @ h + state[f"fc{k}.bias"]
            h = np.maximum(h, 0) if k < 5 else h
        out.append(h[0])
    return np.array(out)
