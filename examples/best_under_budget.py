"""The best architecture of a space under a latency budget on a device, and the model that it is.

python examples/best_under_budget.py --space m --device a40 --latency 30
"""

from __future__ import annotations

import argparse
import json

import hwgpt_blackbox

BATCH, LENGTH = 1, 16


def main() -> None:
    """Find the architecture, print it, build the model, and use it once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="m", help="s, m or l")
    parser.add_argument("--device", default="a40", help="where it shall be quick")
    parser.add_argument("--latency", type=float, default=30.0, help="of a forward pass, ms")
    args = parser.parse_args()

    # Exact: no architecture of the space within the budget has a lower perplexity.
    found = hwgpt_blackbox.best(args.space, "perplexity", {f"latency@{args.device}": args.latency})
    for name, value in found.values.items():
        print(f"{name}: {value:.4g}")

    architecture = hwgpt_blackbox.architecture_of(args.space, found.configuration)
    print(json.dumps(architecture))

    config = hwgpt_blackbox.model_config(args.space, found.configuration)
    print(f"parameters by formula: {config.num_parameters:,}")

    # On "meta" a model has shapes but no memory; with device="cpu" it could be trained.
    model = hwgpt_blackbox.build_model(config, device="meta")
    print(f"parameters of the model: {model.num_parameters:,}")

    import torch

    tokens = torch.zeros(BATCH, LENGTH, dtype=torch.long, device="meta")
    print(f"logits: {tuple(model(tokens).shape)}")


if __name__ == "__main__":
    main()
