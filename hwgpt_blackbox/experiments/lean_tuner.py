"""Syne Tune's tuner, silenced and kept lean: what a run plugs into it.

Syne Tune keeps statistics, prints, and writes CSV files for experiments that take hours. A run here
takes a millisecond a trial, so only what ends up in the results is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syne_tune import StoppingCriterion
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.backend.trial_status import Status, Trial
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.tuner_logger import TunerLogger
from syne_tune.tuning_status import TuningStatus

from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, PREFIX, Column
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.models.surrogate import Surrogate

ELAPSED_ATTRIBUTE = PREFIX + ELAPSED_TIME


def problem_blackbox(
    problem: Problem,
    surrogate: Surrogate,
    *,
    noise: bool = True,
    fidelity: str = "single",
    cost_model: CostModel | None = None,
) -> HWGPTBlackbox:
    """The blackbox of a problem's dataset, reduced to its objectives and elapsed time.

    The values are those of ``load(space, problem.dataset)``, draws included, except that
    ``metric_elapsed_time`` is the slowest of the problem's own devices, not of all 13.

    :param problem: its space must be the surrogate's
    :param surrogate: the models
    :param noise: see :class:`HWGPTBlackbox`
    :param fidelity: see :class:`HWGPTBlackbox`
    :param cost_model: see :class:`HWGPTBlackbox`
    """
    columns = dict(zip(problem.attributes, problem.objectives, strict=True))
    columns[ELAPSED_ATTRIBUTE] = Column(ELAPSED_TIME, "+".join(problem.devices))
    return HWGPTBlackbox(
        surrogate,
        problem.dataset,
        noise=noise,
        fidelity=fidelity,
        cost_model=cost_model,
        columns=columns,
    )


class Recorder(SimulatorCallback):  # type: ignore[misc]
    """Keeps the last result of every trial that has ended, and writes no file.

    A trial ends when it completes or when the scheduler stops it.

    :param progress: called with 1 whenever a trial ends
    """

    def __init__(self, progress: Callable[[int], None] | None = None) -> None:
        super().__init__()
        self.ended: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}
        """Configuration and last result by trial, in the order in which they ended"""
        self._progress = progress

    def on_tuning_start(self, tuner: Any) -> None:
        """Set the simulated clock to zero."""
        super().on_tuning_start(tuner)
        self.csv_file = None

    def on_trial_result(
        self, trial: Trial, status: str, result: dict[str, Any], decision: str
    ) -> None:
        """Keep the result if the scheduler stops the trial."""
        if decision == SchedulerDecision.STOP:
            self._end(trial, result)

    def on_trial_complete(self, trial: Trial, result: dict[str, Any]) -> None:
        """Keep the last result of a trial."""
        self._end(trial, result)

    def _end(self, trial: Trial, result: dict[str, Any]) -> None:
        if trial.trial_id not in self.ended:
            self.ended[trial.trial_id] = (trial.config, result)
            if self._progress is not None:
                self._progress(1)


class EnoughTrials(StoppingCriterion):  # type: ignore[misc]
    """Stops as soon as so many trials have ended (Syne Tune's own goes on for one more).

    :param recorder: knows which have
    :param trials: how many
    """

    def __init__(self, recorder: Recorder, trials: int) -> None:
        super().__init__()
        self._recorder = recorder
        self._trials = trials

    def __call__(self, status: TuningStatus) -> bool:
        """Whether to stop."""
        return len(self._recorder.ended) >= self._trials


class LeanStatus(TuningStatus):  # type: ignore[misc]
    """States of trials, without the statistics of every metric and hyperparameter.

    With no statistics there is no best trial, so the tuner prints none at its end.
    """

    def __init__(self) -> None:
        super().__init__(metric_names=[])
        self._failed: set[int] = set()

    def update(self, trial_status_dict: dict[int, tuple[Trial, str]], new_results: Any) -> None:
        """Take note of states."""
        for trial_id, (_, status) in trial_status_dict.items():
            self.last_trial_status_seen[trial_id] = status
            if status == Status.failed:
                self._failed.add(trial_id)

    @property
    def num_trials_failed(self) -> int:
        """Number of trials that failed."""
        return len(self._failed)


class SilentLogger(TunerLogger):  # type: ignore[misc]
    """Prints nothing, whatever the tuner has to tell."""


def _print_nothing(*args: Any, **kwargs: Any) -> None:
    """Take the place of every ``print_…`` of :class:`SilentLogger`."""


for _name in dir(TunerLogger):
    if _name.startswith("print_"):
        setattr(SilentLogger, _name, _print_nothing)
