"""How well measured next-token errors carry a model of them: cross-validated in five folds.

python benchmarking/next_token_error.py path/to/HW-GPT-Bench [--spaces s m l] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from hwgpt_blackbox.convert import Measurements, read_measurements
from hwgpt_blackbox.convert.fitting.features import Architectures
from hwgpt_blackbox.convert.fitting.whole_space import fit_perplexity
from hwgpt_blackbox.convert.judging.measures import location_measures, predictor_of
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.models.surrogate import ERROR, Surrogate

FOLDS, SEED = 5, 0


def judge(data: Measurements) -> dict[str, float]:
    """Measures of predictions of architectures that the model has not seen."""
    known = np.flatnonzero(np.isfinite(data.error))
    values, matrix = data.error[known], data.matrix[known]
    sample = Architectures(data.space, matrix)
    fold = np.random.default_rng(SEED).permutation(len(known)) % FOLDS
    predicted = np.empty(len(known))
    for k in range(FOLDS):
        model = fit_perplexity(sample.take(np.flatnonzero(fold != k)), values[fold != k])
        surrogate = Surrogate(data.space, {ERROR: model}, np.array([0.0, 0.5, 1.0]), {})
        predicted[fold == k] = predictor_of(surrogate, [ERROR]).expected(matrix[fold == k])[:, 0]
    return {"architectures": len(known), **location_measures(values, predicted)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="checkout of HW-GPT-Bench")
    parser.add_argument("--spaces", nargs="+", default=["s", "m", "l"])
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()
    result = {}
    for space in args.spaces:
        result[space] = judge(read_measurements(Checkout(args.source, get_space(space))))
        row = result[space]
        print(
            f"{space}: {row['architectures']:,} architectures, MAE {row['mae']:.2g}, "
            f"RMSE {row['rmse']:.2g}, R² {row['r2']:.5f}, tau {row['kendall_tau']:.4f}"
        )
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
