"""Simulated time: the same trace on any machine, and the one that arithmetic says."""

from __future__ import annotations

import heapq
import time
from typing import Any

import numpy as np
import pytest
from helpers import embedded, write_table
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.backend.trial_status import Trial
from syne_tune.blackbox_repository import (
    BlackboxRepositoryBackend,
    UserBlackboxBackend,
    load_blackbox,
)
from syne_tune.blackbox_repository.blackbox import from_function
from syne_tune.config_space import randint, uniform
from syne_tune.constants import ST_TUNER_TIME
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler, TrialSuggestion
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving
from syne_tune.tuner_callback import TunerCallback

from hwgpt_blackbox import CostModel, SimulatedBackend
from hwgpt_blackbox.blackboxes.surrogate_blackbox import HWGPTBlackbox
from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.errors import InputError

ELAPSED = "metric_elapsed_time"
LATENCY = 2
"""Column of latency among the objectives."""


class Random(TrialScheduler):
    """Random search; with levels at which trials are stopped, or paused and resumed later."""

    def __init__(
        self,
        *,
        seed: int = 0,
        delay: float = 0.0,
        stop_at: int | None = None,
        pause_at: tuple[int, ...] = (),
        configurations: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(random_seed=seed)
        self._rng = np.random.default_rng(seed)
        self._encoding = Encoding(SPACES["s"])
        self._configurations = configurations
        self._delay, self._stop_at, self._pause_at = delay, stop_at, pause_at
        self._paused: list[int] = []

    def suggest(self) -> TrialSuggestion:
        if self._delay:
            time.sleep(float(self._rng.uniform(0, self._delay)))
        else:
            self._rng.uniform()
        if self._paused and self._rng.random() < 0.6:
            return TrialSuggestion.resume_suggestion(trial_id=self._paused.pop(0))
        if self._configurations is not None:
            choice = self._configurations[self._rng.integers(len(self._configurations))]
            return TrialSuggestion.start_suggestion(dict(choice))
        (config,) = self._encoding.decode(self._encoding.sample(1, self._rng))
        return TrialSuggestion.start_suggestion(config)

    def on_trial_result(self, trial: Trial, result: dict[str, Any]) -> str:
        level = int(result["repeats"])
        if level == self._stop_at:
            return SchedulerDecision.STOP
        if level in self._pause_at:
            self._paused.append(trial.trial_id)
            return SchedulerDecision.PAUSE
        return SchedulerDecision.CONTINUE

    def metric_names(self) -> list[str]:
        return ["metric_perplexity", "metric_latency"]

    def metric_mode(self) -> str:
        return "min"


class Trace(TunerCallback):
    """Records every result in the order in which the scheduler sees it."""

    def __init__(self) -> None:
        self.results: list[tuple] = []
        self.starts: list[tuple[str, int]] = []

    def on_start_trial(self, trial: Trial) -> None:
        self.starts.append(("start", trial.trial_id))

    def on_resume_trial(self, trial: Trial) -> None:
        self.starts.append(("resume", trial.trial_id))

    def on_trial_result(self, trial, status, result, decision) -> None:
        self.results.append((trial.trial_id, dict(trial.config), dict(result), decision))

    def of(self, trial_id: int) -> list[dict[str, Any]]:
        return [result for t, _, result, _ in self.results if t == trial_id]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Trace) and vars(self) == vars(other)


def run(
    backend,
    scheduler=None,
    *,
    workers: int = 1,
    trials: int = 40,
    wait: bool = True,
    **criterion: Any,
) -> Trace:
    """Run the tuner loop and return the trace."""
    trace = Trace()
    Tuner(
        trial_backend=backend,
        scheduler=scheduler or Random(),
        stop_criterion=StoppingCriterion(**(criterion or {"max_num_trials_started": trials})),
        n_workers=workers,
        sleep_time=0,
        save_tuner=False,
        wait_trial_completion_when_stopping=wait,
        callbacks=[SimulatorCallback(), trace],
    ).run()
    assert trace.results
    return trace


def blackbox(fidelity: str = "single", **choices: Any) -> HWGPTBlackbox:
    return HWGPTBlackbox(embedded("s"), "rtx2080", fidelity=fidelity, **choices)


def check_values(backend: SimulatedBackend, trace: Trace) -> None:
    """Every result is what the blackbox says for the trial's repeat."""
    box = backend.blackbox
    for trial_id, config, result, _ in trace.results:
        expected = box(config, result["repeats"], backend.repeat_of(trial_id))
        for name in box.objectives_names:
            if name != ELAPSED:  # after a pause Syne Tune counts it from the resume
                assert result[name] == expected[name]


