"""What tests of networks share: one thread, a fixed seed, and the published arithmetic."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REFERENCE = "HW_GPT_SUPERNET_REFERENCE"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def reference() -> Path:
    """A supernet in the published layout and its logits; the test is skipped without them."""
    named = os.environ.get(REFERENCE)
    if not named:
        pytest.skip(f"{REFERENCE} is not set: it names a folder with a reference of the supernet")
    folder = Path(named)
    if not folder.is_dir():
        pytest.fail(f"{REFERENCE} is {named}, which is no folder")
    return folder
