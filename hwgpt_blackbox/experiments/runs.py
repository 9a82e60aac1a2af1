"""One run: a method searches a problem in simulated time, with a seed."""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd
from syne_tune import Tuner
from syne_tune.constants import ST_TUNER_TIME

from hwgpt_blackbox.blackboxes.simulated_backend import SimulatedBackend
from hwgpt_blackbox.blackboxes.surrogate_blackbox import FIDELITIES, FIDELITY, HWGPTBlackbox
from hwgpt_blackbox.domain.evaluation_cost import CostModel
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.experiments.lean_tuner import (
    EnoughTrials,
    LeanStatus,
    Recorder,
    SilentLogger,
    problem_blackbox,
)
from hwgpt_blackbox.experiments.methods import Factory, file_part, get_method, own_method
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.models.surrogate import Surrogate
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.locations import MANIFEST, find
from hwgpt_blackbox.storage.manifest import sha256
from hwgpt_blackbox.storage.spaces import find_space
from hwgpt_blackbox.storage.surrogates import (
    counts_of,
    has_models,
    read_surrogate,
    with_own_devices,
)

TRIAL_ID = "trial_id"
"""Column of the results: number of the trial."""

SIMULATED_TIME = "simulated_time"
"""Column of the results: seconds from the start to the end of the trial."""

CONFIG = "config_"
"""Prefix of the columns of hyperparameters."""

MEASURED = "measured_"
"""Prefix of the columns of objectives as the method saw them."""

EXPECTED = "expected_"
"""Prefix of the columns of expected objectives."""

MAX_TRIALS, MAX_SEED = 10_000_000, 2**32 - 1


class MethodField:
    """A field that takes the name of a method or a function, and reads as the name."""

    @overload
    def __get__(self, run: None, owner: Any) -> MethodField: ...

    @overload
    def __get__(self, run: object, owner: Any) -> str: ...

    def __get__(self, run: object | None, owner: Any) -> Any:
        """The name."""
        if run is None:
            raise AttributeError("method")  # so that the field has no default
        return vars(run)["method"]

    def __set__(self, run: object, method: str | Factory) -> None:
        vars(run)["method"] = method if isinstance(method, str) else own_method(method)


@dataclass(frozen=True)
class RunSettings:
    """Everything that determines the results of a run.

    :param problem: what is optimised
    :param method: a key of ``hwgpt_blackbox.optimizers.METHODS``, ``package.module:factory``, or
        the factory itself, which is then called ``module:factory``
    :param seed: of the method and of the measurements, 0 to 2^32 - 1
    :param trials: how many are recorded
    :param workers: evaluations at a time, in simulated time
    :param noise: whether the method sees measurements; else expected values
    :param cost_model: how long an evaluation takes
    :raises InputError: a number out of range, or a factory without a name
    """

    problem: Problem
    method: MethodField = MethodField()
    seed: int = 0
    trials: int = 1000
    workers: int = 4
    noise: bool = True
    cost_model: CostModel = field(default_factory=CostModel)

    def __post_init__(self) -> None:
        ranges = {"seed": (0, MAX_SEED), "trials": (1, MAX_TRIALS), "workers": (1, 100_000)}
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise InputError(f"{name} is {value!r}; expected an integer from {low} to {high}")

    @property
    def name(self) -> str:
        """Name of the run, fit for file names; runs of one experiment differ in it."""
        return f"{self.problem.name}-{file_part(self.method)}-seed{self.seed}"

    def settings(self) -> dict[str, Any]:
        """The settings as JSON values: two runs with equal settings have equal results."""
        return {
            "space": self.problem.space,
            "objectives": list(self.problem.targets),
            "devices": list(self.problem.devices),
            "method": self.method,
            "seed": self.seed,
            "trials": self.trials,
            "workers": self.workers,
            "noise": self.noise,
            "cost_model": asdict(self.cost_model),
        }

    def columns(self) -> list[str]:
        """Columns of the results, in order."""
        return [
            TRIAL_ID,
            SIMULATED_TIME,
            *(CONFIG + name for name in find_space(self.problem.space).choices),
            *(MEASURED + target for target in self.problem.targets),
            *self.expected_columns,
        ]

    @property
    def expected_columns(self) -> list[str]:
        """Columns of the results that hold expected objectives, in their order."""
        return [EXPECTED + target for target in self.problem.targets]


