"""A simulated tuner for the tests: trials that run for a while, come back in any order, or fail."""

from __future__ import annotations

import copy
import datetime
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer.scheduler import TrialScheduler

LEVELS = 3  # results that each trial reports, as fidelity "r" from 1 to 3


@dataclass
class Simulation:
    """Runs trials of a scheduler on simulated workers, in simulated time.

    ``evaluate`` maps a configuration to its metrics, or to None if the trial fails. ``duration``
    maps a trial id to the time between two of its results. Attributes: ``configs`` that were
    started, in order; ``decisions`` on each result; ``exhausted`` once there was no suggestion.
    """

    scheduler: TrialScheduler
    evaluate: Callable[[dict[str, Any]], dict[str, Any] | None]
    workers: int = 1
    duration: Callable[[int], float] = lambda trial_id: 1.0 + (trial_id * 7 % 5)
    repeat_reports: bool = False
    configs: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[str] = field(default_factory=list)
    finished: int = 0
    exhausted: bool = False
    _events: list[tuple[float, int, int]] = field(default_factory=list)

    def run(self, trials: int) -> Simulation:
        """Go on until so many trials have ended, or nothing is left to do."""
        now = 0.0
        while self.finished < trials:
            while len(self._events) < self.workers and not self.exhausted:
                self._start(now)
            if not self._events:
                break
            now, trial_id, level = heapq.heappop(self._events)
            self._report(now, trial_id, level)
        return self

    def fork(self, scheduler: TrialScheduler) -> Simulation:
        """The same state of affairs under another scheduler."""
        other = copy.copy(self)
        other.scheduler = scheduler
        other.configs, other.decisions = list(self.configs), list(self.decisions)
        other._events = list(self._events)
        return other

    def _trial(self, trial_id: int) -> Trial:
        return Trial(trial_id, dict(self.configs[trial_id]), datetime.datetime(2024, 1, 1))

    def _start(self, now: float) -> None:
        suggestion = self.scheduler.suggest()
        if suggestion is None:
            self.exhausted = True
            return
        trial_id = len(self.configs)
        self.configs.append(suggestion.config)
        self.scheduler.on_trial_add(self._trial(trial_id))
        heapq.heappush(self._events, (now + self.duration(trial_id), trial_id, 1))

    def _report(self, now: float, trial_id: int, level: int) -> None:
        trial = self._trial(trial_id)
        metrics = self.evaluate(trial.config)
        if metrics is None:
            self.finished += 1
            self.scheduler.on_trial_error(trial)
            return
        result = {**metrics, "r": level}
        decision = self.scheduler.on_trial_result(trial, result)
        self.decisions.append(decision)
        if decision == "CONTINUE" and level < LEVELS:
            heapq.heappush(self._events, (now + self.duration(trial_id), trial_id, level + 1))
            return
        self.finished += 1
        for _ in range(2 if self.repeat_reports else 1):
            if decision == "STOP":
                self.scheduler.on_trial_remove(trial)
            else:
                self.scheduler.on_trial_complete(trial, result)


@pytest.fixture
def simulate() -> type[Simulation]:
    """The class :class:`Simulation`."""
    return Simulation
