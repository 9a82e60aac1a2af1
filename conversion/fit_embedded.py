"""Make the surrogate artifacts that the wheel ships.

    python conversion/fit_embedded.py path/to/HW-GPT-Bench

Fits s, m and l from the measurements and replaces ``hwgpt_blackbox/artifacts``, each with its
report card. Deterministic: the same source and library versions give the same models. The last
bits of sums depend on the processor and on the number of threads, so both are fixed here.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ["OPENBLAS_CORETYPE"], os.environ["OMP_NUM_THREADS"] = "Haswell", "1"  # before numpy

from hwgpt_blackbox.convert import convert  # noqa: E402
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES  # noqa: E402
from hwgpt_blackbox.storage.locations import EMBEDDED  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="checkout of HW-GPT-Bench")
    parser.add_argument("--spaces", nargs="+", default=list(MEASURED_SPACES))
    args = parser.parse_args()
    for space in args.spaces:
        for path in convert(
            args.source, space, EMBEDDED, tabular=False, overwrite=True, report=True
        ):
            print(path)


if __name__ == "__main__":
    main()
