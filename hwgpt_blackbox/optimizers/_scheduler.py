"""From a searcher to a Syne Tune scheduler: metrics with directions, results, metadata."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import config_space_to_json_dict
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler
from syne_tune.optimizer.schedulers.single_fidelity_scheduler import SingleFidelityScheduler
from syne_tune.util import dump_json_with_numpy

from hwgpt_blackbox.errors import InputError, unknown
from hwgpt_blackbox.optimizers._base import MultiObjectiveSearcher
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


class DirectedScheduler(TrialScheduler):  # type: ignore[misc]
    """Part of a Syne Tune scheduler: one direction per metric, and metadata that is JSON.

    :ivar signs: see :func:`metric_signs`
    """

    signs: Values

    def metric_mode(self) -> str | list[str]:
        """``"min"``, ``"max"``, or a list with one of them per metric if they differ."""
        modes = ["min" if sign > 0 else "max" for sign in self.signs]
        return modes[0] if len(set(modes)) == 1 else modes

    def metadata(self) -> dict[str, Any]:
        """What Syne Tune stores beside the results: JSON values only.

        Syne Tune's own also holds the whole scheduler, which neither is JSON nor stays as it was.
        """
        return {
            "scheduler_name": type(self).__name__,
            "method_name": type(self).__name__,
            "random_seed": self.random_seed,
            "config_space": dump_json_with_numpy(config_space_to_json_dict(self.config_space)),
            "metric_names": self.metric_names(),
            "metric_mode": self.metric_mode(),
        }


class MultiObjectiveScheduler(DirectedScheduler, SingleFidelityScheduler):  # type: ignore[misc]
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

    def metadata(self) -> dict[str, Any]:
        """What Syne Tune stores beside the results: JSON values only."""
        method = type(self.searcher).__name__
        denoise = getattr(self.searcher, "_denoiser", None) is not None
        return {**super().metadata(), "method_name": method, "denoise": denoise}
