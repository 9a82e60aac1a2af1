"""HW-GPT-Bench as Syne Tune blackboxes.

Importing this package registers ``hwgpt-{s,m,l}``, ``hwgpt-{s,m,l}-repeats`` and
``hwgpt-{s,m,l}-tabular`` with Syne Tune. It loads nothing else, so that it costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.registration import register

if TYPE_CHECKING:
    from hwgpt_blackbox.architecture import architecture_of, build_model, model_config
    from hwgpt_blackbox.backend import SimulatedBackend
    from hwgpt_blackbox.cost import CostModel
    from hwgpt_blackbox.dropin import HWGPT, plot_eaf, run_baseline
    from hwgpt_blackbox.experiments.problems import Problem
    from hwgpt_blackbox.fronts import ReferenceFront, best, reference_front
    from hwgpt_blackbox.hosting import cached, pull, push, remove
    from hwgpt_blackbox.loading import load
    from hwgpt_blackbox.spaces import SPACES


__all__ = [
    "HWGPT",
    "SPACES",
    "CostModel",
    "Problem",
    "ReferenceFront",
    "SimulatedBackend",
    "__version__",
    "architecture_of",
    "best",
    "build_model",
    "cached",
    "load",
    "model_config",
    "plot_eaf",
    "pull",
    "push",
    "reference_front",
    "register",
    "remove",
    "run_baseline",
]

_LAZY = {
    "CostModel": "hwgpt_blackbox.cost",
    "HWGPT": "hwgpt_blackbox.dropin",
    "Problem": "hwgpt_blackbox.experiments.problems",
    "ReferenceFront": "hwgpt_blackbox.fronts",
    "SPACES": "hwgpt_blackbox.spaces",
    "SimulatedBackend": "hwgpt_blackbox.backend",
    "architecture_of": "hwgpt_blackbox.architecture",
    "best": "hwgpt_blackbox.fronts",
    "build_model": "hwgpt_blackbox.architecture",
    "cached": "hwgpt_blackbox.hosting",
    "load": "hwgpt_blackbox.loading",
    "model_config": "hwgpt_blackbox.architecture",
    "plot_eaf": "hwgpt_blackbox.dropin",
    "pull": "hwgpt_blackbox.hosting",
    "push": "hwgpt_blackbox.hosting",
    "reference_front": "hwgpt_blackbox.fronts",
    "remove": "hwgpt_blackbox.hosting",
    "run_baseline": "hwgpt_blackbox.dropin",
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
