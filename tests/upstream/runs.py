"""A tuner loop that keeps everything a backend reported."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.backend.trial_status import Trial
from syne_tune.constants import ST_TUNER_TIME
from syne_tune.optimizer.scheduler import SchedulerDecision

ELAPSED, LATENCY, PERPLEXITY = "metric_elapsed_time", "metric_latency", "metric_perplexity"


class Results(SimulatorCallback):  # type: ignore[misc]
    """Results in the order in which the tuner handed them out."""

    def __init__(self) -> None:
        super().__init__()
        self.reported: list[tuple[int, dict[str, Any], dict[str, Any]]] = []
        self.ended: set[int] = set()
        """Trials that completed or were stopped"""

    def on_trial_result(
        self, trial: Trial, status: str, result: dict[str, Any], decision: str
    ) -> None:
        super().on_trial_result(trial, status, result, decision)
        self.reported.append((trial.trial_id, dict(trial.config), dict(result)))
        if decision == SchedulerDecision.STOP:
            self.ended.add(trial.trial_id)

    def on_trial_complete(self, trial: Trial, result: dict[str, Any]) -> None:
        super().on_trial_complete(trial, result)
        self.ended.add(trial.trial_id)

    @property
    def trials(self) -> set[int]:
        """Trials that reported."""
        return {trial_id for trial_id, _, _ in self.reported}


def tune(
    backend: Any, scheduler: Any, *, workers: int = 4, trials: int = 9, **criterion: Any
) -> Results:
    """Run Syne Tune's own loop, silently.

    :param trials: started, and waited for, unless a criterion says otherwise
    """
    results = Results()
    with contextlib.redirect_stdout(io.StringIO()):
        Tuner(
            trial_backend=backend,
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(**(criterion or {"max_num_trials_started": trials})),
            n_workers=workers,
            sleep_time=0,
            save_tuner=False,
            wait_trial_completion_when_stopping=not criterion,
            callbacks=[results],
        ).run()
    return results


def check_run(results: Results, blackbox: Any, seed: int | None) -> None:
    """What holds for every run: values of the blackbox, times that do not go back."""
    assert results.reported
    times = [result[ST_TUNER_TIME] for _, _, result in results.reported]
    assert all(time > 0 for time in times)
    last: dict[int, dict[str, Any]] = {}
    for trial_id, config, result in results.reported:
        assert list(config) == list(blackbox.configuration_space)
        for name, domain in blackbox.configuration_space.items():
            assert domain.is_valid(config[name])
        if seed is not None:
            expected = blackbox(config, result["repeats"], seed)
            for name in blackbox.objectives_names:
                assert result[name] == expected[name]
        before = last.get(trial_id)
        if before is not None:  # within a trial, time and fidelity go on
            assert result["repeats"] == before["repeats"] + 1
            assert result[ELAPSED] > before[ELAPSED]
            assert result[ST_TUNER_TIME] > before[ST_TUNER_TIME]
        last[trial_id] = result
