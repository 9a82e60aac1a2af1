"""From the name of a method to a Syne Tune scheduler: the bridge, the table, the function."""

from __future__ import annotations

import importlib
import inspect
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import config_space_to_json_dict
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler
from syne_tune.util import dump_json_with_numpy

from hwgpt_blackbox.errors import InputError, MissingExtraError, unknown
from hwgpt_blackbox.optimizers._base import CanonicalForm, MultiObjectiveSearcher
from hwgpt_blackbox.optimizers._pareto import Values

logger = logging.getLogger(__name__)


def metric_signs(metrics: Sequence[str], do_minimize: bool | Sequence[bool]) -> Values:
    """+1 for each minimised metric and -1 for each maximised one, shape (m,).

    :raises InputError: fewer than two metrics, one of them twice, or not one direction per metric
    """
    names = list(metrics) if isinstance(metrics, Collection) else []
    texts = not isinstance(metrics, str) and all(isinstance(name, str) for name in names)
    if not texts or len(names) < 2 or len(set(names)) != len(names):
        raise InputError(f"metrics={metrics!r}: expected a list of two or more different names")
    given: Any = do_minimize
    directions = given.tolist() if isinstance(given, np.ndarray) else given
    if isinstance(directions, bool | np.bool_):
        directions = [directions] * len(names)
    bools = isinstance(directions, Sequence) and all(
        isinstance(direction, bool | np.bool_) for direction in directions
    )
    if not bools or len(directions) != len(names):
        raise InputError(
            f"do_minimize={do_minimize!r}: expected True (minimise) or False (maximise), one for "
            f"all metrics or one for each of {names}"
        )
    return np.where(directions, 1.0, -1.0)


def check_known(metrics: Sequence[str], known: Collection[str]) -> None:
    """Raise InputError, with a suggestion, if a metric is not among those of the results."""
    for name in metrics:
        if name not in known:
            raise unknown("metric of the results", name, sorted(known, key=str))


def read_metrics(result: Mapping[str, Any], metrics: Sequence[str], signs: Values) -> Values:
    """The minimised metrics of a result, shape (m,); None and non-numbers count as NaN.

    :raises InputError: the result lacks a metric; says which it holds
    """
    check_known(metrics, result)
    return np.array([_number(result[name]) for name in metrics]) * signs


def _number(value: Any) -> float:
    """A metric as a float; NaN for texts and bools too, from which ``float`` would make one."""
    if isinstance(value, str | bytes | bool | np.bool_):
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def metric_mode(signs: Values) -> str | list[str]:
    """Syne Tune's ``metric_mode``: ``"min"``, ``"max"``, or one of them per metric if mixed."""
    modes = ["min" if sign > 0 else "max" for sign in signs]
    return modes[0] if len(set(modes)) == 1 else modes


def scheduler_metadata(scheduler: TrialScheduler, name: str) -> dict[str, Any]:
    """What Syne Tune stores beside the results. Syne Tune's own also holds the whole scheduler,
    which neither is JSON nor stays as it was.

    :param scheduler: its class is the scheduler's name, as Syne Tune has it
    :param name: the method's name
    """
    return {
        "scheduler_name": type(scheduler).__name__,
        "method_name": name,
        "random_seed": scheduler.random_seed,
        "config_space": dump_json_with_numpy(config_space_to_json_dict(scheduler.config_space)),
        "metric_names": scheduler.metric_names(),
        "metric_mode": scheduler.metric_mode(),
    }


class MultiObjectiveScheduler(SingleFidelityScheduler):  # type: ignore[misc]
    """Makes a :class:`MultiObjectiveSearcher` a Syne Tune scheduler.

    Beyond Syne Tune's ``SingleFidelityScheduler`` it knows one direction per metric, tells the
    searcher which trial carries out which suggestion, takes only final results, and writes
    metadata that is JSON.

    :param config_space: Syne Tune configuration space
    :param metrics: names of two or more metrics
    :param searcher: the method
    :param do_minimize: one bool, or one per metric
    :raises InputError: see :func:`metric_signs`
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metrics: Sequence[str],
        searcher: MultiObjectiveSearcher,
        do_minimize: bool | Sequence[bool] = True,
    ) -> None:
        self.signs = metric_signs(metrics, do_minimize)
        searcher.check_metrics(len(self.signs))
        super().__init__(
            dict(config_space),
            metrics=list(metrics),
            do_minimize=bool((self.signs > 0).all()),
            searcher=searcher,
            random_seed=searcher.random_seed,
        )

    def on_trial_add(self, trial: Trial) -> None:
        """Tell the searcher which trial carries out its suggestion."""
        self.searcher.on_trial_add(trial.trial_id, trial.config)

    def on_trial_result(self, trial: Trial, result: dict[str, Any]) -> str:
        """Let the trial go on: only final results count."""
        return str(SchedulerDecision.CONTINUE)

    def on_trial_complete(self, trial: Trial, result: dict[str, Any]) -> None:
        """Pass the final result, minimised, to the searcher."""
        values = read_metrics(result, self.metrics, self.signs)
        self.searcher.on_trial_complete(trial.trial_id, trial.config, values)

    def on_trial_error(self, trial: Trial) -> None:
        """Tell the searcher what failed, also of a trial that it was not told of before."""
        logger.warning("trial %s failed", trial.trial_id)
        self.searcher.on_trial_error(trial.trial_id, trial.config)

    def metric_mode(self) -> str | list[str]:
        """``"min"``, ``"max"``, or a list with one of them per metric if they differ."""
        return metric_mode(self.signs)

    def metadata(self) -> dict[str, Any]:
        """What Syne Tune stores beside the results: JSON values only."""
        denoise = getattr(self.searcher, "_denoiser", None) is not None
        return {**scheduler_metadata(self, type(self.searcher).__name__), "denoise": denoise}


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
    "RS": Method(_HERE + "_random:RS"),
    "RE": Method(_HERE + "_evolution:RE", denoises=True),
    "NSGA2": Method(_HERE + "_nsga2:NSGA2", extra="optimizers", denoises=True),
    "LS": Method(_HERE + "_local:LS", denoises=True),
    "RSBO": Method(_HERE + "bayesian.methods:RSBO", extra="bayesian"),
    "LSBO": Method(_HERE + "bayesian.methods:LSBO", extra="bayesian"),
    "EHVI": Method(_HERE + "bayesian.methods:EHVI", extra="bayesian"),
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
    :param **options: options of the method: see its class
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
