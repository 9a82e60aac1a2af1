"""What interactions of neighbouring layers would bring to perplexity.

    python benchmarking/perplexity_interactions.py path/to/HW-GPT-Bench [--spaces s m] [--seeds 42]
        [--blocks] [--out FILE]

Fits log-perplexity on 80 % of the architectures twice: with the additive features of the artifacts,
and with products of the choices of each layer and the next beside them, shrunk in the same way.
Dynamic programming finds exact optima of both; with products its state is the choice of the last
layer, so that each step compares 81 pairs of choices instead of 9. The artifacts are additive.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.fitting.features import (
    Architectures,
    Array,
    FeatureFunction,
    FeatureInputs,
    Features,
    perplexity_features,
)
from hwgpt_blackbox.convert.fitting.whole_space import perplexity_weights
from hwgpt_blackbox.convert.judging.holdouts import Split
from hwgpt_blackbox.convert.judging.measures import location_measures
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.domain.spaces import get_space


def neighbour_features(inputs: FeatureInputs) -> Features:
    """The additive features, and for each of the 16 products of contrasts of a layer and the next
    one block that all neighbours share and one with a product for every place.
    """
    base, contrasts = perplexity_features(inputs), inputs.layer_contrasts
    products = [u[:, :-1] * v[:, 1:] for u in contrasts for v in contrasts]
    blocks = [p.sum(axis=1, keepdims=True) for p in products] + products
    first = int(base.block.max()) + 1
    numbers = np.repeat(np.arange(first, first + len(blocks)), [b.shape[1] for b in blocks])
    part = base.part + (base.part[0],) * len(blocks)
    return Features(np.hstack([base.values, *blocks]), np.r_[base.block, numbers], part)


def predict(sample: Architectures, weights: list[Array], features: FeatureFunction) -> Array:
    """Predicted perplexities, shape (n,)."""
    out = np.empty(len(sample))
    for e, w in enumerate(weights):
        rows = np.flatnonzero(sample.embed == e)
        out[rows] = features(sample.inputs(rows)).values @ w
    return np.asarray(np.exp(out))


MODELS: dict[str, FeatureFunction] = {
    "additive": perplexity_features,
    "with neighbouring layers": neighbour_features,
}


def compare(data: Measurements, split: Split) -> list[dict[str, Any]]:
    """Held-out measures of both models, where perplexity was measured."""
    train, test = (rows[np.isfinite(data.perplexity[rows])] for rows in split.rows(len(data)))
    learn, held = (Architectures(data.space, data.matrix[rows]) for rows in (train, test))
    found = []
    for name, features in MODELS.items():
        weights = perplexity_weights(learn, data.perplexity[train], features)
        measures = location_measures(data.perplexity[test], predict(held, weights, features))
        row = {"space": data.space.name, "split": str(split), "model": name}
        row |= {"fitted": len(train), "judged": len(test), "effects": len(weights[0])}
        found.append(row | measures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--spaces", nargs="+", default=["s", "m"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[42])
    parser.add_argument("--blocks", action="store_true", help="seeds are folds of blocks, 0 to 4")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    kind = "blocks" if args.blocks else "random"
    rows = []
    print(f"{'':38}{'fitted':>8}{'judged':>8}{'tau':>9}{'MAE':>9}{'RMSE':>9}{'R2':>9}")
    for space in args.spaces:
        checkout = Checkout(args.source, get_space(space, measured=True), lambda step: None)
        data = read_measurements(checkout)
        for seed in args.seeds:
            for row in compare(data, Split(kind, seed)):
                rows.append(row)
                print(
                    f"{space} {row['split']:10}{row['model']:26}"
                    + f"{row['fitted']:>8}{row['judged']:>8}{row['kendall_tau']:>9.4f}"
                    + f"{row['mae']:>9.4f}{row['rmse']:>9.4f}{row['r2']:>9.5f}",
                    flush=True,
                )
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
