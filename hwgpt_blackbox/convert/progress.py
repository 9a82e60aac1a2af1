"""Steps of a long conversion: who shows them, and how."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Called with the name of each step."""


def silent(step: str) -> None:
    """Show nothing."""


@contextmanager
def progress_bar(shown: bool) -> Iterator[Progress]:
    """A progress bar on standard error that counts steps and names the present one."""
    from tqdm import tqdm

    interval = 0.1 if sys.stderr.isatty() else 10.0
    options = {"disable": not shown, "unit": "step", "mininterval": interval, "file": sys.stderr}
    bar: Any = None  # until the first step: an error before it needs no bar

    def progress(step: str) -> None:
        nonlocal bar
        bar = tqdm(desc=step, **options) if bar is None else bar
        bar.set_description_str(step, refresh=False)
        bar.update()
        logger.debug("%s", step)

    try:
        yield progress
    finally:
        if bar is not None:
            bar.close()