# -- the same trace ----------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4, 64])
@pytest.mark.parametrize("kind", ["single", "repeats", "ties"])
def test_the_same_seed_gives_the_same_trace_whatever_the_scheduler_takes(workers, kind):
    choices: dict[str, Any] = {}
    scheduler: dict[str, Any] = {}
    if kind == "repeats":
        choices, scheduler = {"fidelity": "repeats"}, {"pause_at": (3, 7), "stop_at": 9}
    elif kind == "ties":  # every trial takes the same time
        choices = {"cost_model": CostModel(5.0, 0, 0, 0, 0)}
    trials = 80 if workers == 64 else 30
    traces = [
        run(
            SimulatedBackend(blackbox(**choices), seed=3),
            Random(seed=1, delay=delay, **scheduler),
            workers=workers,
            trials=trials,
        )
        for delay in (0.0, 0.0, 0.004)
    ]
    assert traces[0] == traces[1]
    assert traces[0] == traces[2]
    assert len({t for t, *_ in traces[0].results}) >= trials
    other = run(
        SimulatedBackend(blackbox(**choices), seed=4),
        Random(seed=1, **scheduler),
        workers=workers,
        trials=trials,
    )
    assert other != traces[0]  # the seed of the measurements counts


def test_asha_of_syne_tune_gives_the_same_trace_twice():
    traces = []
    for _ in range(2):
        np.random.seed(0)
        box = blackbox("repeats")
        scheduler = AsynchronousSuccessiveHalving(
            box.configuration_space, metric="metric_latency", time_attr="repeats",
            max_t=10, grace_period=1, random_seed=5,
        )  # fmt: skip
        traces.append(run(SimulatedBackend(box, seed=2), scheduler, workers=4, trials=25))
    assert traces[0] == traces[1]
    levels = [len(traces[0].of(t)) for t in range(25)]
    assert min(levels) < 10  # some were stopped early
    check_values(SimulatedBackend(blackbox("repeats"), seed=2), traces[0])


# -- simulated time is the time of the evaluations ---------------------------------------------


def test_one_worker_takes_the_sum_of_the_elapsed_times():
    backend = SimulatedBackend(blackbox())
    trace = run(backend, trials=30)
    total = 0.0
    for i, (trial_id, config, result, _) in enumerate(trace.results):
        assert trial_id == i
        latency = backend.blackbox.expected_values([config])[0, LATENCY]
        assert result[ELAPSED] == backend.blackbox.cost_model.seconds(latency)
        total += result[ELAPSED]
        assert result[ST_TUNER_TIME] == total
    assert backend.time_keeper.time() == total
    check_values(backend, trace)


@pytest.mark.parametrize("workers", [2, 4, 64])
def test_workers_take_the_next_trial_the_moment_they_are_free(workers):
    trials = max(30, 2 * workers)
    trace = run(SimulatedBackend(blackbox()), workers=workers, trials=trials)
    elapsed = {trial_id: result[ELAPSED] for trial_id, _, result, _ in trace.results}
    assert sorted(elapsed) == list(range(len(elapsed)))
    free = [0.0] * workers
    ends = {}
    for trial_id in range(len(elapsed)):
        ends[trial_id] = heapq.heappop(free) + elapsed[trial_id]
        heapq.heappush(free, ends[trial_id])
    assert {t: result[ST_TUNER_TIME] for t, _, result, _ in trace.results} == ends
    times = [result[ST_TUNER_TIME] for _, _, result, _ in trace.results]
    assert times == sorted(times)
    assert [t for _, t in trace.starts] == sorted(elapsed)


def test_levels_arrive_when_they_are_measured():
    trace = run(SimulatedBackend(blackbox("repeats")), trials=5)
    start = 0.0
    for trial_id in range(5):
        results = trace.of(trial_id)
        assert [r["repeats"] for r in results] == list(range(1, 11))
        for result in results:
            assert result[ST_TUNER_TIME] == start + result[ELAPSED]
        start = results[-1][ST_TUNER_TIME]


def test_the_budget_is_simulated_time():
    trace = run(SimulatedBackend(blackbox()), workers=4, wait=False, max_wallclock_time=600.0)
    last = max(result[ST_TUNER_TIME] for _, _, result, _ in trace.results)
    assert 600 < last < 700


# -- stop, pause and resume --------------------------------------------------------------------


