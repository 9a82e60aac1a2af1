"""Speed of queries, loading and memory, as ratios against peers in the same run.

    python benchmarking/queries.py [--spaces s m l] [--architectures 10000] [--out FILE.json]

Peer of single queries: Syne Tune's ``BlackboxTabular`` on the same architectures. Peer of loading:
importing Syne Tune's blackbox repository alone.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular

import hwgpt_blackbox
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox

DEVICE = "rtx2080"


def seconds(function: Callable[[], Any], repeats: int = 3) -> float:
    """Fastest of several runs, in s: other work on the machine only adds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def table_of(blackbox: HWGPTBlackbox, configurations: list[dict[str, Any]]) -> BlackboxTabular:
    """Syne Tune's table of the same architectures and values."""
    values = blackbox.expected_values(configurations)
    return BlackboxTabular(
        hyperparameters=pd.DataFrame(configurations),
        configuration_space=blackbox.configuration_space,
        fidelity_space=blackbox.fidelity_space,
        objectives_evaluations=values[:, None, None, :],
        objectives_names=blackbox.objectives_names,
    )


def single(blackbox: HWGPTBlackbox, configurations: list[dict[str, Any]]) -> dict[str, float]:
    """Microseconds of one query of all metrics, ours and the table's."""
    peer = table_of(blackbox, configurations)
    ours = seconds(lambda: [blackbox(c, seed=1) for c in configurations]) / len(configurations)
    theirs = seconds(lambda: [peer(c, seed=0) for c in configurations]) / len(configurations)
    return {"ours_us": ours * 1e6, "tabular_us": theirs * 1e6, "ratio": theirs / ours}


def batched(blackbox: HWGPTBlackbox, size: int) -> dict[str, float]:
    """Architectures per second on two threads, from the matrix and from dicts."""
    rng = np.random.default_rng(0)
    matrix = blackbox.encoding.sample(size, rng)
    halves = np.array_split(matrix, 2)
    dicts = blackbox.encoding.decode(matrix[:50_000])
    with ThreadPoolExecutor(2) as pool:
        expected = seconds(lambda: list(pool.map(blackbox.expected_values, halves)))
        draws = seconds(lambda: list(pool.map(lambda m: blackbox.measurements(m, 1), halves)))
    alone = seconds(lambda: blackbox.expected_values(matrix))
    from_dicts = seconds(lambda: blackbox.expected_values(dicts))
    return {
        "expected_per_s_two_threads": size / expected,
        "draws_per_s_two_threads": size / draws,
        "expected_per_s_one_thread": size / alone,
        "expected_from_dicts_per_s_one_thread": len(dicts) / from_dicts,
    }


def loading(space: str) -> dict[str, float]:
    """Seconds and MB that loading ``all`` adds to importing Syne Tune, in fresh processes."""
    code = f"""
import os, time
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
start = time.perf_counter()
import syne_tune.blackbox_repository as repository
imported, before = time.perf_counter(), resident()
import hwgpt_blackbox
blackbox = repository.load_blackbox("hwgpt-{space}")["all"]
blackbox({{name: domain.categories[0] for name, domain in blackbox.configuration_space.items()}})
loaded, after = time.perf_counter(), resident()
print(imported - start, loaded - imported, (after - before) / 2**20)
"""
    rows = [
        [float(x) for x in subprocess.check_output([sys.executable, "-c", code]).split()]
        for _ in range(3)
    ]
    imported, added, megabytes = min(rows, key=lambda row: row[1])
    return {
        "import_s": imported,
        "added_s": added,
        "ratio": added / imported,
        "added_MB": megabytes,
    }


def large_matrix(blackbox: HWGPTBlackbox, size: int = 10_000_000) -> dict[str, float]:
    """Seconds for a matrix of 10 million, and memory beyond input and output in MB."""
    rng = np.random.default_rng(1)
    matrix = np.concatenate([blackbox.encoding.sample(size // 10, rng) for _ in range(10)])
    tracemalloc.start()
    blackbox.expected_values(matrix)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    output = len(matrix) * len(blackbox.objectives_names) * 8
    spent = seconds(lambda: blackbox.expected_values(matrix), repeats=1)
    return {"seconds": spent, "working_MB": (peak - output) / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spaces", nargs="+", default=["s", "m", "l"])
    parser.add_argument("--architectures", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=1_000_000)
    parser.add_argument("--large", action="store_true", help="also a matrix of 10 million")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    report: dict[str, Any] = {}
    for space in args.spaces:
        blackbox = hwgpt_blackbox.load(space, DEVICE)
        sample = blackbox.encoding.sample(args.architectures, np.random.default_rng(0))
        configurations = blackbox.encoding.decode(np.unique(sample, axis=0))
        report[space] = {
            "single": single(blackbox, configurations),
            "batched": batched(blackbox, args.batch),
            "loading": loading(space),
        }
        if args.large:
            report[space]["large_matrix"] = large_matrix(blackbox)
        print(space, json.dumps(report[space], indent=1))
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
