"""HW-GPT-Bench as Syne Tune blackboxes.

Importing this package registers ``hwgpt-{s,m,l}``, ``hwgpt-{s,m,l}-repeats`` and
``hwgpt-{s,m,l}-tabular`` with Syne Tune. It loads nothing else, so that it costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.registration import register

if TYPE_CHECKING:
    from hwgpt_blackbox.backend import SimulatedBackend
    from hwgpt_blackbox.cost import CostModel
    from hwgpt_blackbox.fronts import ReferenceFront, best, reference_front
    from hwgpt_blackbox.loading import load
    from hwgpt_blackbox.spaces import SPACES


__all__ = [
    "SPACES",
    "CostModel",
    "ReferenceFront",
    "SimulatedBackend",
    "__version__",
    "best",
    "load",
    "reference_front",
    "register",
]

_LAZY = {
    "CostModel": "hwgpt_blackbox.cost",
    "ReferenceFront": "hwgpt_blackbox.fronts",
    "SPACES": "hwgpt_blackbox.spaces",
    "SimulatedBackend": "hwgpt_blackbox.backend",
    "best": "hwgpt_blackbox.fronts",
    "load": "hwgpt_blackbox.loading",
    "reference_front": "hwgpt_blackbox.fronts",
}


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: Syne Tune takes seconds to import."""
    from importlib import import_module

    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register()
