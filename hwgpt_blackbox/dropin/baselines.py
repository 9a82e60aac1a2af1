"""``run_baseline`` and ``plot_eaf``: the published experiments, on our harness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.dropin.names import METRIC_NAMES, OF_HARDWARE, PER_DEVICE, as_names
from hwgpt_blackbox.dropin.units import (
    OURS,
    PUBLISHED,
    PUBLISHED_COUNTS,
    check_unit_system,
    predicted_energy_unit,
)
from hwgpt_blackbox.errors import InputError, unknown
from hwgpt_blackbox.storage.spaces import find_space

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hwgpt_blackbox.experiments.results.run_file import StoredRun
    from hwgpt_blackbox.experiments.runs import RunSettings

RENAMED = {"MOREA": "RE"}
"""Published name of a method to ours, where they differ."""

TRIALS = 500

CONFIGS, TIMES, PERPLEXITY, HARDWARE = "configs", "runtime_traj", "perplexity", "hw_metric"
"""Keys of the published results."""


@dataclass(frozen=True, eq=False)
class BaselineRun(Mapping[str, list[Any]]):
    """One run, read as the published results are.

    ``configs`` (dicts of hyperparameters), ``runtime_traj`` (simulated seconds at which each trial
    ended), ``perplexity`` and ``hw_metric`` (with several: ``hw_metric_1`` …) hold an entry per
    trial, in the order in which trials ended: what the method saw. ``frame`` has expected values
    too.

    :param stored: the run as the harness keeps it
    :param unit_system: of the lists; ``published``: the entries of objectives are arrays of one
        value, as in the published results, in the units of the published ``query``
    """

    stored: StoredRun
    unit_system: str = OURS

    @property
    def run(self) -> RunSettings:
        """Its settings."""
        return self.stored.run

    @property
    def frame(self) -> pd.DataFrame:
        """A row per trial: ``trial_id``, ``simulated_time`` and, with these prefixes, ``config_``
        hyperparameters, ``measured_`` and ``expected_`` objectives.
        """
        return self.stored.frame

    @cached_property
    def _lists(self) -> dict[str, list[Any]]:
        from hwgpt_blackbox.experiments.runs import CONFIG, MEASURED, SIMULATED_TIME

        frame, (_, *targets) = self.frame, self.run.problem.targets
        chosen = frame[[name for name in self.run.columns() if name.startswith(CONFIG)]]
        chosen = chosen.rename(columns=lambda name: name.removeprefix(CONFIG))
        configurations: list[Any] = chosen.to_dict(orient="records")
        several = len(targets) > 1
        keys = [f"{HARDWARE}_{i + 1}" if several else HARDWARE for i in range(len(targets))]
        return {
            CONFIGS: configurations,
            TIMES: frame[SIMULATED_TIME].tolist(),
            **{
                key: self._entries(frame[MEASURED + target].to_numpy(), target, configurations)
                for key, target in zip([PERPLEXITY, *keys], [PERPLEXITY, *targets], strict=True)
            },
        }

    def _entries(
        self, values: NDArray[Any], target: str, configurations: Sequence[Mapping[str, Any]]
    ) -> list[Any]:
        """What the method saw of one objective, in the unit system."""
        if self.unit_system != PUBLISHED:
            return values.tolist()  # type: ignore[no-any-return]
        metric, _, device = target.partition("@")
        if metric == "energy":
            values = values / predicted_energy_unit(device)
        elif metric in PUBLISHED_COUNTS:
            encoding = Encoding(find_space(self.run.problem.space))
            matrix = encoding.encode(configurations)
            biased = np.ones(len(matrix), dtype=np.bool_)  # a bias is text in published runs
            values = PUBLISHED_COUNTS[metric](encoding, matrix, biased)
        return [np.array([value]) for value in values.tolist()]

    def __getitem__(self, key: str) -> list[Any]:
        return self._lists[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)


def run_baseline(
    method: str = "RS",
    search_space: str = "s",
    device: str | Sequence[str] = "v100",
    objective: str | Sequence[str] = "energies",
    random_seed: int | Sequence[int] = 0,
    *,
    n_workers: int = 1,
    trials: int = TRIALS,
    max_wallclock_time: float | None = None,
    noise: bool = True,
    out: str | Path | None = None,
    unit_system: str = OURS,
) -> Any:
    """Search a space for low perplexity and a low hardware metric, in simulated time.

    :param method: ``RS``, ``MOREA``, ``LS``, ``NSGA2``, ``LSBO``, ``RSBO``, ``MOASHA``, ``EHVI``;
        or what ``hwgpt-blackbox run --methods`` takes
    :param search_space: ``s``, ``m`` or ``l``
    :param device: of the objective; with several objectives one each, or one for all
    :param objective: ``latencies``, ``energies``, ``float16_memory``, ``bfloat16_memory``,
        ``flops`` or ``params``; or several
    :param random_seed: one, or several
    :param n_workers: evaluations at a time, simulated
    :param trials: architectures to evaluate
    :param max_wallclock_time: end of the search in simulated seconds, if earlier
    :param noise: whether the method sees measurements; else expected values
    :param out: folder of results to keep and to complete (``hwgpt-blackbox report`` draws it);
        default: nothing is written
    :param unit_system: ``ours``: natural units; ``published``: what the published scripts read
    :return: a :class:`BaselineRun`; with several seeds a list of them
    :raises InputError: an unknown name, or a number out of range
    :raises MissingExtraError: what the method needs is not installed
    :raises OutputError: ``out`` cannot be written
    """
    from hwgpt_blackbox.experiments.problems import Problem
    from hwgpt_blackbox.experiments.runs import RunSettings

    check_unit_system(unit_system)
    several = not isinstance(random_seed, int)
    seeds = list(random_seed) if isinstance(random_seed, Sequence) else [random_seed]
    if not seeds:
        raise InputError("random_seed is an empty list; give one seed or more")
    limit = _check_time(max_wallclock_time)
    targets, evaluating = _objectives(objective, device)
    problem = Problem.parse(search_space, [PERPLEXITY, *targets], device=evaluating)
    runs = [
        RunSettings(problem, RENAMED.get(method, method), seed, trials, n_workers, noise)
        for seed in seeds
    ]
    found = [BaselineRun(_within(stored, limit), unit_system) for stored in _make(runs, out)]
    return found if several else found[0]


def plot_eaf(
    results: BaselineRun | Sequence[BaselineRun] | str | Path,
    *,
    problem: str | None = None,
    path: str | Path | None = None,
) -> Figure:
    """Draw the empirical attainment surfaces of each method: 25, 50 and 75 % of its runs.

    Of expected values, natural units.

    :param results: what :func:`run_baseline` returned, of several methods and seeds joined into
        one list; or a folder of results
    :param problem: which one to draw, if there are several: ``s-perplexity-energy@v100``
    :param path: where to save the figure too, ending in ``.svg``, ``.pdf`` or ``.png``
    :return: the figure, known to no global state
    :raises InputError: no results, several problems, or an unknown one, or format
    :raises MissingExtraError: matplotlib or moocore is not installed
    :raises OutputError: the figure cannot be written
    """
    from hwgpt_blackbox.experiments.report.attainment import attainment_table, draw_attainment
    from hwgpt_blackbox.experiments.results.scores import labelled
    from hwgpt_blackbox.plotting.style import FORMATS, save_figure

    target = None if path is None else Path(path)
    if target is not None and target.suffix[1:] not in FORMATS:
        raise InputError(f"path is {str(path)!r}; expected one that ends in .{', .'.join(FORMATS)}")
    runs = _stored_runs(results)
    problems = {stored.run.problem.name: stored.run.problem for stored in runs}
    if problem is not None and problem not in problems:
        raise unknown("problem", problem, problems)
    if problem is None and len(problems) > 1:
        raise InputError(
            f"the results are of {len(problems)} problems; draw one: problem=, of "
            f"{', '.join(problems)}"
        )
    chosen = problems[problem or next(iter(problems))]
    mine = labelled([stored for stored in runs if stored.run.problem.name == chosen.name])
    figure = draw_attainment(chosen, attainment_table(chosen, mine))
    if target is not None:
        save_figure(figure, target.with_suffix(""), [target.suffix[1:]])
    return figure


def _objectives(objective: Any, device: Any) -> tuple[list[str], str | None]:
    """The objectives beside perplexity, and the device that evaluates if they name none."""
    names, devices = _listed("objective", objective), _listed("device", device)
    for name in names:
        as_names("objective", name, OF_HARDWARE)
    if len(devices) == 1:
        devices *= len(names)
    if len(devices) != len(names):
        raise InputError(
            f"{len(devices)} devices for {len(names)} objectives; name one each, or one for all"
        )
    targets = [
        METRIC_NAMES[name] + (f"@{where}" if name in PER_DEVICE else "")
        for name, where in zip(names, devices, strict=True)
    ]
    return targets, None if any("@" in target for target in targets) else devices[0]


def _listed(what: str, value: Any) -> list[Any]:
    """One or several as a list."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, Sequence) or not found:
        raise InputError(f"{what} is {value!r}; expected a name or a list of names")
    return list(found)


