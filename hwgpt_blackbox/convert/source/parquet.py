"""Parquet to CSV in a process of its own.

The reader of Parquet is compiled and trusts the file: a damaged one can crash the interpreter, keep
it busy for minutes, or ask for any amount of memory. As a process it may do so without harm.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hwgpt_blackbox.errors import DataError, printable

TIME_LIMIT = 60.0
"""Seconds for a table; 10,000 architectures with 60 repeats take 3."""

MEMORY_LIMIT = 2 << 30
"""Bytes of memory for a table, where the system can limit it."""


@contextmanager
def parquet_as_csv(path: Path, max_bytes: int) -> Iterator[Path]:
    """A temporary CSV file with the table that a Parquet file holds.

    :param path: the Parquet file
    :param max_bytes: of the CSV file
    :raises DataError: the file cannot be read, or not within the limits
    """
    with tempfile.TemporaryDirectory(prefix="hwgpt-") as folder:
        out = Path(folder) / "table.csv"
        # The process imports what this one would, and nothing out of the present folder.
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "OPENBLAS_NUM_THREADS": "1",
        }
        words = [sys.executable, "-P", "-m", __name__, str(path), str(out), str(max_bytes)]
        try:
            done = subprocess.run(  # noqa: S603 - the words are ours
                words, env=environment, capture_output=True, timeout=TIME_LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            reason = f"the reader takes longer than {TIME_LIMIT:g} s"
        else:
            if not done.returncode:
                yield out
                return
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            reason = printable(lines[-1] if lines else f"exit code {done.returncode}")[:200]
            if done.returncode < 0:
                reason = f"the reader crashes on it: {signal.strsignal(-done.returncode)}"
        raise DataError(
            f"{path} cannot be read as a table ({reason}); expected Parquet with plain columns: "
            "write it again, or write CSV"
        )


def main() -> None:
    """Write the CSV file; the last line on standard error says why that failed."""
    import pandas as pd

    source, out, max_bytes = sys.argv[1:]
    with suppress(ImportError, ValueError, OSError):  # not every system has limits
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(max_bytes), int(max_bytes)))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        frame = pd.read_parquet(source, engine="fastparquet")
        frame.to_csv(out, index=False)
    except Exception as error:  # readers of foreign bytes raise many kinds
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
