"""Whether the repeats of a session look like measured ones, position by position.

    python benchmarking/repeats.py path/to/HW-GPT-Bench [--spaces s m l]
        [--targets latency@rtx2080 …] [--out FILE]

The effect of the position is estimated on a random half of the architectures, where it is there,
and judged on the other half: the mean over architectures of the first r of ten repeats over the
mean of the ten, as measured, as drawn without positions, and as drawn with them. The last columns
compare all ten drawn with positions with those drawn without: the ratio of their means, and the
Kolmogorov-Smirnov distance of their distributions.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import ks_2samp

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.fitting.features import Architectures, Array
from hwgpt_blackbox.convert.fitting.repeat_positions import with_positions
from hwgpt_blackbox.convert.fitting.whole_space import noisy_targets
from hwgpt_blackbox.convert.judging.measures import predictor_of
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.encoding import IntMatrix
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.models.noise import POSITIONS, SESSIONS
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage.surrogates import load_surrogate

RUNS = (1, 2, 5)
"""Numbers of first repeats whose mean is looked at."""

DRAWN = 5
"""Sessions that are drawn of every architecture."""


def first_over_all(repeats: Array) -> list[float]:
    """Mean over architectures of the mean of the first r repeats over that of ten, in % above 1."""
    means = np.cumsum(repeats, axis=1) / np.arange(1, POSITIONS + 1)
    share = (means / means[:, -1:]).mean(axis=0)
    return [100.0 * float(share[r - 1] - 1.0) for r in RUNS]


def draw(surrogate: Surrogate, target: str, matrix: IntMatrix, *, positions: bool) -> Array:
    """Drawn sessions over expected values, shape (n * DRAWN, POSITIONS)."""
    predictor = Predictor(surrogate, [Column(*target.split("@"))], positions=positions)
    rows = np.repeat(matrix, DRAWN, axis=0)
    seeds = np.tile(np.arange(DRAWN, dtype=np.uint64), len(matrix))
    drawn = [
        predictor.measurements(rows, seeds + np.uint64(k * SESSIONS))[:, 0]
        for k in range(POSITIONS)
    ]
    return np.stack(drawn, axis=-1) / predictor.expected(rows)


def judge(space: str, source: Path, targets: list[str]) -> dict[str, Any]:
    """By target: whether an effect was found, and first over all, in % above 1."""
    data = read_measurements(Checkout(source, get_space(space)))
    shipped = load_surrogate(space)
    models = {name: replace(m, positions=None) for name, m in shipped.models.items()}
    plain = Surrogate(shipped.space, models, shipped.levels, shipped.manifest)
    half = np.random.default_rng(0).permutation(len(data)) % 2 == 0
    sample = Architectures(data.space, data.matrix[half])
    found: dict[str, Any] = {}
    for target, repeats in noisy_targets(data).items():
        if repeats.shape[1] < POSITIONS or (targets and target not in targets):
            continue
        expected = {target: predictor_of(plain, [target]).expected(sample.matrix)[:, 0]}
        fitted = with_positions(plain, sample, expected, {target: repeats[half]})
        held = data.matrix[~half]
        before = draw(plain, target, held, positions=False)
        after = draw(fitted, target, held, positions=True)
        found[target] = {
            "matters": fitted.models[target].positions is not None,
            "measured": first_over_all(repeats[~half][:, :POSITIONS]),
            "without": first_over_all(before),
            "with": first_over_all(after),
            "mean": float(after.mean() / before.mean()),
            "distance": float(ks_2samp(before.ravel(), after.ravel()).statistic),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="checkout of HW-GPT-Bench")
    parser.add_argument("--spaces", nargs="+", default=["s", "m", "l"])
    parser.add_argument("--targets", nargs="+", default=[])
    parser.add_argument("--out", type=Path, help="write the numbers as JSON")
    args = parser.parse_args()
    result = {space: judge(space, args.source, args.targets) for space in args.spaces}
    runs = " ".join(map(str, RUNS))
    print(f"first {runs} of ten over the mean of ten, in % above 1")
    print(
        f"{'':28}{'measured':>22}{'without positions':>22}{'with positions':>22}   mean   distance"
    )
    for space, rows in result.items():
        for target, row in rows.items():
            cells = [
                "".join(f"{value:7.1f}" for value in row[kind])
                for kind in ("measured", "without", "with")
            ]
            end = f"{row['mean']:9.4f}{row['distance']:9.4f}" if row["matters"] else "  no effect"
            print(f"{space} {target:26}" + "".join(f"{cell:>22}" for cell in cells) + end)
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