def _check_time(limit: Any) -> float:
    if limit is None:
        return float("inf")
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not limit > 0:
        raise InputError(f"max_wallclock_time is {limit!r}; expected None or seconds above 0")
    return float(limit)


def _make(runs: Sequence[RunSettings], out: str | Path | None) -> Iterator[StoredRun]:
    """Make the runs, in memory or in a folder that keeps them."""
    from hwgpt_blackbox.experiments.grid_execution import make_runs
    from hwgpt_blackbox.experiments.results.provenance import provenance
    from hwgpt_blackbox.experiments.results.run_file import StoredRun
    from hwgpt_blackbox.experiments.results.store import ResultStore, read
    from hwgpt_blackbox.experiments.runs import execute

    if out is None:
        for run in runs:
            yield StoredRun(run, provenance(run), {}, Path(run.name), execute(run))
        return
    store = ResultStore(out)
    store.prepare()
    make_runs(runs, store)
    for run in runs:
        yield read(store.path(run))


def _within(stored: StoredRun, limit: float) -> StoredRun:
    """The run without trials that ended later: what ended before did not depend on them."""
    from dataclasses import replace

    from hwgpt_blackbox.experiments.runs import SIMULATED_TIME

    frame = stored.frame[stored.frame[SIMULATED_TIME] <= limit]
    if not len(frame):
        raise InputError(
            f"max_wallclock_time is {limit:g} s, but the first trial ended after "
            f"{stored.frame[SIMULATED_TIME].min():.1f} s; allow more"
        )
    return replace(stored, frame=frame.reset_index(drop=True))


def _stored_runs(results: Any) -> list[StoredRun]:
    """The runs of what the user has: run objects, or a folder of results."""
    if isinstance(results, str | Path):
        from hwgpt_blackbox.experiments.grid_execution import read_all
        from hwgpt_blackbox.experiments.results.store import ResultStore

        runs = read_all(ResultStore(results))
    else:
        given = [results] if isinstance(results, BaselineRun) else results
        if not isinstance(given, Sequence):
            raise InputError(f"results is {results!r}; expected what run_baseline returned")
        for run in given:
            if not isinstance(run, BaselineRun):
                raise InputError(
                    f"results hold a {type(run).__name__}; expected what run_baseline returned, "
                    "joined into one list"
                )
        runs = [run.stored for run in given]
    if not runs:
        raise InputError(f"there are no results in {results!r}; run_baseline makes some")
    return runs
