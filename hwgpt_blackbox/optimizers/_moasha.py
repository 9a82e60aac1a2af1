"""MOASHA: asynchronous successive halving for several objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import cast_config_values, postprocess_config
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialSuggestion
from syne_tune.optimizer.schedulers.asha import Bracket
from syne_tune.optimizer.schedulers.multiobjective import moasha as syne_tune_moasha

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._base import RS
from hwgpt_blackbox.optimizers._checks import checked_number, checked_whole
from hwgpt_blackbox.optimizers._pareto import RankedFronts
from hwgpt_blackbox.optimizers._scheduler import DirectedScheduler, metric_signs, read_metrics


class RankedBracket(Bracket):  # type: ignore[misc]
    """Syne Tune's bracket, whose rungs keep their trials ranked instead of sorting them again.

    A trial goes on if fewer than ``1 / reduction_factor`` of the trials that reached the rung come
    before it. The order is by non-dominated rank, then crowding distance within the front.
    """

    def __init__(self, min_t: int, max_t: int, reduction_factor: float, s: int) -> None:
        super().__init__(min_t, max_t, reduction_factor, s)
        self._fronts = {milestone: RankedFronts() for milestone, _ in self.rungs}

    def on_result(self, trial_id: int, cur_iter: int, metrics: dict[str, float]) -> str:
        """Record a result at the highest rung it reaches; says whether the trial goes on.

        :param trial_id: the trial; a rung counts it once
        :param cur_iter: its resource so far
        :param metrics: minimised and finite
        :return: a ``SchedulerDecision``
        """
        for milestone, recorded in self.rungs:
            if cur_iter >= milestone and trial_id not in recorded:
                recorded[trial_id] = metrics
                fronts = self._fronts[milestone]
                before = fronts.add(np.array(list(metrics.values())))
                if before / len(fronts) > 1 / self.rf:
                    return str(SchedulerDecision.STOP)
                break
        return str(SchedulerDecision.CONTINUE)


class MOASHA(DirectedScheduler, syne_tune_moasha.MOASHA):  # type: ignore[misc]
    """MO-ASHA (Schmucker et al., 2021, arXiv:2106.12639) over a fidelity; stops what lags behind.

    Syne Tune's scheduler, with these differences: trials are ranked by non-dominated front and,
    within it, crowding distance, which is one of the two orders of the paper (Syne Tune 0.16
    confuses order and rank); architectures come from :class:`RS`, so seeded and never twice;
    one direction per metric; failed trials and NaN are survived.

    :param config_space: Syne Tune configuration space
    :param metrics: names of two or more metrics
    :param do_minimize: one bool, or one per metric
    :param time_attr: name of the fidelity in the results
    :param max_t: fidelity at which a trial ends
    :param grace_period: fidelity of the lowest rung
    :param reduction_factor: ratio of the rungs; one of so many trials goes on
    :param brackets: number of brackets, each with a higher lowest rung. This default and the four
        above are those of Syne Tune's MOASHA.
    :param common: arguments of :class:`MultiObjectiveSearcher`
    :raises InputError: metrics or directions that do not fit, or a rung setting out of range
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        metrics: Sequence[str],
        do_minimize: bool | Sequence[bool] = True,
        *,
        time_attr: str = "training_iteration",
        max_t: int = 100,
        grace_period: int = 1,
        reduction_factor: float = 3,
        brackets: int = 1,
        **common: Any,
    ) -> None:
        grace_period = checked_whole("grace_period", grace_period, 1)
        max_t = checked_whole("max_t", max_t, 1)
        reduction_factor = checked_number("reduction_factor", reduction_factor, 1)
        brackets = checked_whole("brackets", brackets, 1)
        if grace_period > max_t or reduction_factor == 1:
            raise InputError(
                f"grace_period={grace_period}, max_t={max_t}, reduction_factor={reduction_factor}: "
                "expected grace_period <= max_t and reduction_factor > 1"
            )
        if not isinstance(time_attr, str):
            raise InputError(f"time_attr={time_attr!r}: expected the name of the fidelity")
        self.signs = metric_signs(metrics, do_minimize)
        self.searcher = RS(config_space, **common)
        super().__init__(
            dict(config_space),
            list(metrics),
            do_minimize=bool((self.signs > 0).all()),
            time_attr=time_attr,
            max_t=max_t,
            grace_period=grace_period,
            reduction_factor=reduction_factor,
            random_seed=self.searcher.random_seed,
        )
        self.brackets = [
            RankedBracket(grace_period, max_t, reduction_factor, s) for s in range(brackets)
        ]

    def suggest(self) -> TrialSuggestion | None:
        """A new trial with a random new architecture; None once the space is exhausted."""
        config = self.searcher.suggest()
        if config is None:
            return None
        config = cast_config_values(config, self.config_space)
        return TrialSuggestion.start_suggestion(postprocess_config(config, self.config_space))

    def on_trial_add(self, trial: Trial) -> None:
        """Assign the trial to a bracket, those with more rungs being likelier."""
        sizes = np.array([len(bracket.rungs) for bracket in self.brackets])
        odds = np.exp(sizes - sizes.max())
        index = self.searcher.rng.choice(len(self.brackets), p=odds / odds.sum())
        self.trial_info[trial.trial_id] = self.brackets[index]
        self.searcher.on_trial_add(trial.trial_id, trial.config)

    def on_trial_result(self, trial: Trial, result: dict[str, Any]) -> str:
        """Decide whether the trial goes on; one that reports NaN does not."""
        if self.time_attr not in result:
            raise InputError(f"result {sorted(result)} lacks time_attr={self.time_attr!r}")
        values = read_metrics(result, self.metrics, self.signs)
        action = str(SchedulerDecision.STOP)
        bracket = self.trial_info.get(trial.trial_id)  # None: the trial is over
        if bracket and np.isfinite(values).all() and result[self.time_attr] < self.max_t:
            metrics = dict(zip(self.metrics, values.tolist(), strict=True))
            action = bracket.on_result(trial.trial_id, result[self.time_attr], metrics)
        self.num_stopped += action == SchedulerDecision.STOP
        return action

    def on_trial_complete(self, trial: Trial, result: dict[str, Any]) -> None:
        """The trial ended by itself: forget it. Its result has been seen."""
        self.trial_info.pop(trial.trial_id, None)
        values = read_metrics(result, self.metrics, self.signs)
        self.searcher.on_trial_complete(trial.trial_id, trial.config, values)

    def on_trial_remove(self, trial: Trial) -> None:
        """The trial was stopped: forget it."""
        self.trial_info.pop(trial.trial_id, None)
        self.searcher.on_trial_remove(trial.trial_id, trial.config)

    def on_trial_error(self, trial: Trial) -> None:
        """The trial failed: forget it. Rungs that it had passed keep its results."""
        self.trial_info.pop(trial.trial_id, None)
        self.searcher.on_trial_error(trial.trial_id, trial.config)
