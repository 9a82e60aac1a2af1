"""Cost of a supernet's step against its sub-networks as plain modules, and speed of evaluation.

    python benchmarking/supernet.py [--threads 1] [--architectures 1000] [--out FILE.json]

A step is forward and backward of the largest, the smallest and two random architectures on the same
batch. The plain modules are extracted before; both take turns, and the medians of processor time
are compared, in which other programs do not count.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import Space
from hwgpt_blackbox.network.evaluation import evaluate, sample
from hwgpt_blackbox.network.supernet import Supernet, corner
from hwgpt_blackbox.network.text import TokenStream
from hwgpt_blackbox.network.training import loss_of

TINY = Space(
    name="tiny",
    embed_dims=(32, 64, 96),
    num_layers=(2, 3, 4),
    mlp_ratios=(1, 2, 4),
    num_heads=(2, 4, 6),
    batch_size=32,
    sequence_length=128,
    vocabulary=256,
    head_size=16,
    network="gelu-tied",
)
"""0.5 million parameters."""

SMALL = Space(
    name="small",
    embed_dims=(128, 192, 256),
    num_layers=(4, 5, 6),
    mlp_ratios=(2, 3, 4),
    num_heads=(2, 4, 8),
    batch_size=8,
    sequence_length=128,
    vocabulary=8000,
    head_size=32,
)
"""10 million parameters, gated, with a vocabulary that weighs."""


def step(space: Space, repeats: int) -> dict[str, Any]:
    """Processor seconds of a step of the supernet and of its plain modules, and their ratio."""
    supernet, encoding = Supernet(space), Encoding(space)
    supernet.initialise(0)
    drawn = encoding.decode(encoding.sample(2, np.random.default_rng(0)))
    architectures = [corner(space, -1), corner(space, 0), *drawn]
    plain = [supernet.extract(architecture) for architecture in architectures]
    tokens = torch.randint(space.vocabulary, (space.batch_size, space.sequence_length + 1))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]

    def sliced() -> None:
        supernet.zero_grad()
        for architecture in architectures:
            loss_of(supernet(inputs, architecture), targets, None, 0.0).backward()

    def alone() -> None:
        for module in plain:
            module.zero_grad()
            loss_of(module(inputs), targets, None, 0.0).backward()

    times: dict[str, list[float]] = {"supernet": [], "modules": []}
    for number in range(repeats + 1):
        for name, function in (("supernet", sliced), ("modules", alone)):
            start = time.process_time()
            function()
            if number:  # the first warms up
                times[name].append(time.process_time() - start)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    return {
        "parameters": supernet.largest.num_parameters,
        **medians,
        "ratio": medians["supernet"] / medians["modules"],
        "ratio of fastest": min(times["supernet"]) / min(times["modules"]),
    }


def evaluation(architectures: int) -> dict[str, Any]:
    """Seconds to evaluate sub-networks of the tiny space on 32 sequences of 128 tokens."""
    supernet = Supernet(TINY)
    supernet.initialise(0)
    text = TokenStream([np.random.default_rng(0).integers(256, size=32 * 128 + 1)])
    configurations = sample(TINY, architectures, 0)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        evaluate(supernet, text, configurations, folder)
        seconds = time.perf_counter() - start
    return {"architectures": architectures, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--architectures", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"threads": args.threads}
    for space in (TINY, SMALL):
        found[f"step of {space.name}"] = step(space, args.repeats)
    if args.architectures:
        found["evaluation"] = evaluation(args.architectures)
    text = json.dumps(found, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
