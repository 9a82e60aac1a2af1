"""The pins of the oldest versions, which ``make test-versions`` installs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from floors import floors
from helpers import ROOT


def test_every_requirement_has_a_floor() -> None:
    script = ROOT / "tests" / "floors.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    pins = dict(line.split("==") for line in done.stdout.splitlines())
    assert pins["syne-tune"].startswith("0.15")
    assert {"numpy", "pandas", "moocore", "s3fs", "botorch", "torch"} <= set(pins)


def test_a_requirement_without_a_floor_is_named() -> None:
    project = {"dependencies": ["numpy>=1.26,<3", "tqdm"], "optional-dependencies": {}}
    with pytest.raises(ValueError, match="'tqdm' has no floor"):
        list(floors(project, ()))
    project["dependencies"] = ["numpy>=1.26,<3"]
    assert list(floors(project, ())) == ["numpy==1.26"]
