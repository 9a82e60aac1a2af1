"""The eight multi-objective methods of HW-GPT-Bench as Syne Tune schedulers.

>>> from syne_tune.config_space import choice
>>> from hwgpt_blackbox.optimizers import make_scheduler
>>> space = {"width": choice([1, 2]), "depth": choice([3, 4])}
>>> scheduler = make_scheduler("RS", space, ["error", "latency"], random_seed=0)
>>> sorted(scheduler.suggest().config)
['depth', 'width']

The classes (``RS``, ``RE``, ``NSGA2``, ``LS``, ``RSBO``, ``LSBO``, ``EHVI``, ``MOASHA``) are
imported when first asked for, so that pymoo loads only with the method that uses it, and torch and
BoTorch only with ``kernel="plain"``.
"""

from typing import Any

from hwgpt_blackbox.optimizers._base import MultiObjectiveSearcher
from hwgpt_blackbox.optimizers._factory import METHODS, Method, make_scheduler
from hwgpt_blackbox.optimizers._scheduler import MultiObjectiveScheduler

__all__ = [
    "METHODS",
    "Method",
    "MultiObjectiveScheduler",
    "MultiObjectiveSearcher",
    "make_scheduler",
    *METHODS,
]


def __getattr__(name: str) -> Any:
    if name in METHODS:
        return METHODS[name].load()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