def execute(run: RunSettings, progress: Callable[[int], None] | None = None) -> pd.DataFrame:
    """Run a search in simulated time.

    The results depend on the settings, the artifact and the versions of the libraries alone.
    Nothing is printed, and nothing is written outside a temporary folder.

    :param run: what to run
    :param progress: called with 1 whenever a trial has ended
    :return: exactly ``run.trials`` rows in the order in which the trials ended, columns
        ``trial_id``, ``simulated_time`` (s since the start, at the end of the trial),
        ``config_<hyperparameter>``, ``measured_<objective>`` (what the method saw) and
        ``expected_<objective>``, natural units
    :raises InputError: unknown method, or one that suggests too few architectures
    :raises MissingExtraError: what the method needs is not installed
    """
    method = get_method(run.method)
    options = {"time_attr": FIDELITY, "max_t": FIDELITIES[FIDELITY]} if method.over_fidelity else {}
    space = find_space(run.problem.space)
    models = counts_of(space)
    if has_models(space):
        folder = find(artifact_name(space.name)).path
        models = _surrogate(folder, sha256(folder / MANIFEST))
    blackbox = problem_blackbox(
        run.problem,
        with_own_devices(models),
        noise=run.noise,
        fidelity=FIDELITY if options else "single",
        cost_model=run.cost_model,
    )
    recorder = search(run, blackbox, options, progress)
    return _results(run, blackbox, recorder)


def search(
    run: RunSettings,
    blackbox: HWGPTBlackbox,
    options: Mapping[str, Any],
    progress: Callable[[int], None] | None = None,
) -> Recorder:
    """Run the tuner on a blackbox.

    :param blackbox: answers with the problem's attributes and elapsed time
    :param options: options of the method
    :return: what was recorded: at least ``run.trials`` trials
    :raises InputError: the method suggests too few architectures
    """
    method = get_method(run.method)
    recorder = Recorder(progress)
    with _one_thread(), tempfile.TemporaryDirectory(prefix="hwgpt-run-") as folder:
        scheduler = method.make(
            blackbox.configuration_space,
            list(run.problem.attributes),
            random_seed=run.seed,
            canonical_form=blackbox.canonical_form,
            **options,
        )
        tuner = Tuner(
            trial_backend=SimulatedBackend(blackbox, seed=run.seed),
            scheduler=scheduler,
            stop_criterion=EnoughTrials(recorder, run.trials),
            n_workers=run.workers,
            sleep_time=0.0,
            callbacks=[recorder],
            tuner_name="run",
            suffix_tuner_name=False,
            save_tuner=False,
            trial_backend_path=folder,
            output_logger=SilentLogger(),
        )
        tuner.tuner_path = Path(folder)
        tuner.tuning_status = LeanStatus()
        _run(tuner)
    if len(recorder.ended) < run.trials:
        raise InputError(
            f"method {run.method} ended after {len(recorder.ended)} of {run.trials} trials: it "
            "had nothing more to suggest; ask for fewer trials"
        )
    return recorder


def _run(tuner: Tuner) -> None:
    """Run the tuner, and raise the first error, not one that follows from it.

    The tuner stops all trials at its end. After an error the backend may be unable to.
    """
    try:
        tuner.run()
    except Exception as error:
        behind: BaseException | None = error
        while isinstance(behind, Exception):
            behind = behind.__context__
        if behind is None:
            raise
        raise behind from error


@functools.lru_cache(maxsize=3)
def _surrogate(folder: Path, digest: str) -> Surrogate:
    """The surrogate of an artifact, read once by a process unless its manifest changes."""
    return read_surrogate(folder)


def _results(run: RunSettings, blackbox: HWGPTBlackbox, recorder: Recorder) -> pd.DataFrame:
    """The table of a run."""
    ended = list(recorder.ended.items())[: run.trials]
    encoding, attributes = blackbox.encoding, run.problem.attributes
    matrix = encoding.encode(
        [{name: config[name] for name in encoding.names} for _, (config, _) in ended]
    )
    chosen = [blackbox.objectives_names.index(name) for name in attributes]
    expected = blackbox.expected_values(matrix)[:, chosen]
    choices = encoding.space.choices.values()
    columns: list[Any] = [
        np.array([trial_id for trial_id, _ in ended], dtype=np.int64),
        np.array([result[ST_TUNER_TIME] for _, (_, result) in ended], dtype=np.float64),
        *(np.array(values).take(matrix[:, j]) for j, values in enumerate(choices)),
        *(np.array([float(r[name]) for _, (_, r) in ended]) for name in attributes),
        *np.ascontiguousarray(expected.T),
    ]
    return pd.DataFrame(dict(zip(run.columns(), columns, strict=True)))


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: sums must not depend on how many cores are free.

    Small matrices gain nothing from more: threads that wait for work cost NSGA-II ten times the
    processor time on two cores. Parallel runs take the other cores.
    """
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    with threadpool_limits(1):
        if torch is not None:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch is not None:
                torch.set_num_threads(before)
