"""Our surrogate against an AutoGluon stack fitted in the same run on the same split.

    python benchmarking/autogluon_stack.py path/to/HW-GPT-Bench [--space l] [--target latency@h100]
        [--time-limit 240] [--cpus N] [--rows N] [--out FILE]

Needs ``pip install 'hwgpt-blackbox[autogluon]'``. Split: 80/20, random_state 42, means of repeats,
as in the paper. Reports accuracy, size on disk, load time and query time, and their ratios (ours
over AutoGluon's: below 1 ours is better). Ours is the artifact of all 13 devices; AutoGluon's is
one predictor of one metric's mean. Fits are timed by the clock, since AutoGluon's limit is; loading
and queries by the processor, so that other programs do not count. On a machine that others use set
OMP_NUM_THREADS=1 and --cpus 1: LightGBM's threads wait for each other. (Not named autogluon.py:
that would hide the library.)
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hwgpt_blackbox.convert import read_measurements
from hwgpt_blackbox.convert.fitting.expected_value import Problem, make_folds
from hwgpt_blackbox.convert.fitting.features import Sample
from hwgpt_blackbox.convert.fitting.whole_space import fit_noisy, noisy_targets, write_surrogate
from hwgpt_blackbox.convert.judging.measures import location_measures, random_split
from hwgpt_blackbox.convert.source.autogluon_predictors import natural_features, require_autogluon
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.models.ideal_and_nadir import bounds
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import EMBEDDED
from hwgpt_blackbox.storage.surrogates import read_surrogate

QUERIES = 20


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def seconds(call: Callable[[], Any], repeats: int = 1) -> float:
    """Median processor time of a call in s."""
    taken = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        taken.append(time.process_time() - begin)
    return float(np.median(taken))


def ours(data: Any, target: str, learn: Any, test: Any, folder: Path) -> dict[str, Any]:
    """Fit, write, load and query our model; the other targets are those of the embedded one."""
    y = noisy_targets(data)[target]
    base = read_surrogate(EMBEDDED / artifact_name(data.space.name))
    problem = Problem(Sample(data.space, data.matrix[learn]), learn)
    begin = time.perf_counter()
    model, _ = fit_noisy(problem, make_folds(problem), y[learn], len(data), base.levels)
    fitted = time.perf_counter() - begin
    surrogate = Surrogate(data.space, {**base.models, target: model}, base.levels, {})
    links = {name: m.link for name, m in surrogate.models.items()}
    manifest = {"kind": "surrogate", "name": folder.name, "space": data.space.name}
    write_surrogate(surrogate, folder, {**manifest, "links": links, "bounds": bounds(surrogate)})
    columns = [Column(*target.split("@"))]
    predictor = Predictor(read_surrogate(folder), columns)
    row = data.matrix[test[0]].tolist()
    predicted = predictor.expected(data.matrix[test])[:, 0]
    return {
        "fit_s": fitted,
        "bytes": size(folder),
        "load_s": seconds(lambda: Predictor(read_surrogate(folder), columns).one(row, None), 5),
        "query_s": seconds(lambda: predictor.one(row, None), 1000),
        "test_set_s": seconds(lambda: predictor.expected(data.matrix[test]), 5),
        **location_measures(y[test].mean(axis=1), predicted),
    }


def stack(
    data: Any, target: str, learn: Any, test: Any, folder: Path, limit: float, cpus: int | str
) -> dict[str, Any]:
    """Fit an AutoGluon stack with the published options, load and query it."""
    from autogluon.tabular import TabularPredictor

    y = noisy_targets(data)[target].mean(axis=1)
    x = natural_features(data.space, data.matrix)
    frame = pd.DataFrame(x, columns=[f"arch_feature_{i}" for i in range(x.shape[1])])
    begin = time.perf_counter()
    predictor = TabularPredictor(
        label="Target_Avg", problem_type="regression", eval_metric="r2", path=str(folder),
        verbosity=0,
    ).fit(
        frame.iloc[learn].assign(Target_Avg=y[learn]),
        time_limit=limit,
        num_cpus=cpus,
        dynamic_stacking=False,
        num_stack_levels=1,
        num_bag_folds=8,
        num_bag_sets=2,
        presets="best_quality",
    )  # fmt: skip
    fitted = time.perf_counter() - begin
    one, many = frame.iloc[test[:1]], frame.iloc[test]
    return {
        "models": predictor.model_names(),
        "fit_s": fitted,
        "bytes": size(folder),
        "load_s": seconds(lambda: TabularPredictor.load(str(folder)).predict(one)),
        "query_s": seconds(lambda: predictor.predict(one), QUERIES),
        "test_set_s": seconds(lambda: predictor.predict(many)),
        **location_measures(y[test], np.asarray(predictor.predict(many), dtype=np.float64)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--space", default="l")
    parser.add_argument("--target", default="latency@h100")
    parser.add_argument("--time-limit", type=float, default=240.0)
    parser.add_argument("--cpus", type=int, default="auto", help="for AutoGluon (default: all)")
    parser.add_argument("--rows", type=int, help="architectures to train on (default: all)")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    require_autogluon()
    data = read_measurements(Checkout(args.source, get_space(args.space, measured=True)))
    learn, test = random_split(len(data))
    learn = learn[: args.rows]
    root = Path(tempfile.mkdtemp(prefix="hwgpt-autogluon-"))
    try:
        (root / "ours").mkdir()
        common = (data, args.target, learn, test)
        found = {
            "ours": ours(*common, root / "ours"),
            "autogluon": stack(*common, root / "autogluon", args.time_limit, args.cpus),
        }
    finally:
        shutil.rmtree(root, ignore_errors=True)
    keys = ("mae", "rmse", "fit_s", "bytes", "load_s", "query_s", "test_set_s")
    found["ratio"] = {key: found["ours"][key] / found["autogluon"][key] for key in keys}
    print(f"{args.space} {args.target}, {len(learn)} to learn from, {len(test)} held out")
    print(" " * 12 + "".join(f"{name:>14}" for name in found))
    for key in (*keys, "r2", "kendall_tau"):
        cells = [f"{found[name].get(key, float('nan')):>14.6g}" for name in found]
        print(f"{key:12}" + "".join(cells))
    if args.out:
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