def test_a_stopped_trial_frees_its_worker_at_once():
    backend = SimulatedBackend(blackbox("repeats"))
    trace = run(backend, Random(stop_at=4), trials=8)
    now = 0.0
    for trial_id in range(8):
        results = trace.of(trial_id)
        assert [r["repeats"] for r in results] == [1, 2, 3, 4]
        now += results[-1][ELAPSED]
        assert results[-1][ST_TUNER_TIME] == now
    check_values(backend, trace)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_resumed_trial_goes_on_where_it_paused(workers):
    backend = SimulatedBackend(blackbox("repeats"), seed=6)
    trace = run(backend, Random(pause_at=(3, 7)), workers=workers, max_num_evaluations=250)
    assert {kind for kind, _ in trace.starts} == {"start", "resume"}
    complete = 0
    for trial_id in {t for t, *_ in trace.results}:
        levels = [r["repeats"] for r in trace.of(trial_id)]
        assert levels == list(range(1, len(levels) + 1))
        complete += len(levels) == 10
    assert complete > 5
    check_values(backend, trace)  # the same repeat before and after the pause


def test_pausing_costs_one_worker_nothing():
    backend = SimulatedBackend(blackbox("repeats"))
    trace = run(backend, Random(pause_at=(5,)), trials=12)
    spent = 0.0
    for _, config, result, decision in trace.results:
        if decision == SchedulerDecision.PAUSE:
            spent += backend.blackbox(config, 5)[ELAPSED]
        elif result["repeats"] == 10:
            spent += backend.blackbox(config, 10)[ELAPSED] - backend.blackbox(config, 5)[ELAPSED]
    assert trace.results[-1][2][ST_TUNER_TIME] == pytest.approx(spent, rel=1e-12)


def test_without_checkpoints_a_resumed_trial_starts_again():
    backend = SimulatedBackend(blackbox("repeats"), support_checkpointing=False)
    trace = run(backend, Random(pause_at=(3,)), max_num_evaluations=60)
    resumed = [t for kind, t in trace.starts if kind == "resume"]
    levels = [r["repeats"] for r in trace.of(resumed[0])]
    assert levels[:6] == [1, 2, 3, 1, 2, 3]


# -- measurements ------------------------------------------------------------------------------


def test_the_repeat_of_a_trial_is_a_function_of_seed_and_trial():
    repeats = {
        (seed, trial): SimulatedBackend(blackbox(), seed=seed).repeat_of(trial)
        for seed in (0, 1, 2**61)
        for trial in range(50)
    }
    assert len(set(repeats.values())) == len(repeats)
    for (seed, trial), repeat in list(repeats.items())[::7]:
        assert SimulatedBackend(blackbox("repeats"), seed=seed).repeat_of(trial) == repeat
    assert all(0 <= repeat < 2**32 for repeat in repeats.values())


def test_the_same_architecture_is_measured_anew_by_every_trial():
    box = blackbox()
    config = box.encoding.decode(box.encoding.sample(1, np.random.default_rng(0)))[0]
    trace = run(SimulatedBackend(box), Random(configurations=[config]), trials=20)
    assert len({r["metric_latency"] for _, _, r, _ in trace.results}) == len(trace.results)
    assert len({r["metric_perplexity"] for _, _, r, _ in trace.results}) == 1


def test_a_table_is_measured_within_its_repeats(artifacts):
    write_table(artifacts / "hwgpt-s-tabular")
    box = load_blackbox("hwgpt-s-tabular")["rtx2080"]
    backend = SimulatedBackend(box, seed=1)
    assert {backend.repeat_of(t) for t in range(200)} == set(range(6))
    trace = run(backend, Random(configurations=box.all_configurations()), workers=4)
    check_values(backend, trace)


@pytest.mark.parametrize("noise", [True, False])
def test_all_devices_at_once_in_simulated_time(noise):
    box = HWGPTBlackbox(embedded("s"), "all", noise=noise)
    backend = SimulatedBackend(box, elapsed_time_attr="metric_elapsed_time_a40")
    trace = run(backend, trials=5)
    total = sum(box(config)[0, box.objectives_names.index("metric_elapsed_time_a40")]
                for _, config, _, _ in trace.results)  # fmt: skip
    assert trace.results[-1][2][ST_TUNER_TIME] == pytest.approx(total, rel=1e-14)


def test_a_blackbox_of_syne_tune_runs_as_well():
    def evaluate(configuration, fidelity, seed):
        return np.array([[configuration["x"], 2.0 * k] for k in (1, 2, 3)])

    class WithLevels(type(from_function({"x": uniform(0, 1)}, evaluate))):  # type: ignore[misc]
        fidelity_values = np.array([1, 2, 3])

    box = WithLevels()
    box.fidelity_space, box.objectives_names = {"repeats": randint(1, 3)}, ["loss", "time"]
    trace = run(
        SimulatedBackend(box, elapsed_time_attr="time"),
        Random(configurations=[{"x": 0.5}]),
        trials=4,
    )
    assert len(trace.results) == 3 * len(trace.starts)
    times = [2.0 * k for k in range(1, len(trace.results) + 1)]
    assert [r[ST_TUNER_TIME] for _, _, r, _ in trace.results] == times


