"""The same suggestions of the Bayesian methods on every machine, for the same library versions.

Fitting a model amplifies the last bit: a sum in another order, and after ten suggestions all
others differ. The order of sums depends on the processor, where the library chooses its code by
it, and on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_SETTING, _SHARED_CODE = "MKL_CBWR", "COMPATIBLE"


def _settle() -> None:
    """Let Intel's library under torch use the code that all processors share, in this process.

    It reads the setting at its first product and keeps it, so the environment, which child
    processes inherit, is then as before. What a user has set does not count. Without effect if the
    process has computed with torch before. Suggestions here take a fifth longer; large products of
    one's own, twice.
    """
    before = os.environ.get(_SETTING)
    os.environ[_SETTING] = _SHARED_CODE
    try:
        square = torch.ones(32, 32, dtype=torch.double)
        torch.linalg.cholesky(square @ square + 2048 * torch.eye(32, dtype=torch.double))
    finally:
        if before is None:
            del os.environ[_SETTING]
        else:
            os.environ[_SETTING] = before


_settle()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread; matrices of some hundred rows gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
