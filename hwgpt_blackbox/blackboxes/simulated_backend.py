"""A simulated backend in which only the evaluations take time.

Syne Tune's own adds the real time that the scheduler needs, delays of 0.05 s, and polls every few
seconds, so that a trace depends on the machine and its load. Here the clock jumps from one event to
the next: the same seed gives the same trace everywhere.
"""

from __future__ import annotations

from typing import Any

from syne_tune.backend.simulator_backend.events import CompleteEvent
from syne_tune.backend.simulator_backend.simulator_backend import SimulatorConfig
from syne_tune.backend.simulator_backend.time_keeper import SimulatedTimeKeeper
from syne_tune.backend.trial_status import Status
from syne_tune.blackbox_repository import UserBlackboxBackend
from syne_tune.blackbox_repository.blackbox import Blackbox

from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, PREFIX
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.models.noise import check_repeat
from hwgpt_blackbox.models.portable_arithmetic import GOLDEN, mix64_one

REPEATS = 2**32
"""Repeats that trials measure are numbered below this, unless a table has fewer."""


def repeat_of_trial(seed: int, trial_id: int, repeats: int = REPEATS) -> int:
    """Number of the repeat that a trial measures in :class:`SimulatedBackend`, a run or a grid.

    It is a function of seed and trial alone.

    >>> repeat_of_trial(seed=0, trial_id=1), repeat_of_trial(seed=0, trial_id=1, repeats=50)
    (2065550767, 35)

    :param seed: of the measurements, an integer from 0
    :param trial_id: number of the trial, from 0
    :param repeats: how many there are: ``num_seeds`` of a table; a surrogate has the default
    :return: from 0 to ``repeats`` - 1: the ``seed`` of the blackbox's answer
    :raises InputError: the seed is not an integer from 0
    """
    scattered = mix64_one(mix64_one(check_repeat(seed)) + int(trial_id) * GOLDEN)
    return int(scattered % repeats)


class EvaluationClock(SimulatedTimeKeeper):  # type: ignore[misc]
    """A clock for which the work between two calls of the backend takes no time."""

    def real_time_since_last_recent_exit(self) -> float:
        """Always 0 s."""
        return 0.0


class SimulatedBackend(UserBlackboxBackend):  # type: ignore[misc]
    """Runs trials of a blackbox in simulated time, the same on any machine and under any load.

    Use it with Syne Tune's ``Tuner`` and ``SimulatorCallback``, ``sleep_time=0``.

    :param blackbox: any blackbox, ours or Syne Tune's
    :param elapsed_time_attr: metric that holds the seconds since the evaluation began
    :param max_resource_attr: see ``UserBlackboxBackend``
    :param seed: of the measurements: trial t of seed k always measures the same repeat
    :param support_checkpointing: see ``UserBlackboxBackend``
    :raises InputError: the seed is not an integer from 0
    """

    def __init__(
        self,
        blackbox: Blackbox,
        elapsed_time_attr: str = PREFIX + ELAPSED_TIME,
        max_resource_attr: str | None = None,
        seed: int = 0,
        support_checkpointing: bool = True,
    ) -> None:
        super().__init__(
            blackbox=blackbox,
            elapsed_time_attr=elapsed_time_attr,
            max_resource_attr=max_resource_attr,
            support_checkpointing=support_checkpointing,
            simulator_config=SimulatorConfig(0.0, 0.0, 0.0, 0.0, 0.0),
            tuner_sleep_time=0.0,
        )
        if elapsed_time_attr not in blackbox.objectives_names:
            raise InputError(
                f"elapsed_time_attr is {elapsed_time_attr!r}; the blackbox has "
                f"{', '.join(blackbox.objectives_names)}"
            )
        self._measurement_seed = check_repeat(seed)
        self._time_keeper = EvaluationClock()

    def repeat_of(self, trial_id: int) -> int:
        """Number of the repeat that a trial measures, see :func:`repeat_of_trial`."""
        repeats = getattr(self.blackbox, "num_seeds", REPEATS)
        return repeat_of_trial(self._measurement_seed, trial_id, repeats)

    def _run_job_and_collect_results(
        self, trial_id: int, config: dict[str, Any] | None = None
    ) -> Any:
        self._seed = self.repeat_of(trial_id)
        return super()._run_job_and_collect_results(trial_id, config)

    def fetch_status_results(self, trial_ids: list[int]) -> Any:
        """Results and states of trials at the next moment at which one of them changes."""
        self._process_events_until_now()
        heap = self._simulator_state.event_heap
        while heap and not self._has_news(trial_ids):
            self._time_keeper.advance_to(heap[0][0])
            self._process_events_until_now()
            heap = self._simulator_state.event_heap
        return super().fetch_status_results(sorted(trial_ids))

    def _has_news(self, trial_ids: list[int]) -> bool:
        """Whether a result waits to be fetched or one of the trials has ended."""
        if self._next_results_to_fetch or not trial_ids:
            return True
        states = (getattr(self._trial_dict[i], "status", Status.in_progress) for i in trial_ids)
        return any(status != Status.in_progress for status in states)

    def _stop_or_pause_trial(self, trial_id: int, status: str) -> None:
        """Stop or pause a trial at once: it takes no time."""
        self._process_events_until_now()
        self._simulator_state.remove_events(trial_id)
        self._busy_trial_ids.discard(trial_id)
        now = self._time_keeper.time()
        self._simulator_state.push(CompleteEvent(trial_id=trial_id, status=status), event_time=now)
        self._process_events_until_now()
        self._time_keeper.mark_exit()
