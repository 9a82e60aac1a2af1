"""HW-GPT-Bench as Syne Tune blackboxes.

Importing this package registers ``hwgpt-{s,m,l}``, ``hwgpt-{s,m,l}-repeats`` and
``hwgpt-{s,m,l}-tabular`` with Syne Tune. It loads nothing else, so that it costs milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.blackboxes.registration import register

if TYPE_CHECKING:
    from hwgpt_blackbox.blackboxes.loading import load
    from hwgpt_blackbox.blackboxes.simulated_backend import SimulatedBackend, repeat_of_trial
    from hwgpt_blackbox.domain.evaluation_cost import CostModel
    from hwgpt_blackbox.domain.model_config import ModelConfig, architecture_of, model_config
    from hwgpt_blackbox.domain.spaces import SPACES, Space
    from hwgpt_blackbox.dropin import HWGPT, HWGPTBenchAPI, plot_eaf, run_baseline
    from hwgpt_blackbox.experiments.problems import Problem
    from hwgpt_blackbox.fronts import ReferenceFront, best, reference_front
    from hwgpt_blackbox.hosting import cached, pull, push, remove
    from hwgpt_blackbox.network import build_model


__all__ = [
    "HWGPT",
    "SPACES",
    "CostModel",
    "HWGPTBenchAPI",
    "ModelConfig",
    "Problem",
    "ReferenceFront",
    "SimulatedBackend",
    "Space",
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
    "repeat_of_trial",
    "run_baseline",
]

_LAZY = {
    name: f"hwgpt_blackbox.{module}"
    for module, names in {
        "blackboxes.loading": "load",
        "blackboxes.simulated_backend": "SimulatedBackend repeat_of_trial",
        "domain.evaluation_cost": "CostModel",
        "domain.model_config": "ModelConfig architecture_of model_config",
        "domain.spaces": "SPACES Space",
        "dropin": "HWGPT HWGPTBenchAPI plot_eaf run_baseline",
        "experiments.problems": "Problem",
        "fronts": "ReferenceFront best reference_front",
        "hosting": "cached pull push remove",
        "network": "build_model",
    }.items()
    for name in names.split()
}
"""Module of each public name."""


def __getattr__(name: str) -> Any:
    """Import public names when they are first used: Syne Tune takes seconds to import."""
    from importlib import import_module

    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


register()
