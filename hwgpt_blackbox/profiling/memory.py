"""Memory: what a GPU holds after a pass and at its peak, and what the largest network needs."""

from __future__ import annotations

from hwgpt_blackbox.domain.model_config import ModelConfig, model_config
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.profiling.conditions import Conditions
from hwgpt_blackbox.profiling.forward_pass import DTYPES, ForwardPass
from hwgpt_blackbox.profiling.machine import CUDA, Place

MEGABYTE = 1e6
"""Bytes, as in the published memories."""


def memory_columns(place: Place, dtype: str) -> list[str]:
    """Names of the columns of memory: none on CPUs."""
    if place.kind != CUDA:
        return []
    after = [] if dtype == DTYPES[0] else [f"memory_{dtype}"]
    return [*after, "memory_peak"]


def memory_of_pass(forward: ForwardPass, dtype: str) -> list[float]:
    """Memory of a GPU in MB (10^6 bytes): allocated after a pass, and its peak within.

    What is allocated after a pass is kept for the metrics that have it: float16 and bfloat16.

    :return: a value for each of :func:`memory_columns`
    """
    import torch

    index = forward.place.index
    torch.cuda.reset_peak_memory_stats(index)
    forward.run()
    after = [] if dtype == DTYPES[0] else [torch.cuda.memory_allocated(index)]
    found = [*after, torch.cuda.max_memory_allocated(index)]
    return [value / MEGABYTE for value in found]


def memory_needed(config: ModelConfig, batch: int, length: int, dtype: str) -> int:
    """About how many bytes a forward pass takes: weights, logits, and the widest layer."""
    low = dtype != DTYPES[0]  # autocast keeps a second copy of the weights
    weights = config.num_parameters * (6 if low else 4)
    layers = zip(config.mlp_ratios, config.num_heads, strict=True)
    widest = max(
        3 * ratio * config.embed_dim + 6 * heads * config.head_size for ratio, heads in layers
    )
    entries = config.vocabulary + widest + 4 * config.embed_dim
    return weights + batch * length * entries * (2 if low else 4)


def check_memory(space: Space, conditions: Conditions, place: Place) -> None:
    """Stop before the start if the largest architecture does not fit.

    :raises InputError: it does not
    """
    largest = {name: choices[-1] for name, choices in space.choices.items()}
    workload = conditions.batch_size, conditions.sequence_length
    needed = memory_needed(model_config(space, largest), *workload, conditions.dtype)
    free = place.free_memory()
    if free is not None and needed > free:
        raise InputError(
            f"the largest architecture of space {space.name} takes about {needed / 1e9:.1f} GB at "
            f"batch {workload[0]} and length {workload[1]}, and {free / 1e9:.1f} GB are free; give "
            "a smaller --batch or --length, or close other programs"
        )
