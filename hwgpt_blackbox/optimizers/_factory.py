"""From the name of a method to a Syne Tune scheduler: the table, and the function."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syne_tune.optimizer.scheduler import TrialScheduler

from hwgpt_blackbox.errors import InputError, MissingExtraError, unknown
from hwgpt_blackbox.optimizers._base import CanonicalForm, MultiObjectiveSearcher
from hwgpt_blackbox.optimizers._scheduler import (
    MultiObjectiveScheduler,
    check_known,
    metric_signs,
)


@dataclass(frozen=True)
class Method:
    """Where a method lives and what it needs.

    :param path: ``module:class``. The module is imported when the method is first used.
    :param extra: the extra of the package that brings its dependencies; None if it has none.
    :param over_fidelity: whether it stops trials early by their fidelity, and so has the options
        ``time_attr`` and ``max_t``
    :param denoises: whether it has the option ``denoise``, which is on unless given
    """

    path: str
    extra: str | None = None
    over_fidelity: bool = False
    denoises: bool = False

    def load(self) -> type[Any]:
        """The class.

        :raises MissingExtraError: a dependency is not installed; the message names the extra
        """
        module, name = self.path.split(":")
        try:
            loaded: type[Any] = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if self.extra is None or str(error.name).startswith("hwgpt_blackbox"):
                raise
            raise MissingExtraError(
                f"{name} needs {error.name}, which is not installed: "
                f"pip install 'hwgpt-blackbox[{self.extra}]'"
            ) from error
        return loaded


_HERE = "hwgpt_blackbox.optimizers."

METHODS: dict[str, Method] = {
    "RS": Method(_HERE + "_base:RS"),
    "RE": Method(_HERE + "_neighbours:RE", denoises=True),
    "NSGA2": Method(_HERE + "_nsga2:NSGA2", extra="optimizers", denoises=True),
    "LS": Method(_HERE + "_neighbours:LS", denoises=True),
    "RSBO": Method(_HERE + "bayesian.methods:RSBO"),
    "LSBO": Method(_HERE + "bayesian.methods:LSBO"),
    "EHVI": Method(_HERE + "bayesian.methods:EHVI"),
    "MOASHA": Method(_HERE + "_moasha:MOASHA", over_fidelity=True),
}
"""The eight methods of HW-GPT-Bench, by name."""


def _options(method: type[Any]) -> list[str]:
    """Keyword arguments that a method and the classes that it is made of take."""
    found: dict[str, None] = {}
    for part in method.__mro__:
        if part.__module__.startswith(_HERE) and "__init__" in vars(part):
            parameters = inspect.signature(vars(part)["__init__"]).parameters.values()
            found |= {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    return list(found)


def make_scheduler(
    name: str,
    config_space: Mapping[str, Any],
    metrics: Sequence[str],
    *,
    random_seed: int | None,
    do_minimize: bool | Sequence[bool] = True,
    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
    canonical_form: CanonicalForm | None = None,
    allow_repeats: bool = False,
    known_metrics: Collection[str] | None = None,
    **options: Any,
) -> TrialScheduler:
    """A Syne Tune scheduler that runs one of the methods, for any blackbox and backend.

    :param name: a key of ``METHODS``
    :param config_space: Syne Tune configuration space; constants are passed on to the trials
    :param metrics: names of two or more metrics in the results
    :param random_seed: the same seed, suggestions and results give the same run. None takes a seed
        from the system.
    :param do_minimize: one bool, or one per metric
    :param points_to_evaluate: configurations to suggest first
    :param canonical_form: says which configurations are the same architecture; see
        :class:`~hwgpt_blackbox.optimizers.MultiObjectiveSearcher`
    :param allow_repeats: whether an architecture may be suggested again
    :param known_metrics: what results will hold, for instance ``blackbox.objectives_names``: a
        misspelt metric is an error at once then, else when the first result arrives
    :param options: options of the method: see its class
    :return: the scheduler
    :raises InputError: an unknown name or option, or an argument that does not fit
    :raises MissingExtraError: the method's dependencies are not installed
    """
    if not isinstance(name, str) or name not in METHODS:
        raise unknown("method", name, METHODS)
    if known_metrics is not None:
        metric_signs(metrics, do_minimize)
        check_known(metrics, known_metrics)
    method = METHODS[name].load()
    common: dict[str, Any] = {
        "random_seed": random_seed,
        "points_to_evaluate": points_to_evaluate,
        "canonical_form": canonical_form,
        "allow_repeats": allow_repeats,
    }
    known = [option for option in _options(method) if option not in common]
    strange = sorted(set(options) - set(known))
    if strange:
        raise InputError(f"{name} has no options {strange}; it has {known}")
    if issubclass(method, MultiObjectiveSearcher):
        searcher = method(config_space, **common, **options)
        return MultiObjectiveScheduler(config_space, metrics, searcher, do_minimize)
    return method(config_space, metrics, do_minimize, **common, **options)