# -- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [-1, 1.5, None, "0", True, 2**62])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(InputError, match=f"seed is {seed!r}"):
        SimulatedBackend(blackbox(), seed=seed)


def test_an_elapsed_time_that_the_blackbox_lacks_is_refused():
    with pytest.raises(InputError, match="elapsed_time_attr is 'runtime'; the blackbox has"):
        SimulatedBackend(blackbox(), elapsed_time_attr="runtime")


# -- the backends of Syne Tune, unmodified -----------------------------------------------------


@pytest.mark.parametrize("seed", [0, None])
def test_the_repository_backend_runs_our_blackboxes(seed):
    backend = BlackboxRepositoryBackend("hwgpt-s", ELAPSED, dataset="rtx2080", seed=seed)
    trace = run(backend, workers=4, trials=12)
    box = load_blackbox("hwgpt-s")["rtx2080"]
    noise = 0
    for _, config, result, _ in trace.results:
        expected = box.expected_values([config])[0]
        assert result["metric_perplexity"] == expected[0]
        assert result[ELAPSED] == expected[-1]
        noise += result["metric_latency"] != expected[LATENCY]
        if seed is not None:
            assert result["metric_latency"] == box(config, 1, seed)["metric_latency"]
    assert noise == len(trace.results) >= 12


@pytest.mark.parametrize("workers", [1, 4])
def test_the_repository_backend_pauses_and_resumes_with_repeats(workers):
    backend = BlackboxRepositoryBackend("hwgpt-s-repeats", ELAPSED, dataset="a100", seed=5)
    trace = run(backend, Random(pause_at=(3, 7)), workers=workers, max_num_evaluations=150)
    box = load_blackbox("hwgpt-s-repeats")["a100"]
    assert ("resume", 0) in trace.starts
    for trial_id in {t for t, *_ in trace.results}:
        levels = [r["repeats"] for r in trace.of(trial_id)]
        assert levels[:3] == [1, 2, 3]
        # no trial starts again; Syne Tune may deliver a late result of before the pause twice
        assert all(levels.count(level) == 1 for level in (1, 2, 3))
    for _, config, result, _ in trace.results:
        expected = box(config, result["repeats"], 5)
        assert result["metric_latency"] == expected["metric_latency"]


def test_the_repository_backend_without_a_seed_draws_once_per_trial_across_pauses(monkeypatch):
    backend = BlackboxRepositoryBackend("hwgpt-s-repeats", ELAPSED, dataset="a100")
    drawn: list[int | None] = []
    draw = backend.blackbox._repeat
    monkeypatch.setattr(
        backend.blackbox, "_repeat", lambda *asked: drawn.append(draw(*asked)) or drawn[-1]
    )
    trace = run(backend, Random(pause_at=(3, 7)), max_num_evaluations=150)
    assert any(kind == "resume" for kind, _ in trace.starts)
    assert len(set(drawn)) <= len({t for kind, t in trace.starts if kind == "start"})


def test_the_users_backend_of_syne_tune_runs_our_blackboxes():
    box = blackbox()
    trace = run(UserBlackboxBackend(box, ELAPSED, seed=2), workers=2, trials=6)
    for _, config, result, _ in trace.results:
        assert result["metric_energy"] == box(config, 1, 2)["metric_energy"]


def test_the_repository_backend_runs_a_table(artifacts):
    write_table(artifacts / "hwgpt-s-tabular")
    backend = BlackboxRepositoryBackend("hwgpt-s-tabular", ELAPSED, dataset="a100")
    box = backend.blackbox
    configurations = box.encoding.decode(box.table.matrix)
    trace = run(backend, Random(configurations=configurations), workers=2, trials=8)
    for _, config, result, _ in trace.results:
        measured = [box(config, 1, seed)["metric_latency"] for seed in range(6)]
        assert result["metric_latency"] in measured


def test_a_tuner_with_our_backend_is_saved_and_loaded(tmp_path):
    import dill

    backend = SimulatedBackend(blackbox("repeats"), seed=9)
    run(backend, trials=3)
    copy = dill.loads(dill.dumps(backend))
    assert copy.repeat_of(3) == backend.repeat_of(3)
    assert copy.time_keeper.real_time_since_last_recent_exit() == 0.0
    config = copy.blackbox.encoding.decode_one([0] * 27)
    np.testing.assert_array_equal(
        copy.blackbox(config, seed=1), blackbox("repeats")(config, seed=1)
    )
