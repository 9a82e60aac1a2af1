"""The same suggestions of the Bayesian methods on every machine, for the same library versions.

Fitting a model amplifies the last bit: a sum in another order, and after ten suggestions all
others differ. The order of sums depends on the processor, where the library chooses its code by
it, and on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

os.environ.setdefault("MKL_CBWR", "COMPATIBLE")
"""Intel's library under torch reads it at its first sum: code that all processors share. Without
effect if the process has computed with torch before; a fifth slower than the default here."""

import torch  # noqa: E402


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread; matrices of some hundred rows gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
