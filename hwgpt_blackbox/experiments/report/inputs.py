"""What a report is made of: runs of our stores and of Syne Tune's own experiment folders."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hwgpt_blackbox.domain.objectives import PUBLISHED, check_device
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES
from hwgpt_blackbox.errors import (
    DataError,
    HWGPTError,
    InputError,
    MissingArtifactError,
    printable,
)
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.results.files import BROKEN
from hwgpt_blackbox.experiments.results.provenance import artifact_digests, changed
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.results.store import RUNS, ResultStore, read
from hwgpt_blackbox.experiments.results.syne_tune_folder import (
    METADATA_FILE,
    UNKNOWN_SEED,
    read_experiment,
)
from hwgpt_blackbox.storage.spaces import own_spaces
from hwgpt_blackbox.storage.surrogates import measured_in, workload_notes


@dataclass(frozen=True)
class Results:
    """Runs to report on.

    :param runs: sorted by problem, method and seed; each with every column of its frame
    :param notes: what a reader must know of them, for people: files left out, other artifacts …
    """

    runs: tuple[StoredRun, ...]
    notes: tuple[str, ...]

    @property
    def problems(self) -> list[Problem]:
        """The problems, sorted by name."""
        found = {result.run.problem.name: result.run.problem for result in self.runs}
        return [found[name] for name in sorted(found)]

    @property
    def methods(self) -> list[str]:
        """The methods, sorted."""
        return sorted({result.run.method for result in self.runs})

    def of(self, problem: Problem) -> list[StoredRun]:
        """The runs of one problem."""
        return [result for result in self.runs if result.run.problem.name == problem.name]


def read_results(folders: Sequence[Path | str], *, device: str | None = None) -> Results:
    """Read folders of results: ours, an experiment folder of Syne Tune, or a folder of such.

    A file that is not sound is named in the notes and left as it is.

    :param folders: one or more; results of ours may be at a URL
    :param device: where experiments of Syne Tune were evaluated, if their metadata do not say
    :return: runs of any problems, in natural units
    :raises InputError: a folder or the device does not exist, or no sound run is found; the message
        says why
    """
    if device is not None:
        spaces = (*MEASURED_SPACES, *own_spaces())
        known = {k: v for space in spaces for k, v in measured_in(space).devices.items()}
        check_device(device, PUBLISHED.beside(known))
    found: list[StoredRun] = []
    notes: list[str] = []
    for folder in folders:
        store = ResultStore(folder)
        if isinstance(store.folder, Path) and not store.folder.is_dir():
            raise InputError(f"{folder} is no folder; name one that `hwgpt-blackbox run` made")
        found += _ours(store, notes)
        if isinstance(store.folder, Path):
            found += _syne_tunes(store.folder, device, notes)
    if not found:
        reasons = "".join(f"\n  {note}" for note in notes)
        raise InputError(
            printable(
                f"no results in {', '.join(map(str, folders))}; make some with: hwgpt-blackbox run "
                f"--out {folders[0] if folders else 'results'}{reasons}"
            )
        )
    runs = _same_bounds(_distinct(found, notes), notes)
    runs.sort(key=lambda r: (r.run.problem.name, r.run.method, r.run.seed))
    notes += _warnings(runs)
    return Results(tuple(runs), tuple(map(printable, notes)))


def _ours(store: ResultStore, notes: list[str]) -> list[StoredRun]:
    """Sound result files of a store."""
    found = []
    runs = store.folder / RUNS
    if not isinstance(runs, Path) or runs.is_dir():
        aside = sorted(path.name for path in runs.iterdir() if path.name.endswith(BROKEN))
        notes += [f"Left out: {runs / name} was set aside because it is broken" for name in aside]
    for path in store.paths():
        try:
            found.append(read(path))
        except DataError as error:
            notes.append(f"Left out: {error}")
    return found


def _syne_tunes(folder: Path, device: str | None, notes: list[str]) -> list[StoredRun]:
    """Experiments of Syne Tune: the folder itself, or those one or two levels below it."""
    found: list[StoredRun] = []
    paths = {
        path.parent for glob in ("", "*/", "*/*/") for path in folder.glob(glob + METADATA_FILE)
    }
    for path in sorted(paths):
        try:
            found.append(read_experiment(path, device=device))
        except (HWGPTError, OSError) as error:
            notes.append(f"Left out: {error}")
    return _numbered(found, notes)


def _numbered(found: list[StoredRun], notes: list[str]) -> list[StoredRun]:
    """Experiments with a seed each: where none is stated, the next that is free."""
    taken = {result.run.name for result in found}
    out, guessed = [], set()
    for result in found:
        if result.run.seed == UNKNOWN_SEED:
            guessed.add(result.run.method)
            runs = (replace(result.run, seed=seed) for seed in itertools.count())
            run = next(run for run in runs if run.name not in taken)
            taken.add(run.name)
            result = replace(result, run=run)
        out.append(result)
    if guessed:
        notes.append(
            f"experiments of {', '.join(sorted(guessed))} state no seed: each is taken for another "
            "seed of that method; the Tuner's metadata={'method': …, 'seed': …} says what it is"
        )
    return out


def _distinct(found: list[StoredRun], notes: list[str]) -> list[StoredRun]:
    """The first of runs of one name."""
    seen: dict[str, StoredRun] = {}
    for result in found:
        first = seen.setdefault(result.run.name, result)
        if first is not result:
            notes.append(f"Left out: {result.path} is the same run as {first.path}")
    return list(seen.values())


def _same_bounds(runs: list[StoredRun], notes: list[str]) -> list[StoredRun]:
    """The runs of a problem with one ideal and nadir: the most frequent ones."""

    def bounds(result: StoredRun) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return result.run.problem.ideal, result.run.problem.nadir

    chosen: dict[str, StoredRun] = {}
    for name in sorted({result.run.problem.name for result in runs}):
        mine = [result for result in runs if result.run.problem.name == name]
        counts = Counter(map(bounds, mine))
        common, times = counts.most_common(1)[0]
        chosen[name] = next(result for result in mine if bounds(result) == common)
        if len(counts) > 1:
            notes.append(
                f"{name}: runs state different ideal and nadir points; all are scored with those "
                f"of {times} of {len(mine)} runs"
            )
    out = []
    for result in runs:
        like = chosen[result.run.problem.name]
        if bounds(result) != bounds(like):
            result = replace(result, run=replace(result.run, problem=like.run.problem))
        out.append(result)
    return out


def _warnings(runs: Sequence[StoredRun]) -> list[str]:
    """What makes runs of a problem less comparable than they look; problems named together."""
    found: dict[str, list[str]] = {}
    for name in dict.fromkeys(result.run.problem.name for result in runs):
        for text in _differences([r for r in runs if r.run.problem.name == name]):
            found.setdefault(text, []).append(name)
    every = len({result.run.problem.name for result in runs})
    return [
        f"{'All problems' if len(names) == every > 1 else ', '.join(names)}: {text}"
        for text, names in found.items()
    ]


def _differences(runs: Sequence[StoredRun]) -> list[str]:
    """What to know of the runs of one problem."""
    problem = runs[0].run.problem
    notes = [*_origins(runs), *workload_notes(problem.space, problem.devices)]
    for what in ("trials", "workers", "noise", "cost_model"):
        values = list(dict.fromkeys(str(getattr(result.run, what)) for result in runs))
        if len(values) > 1:
            notes.append(f"runs differ in {what}: {', '.join(values)[:200]}")
    seeds = Counter(result.run.method for result in runs)
    single = sorted(method for method, count in seeds.items() if count == 1)
    if single:
        notes.append(f"a single seed of {', '.join(single)}: no inter-quartile band is drawn")
    elif len(set(seeds.values())) > 1:
        counts = ", ".join(f"{method} {count}" for method, count in sorted(seeds.items()))
        notes.append(f"methods differ in the number of seeds: {counts}")
    return notes


def _origins(runs: Sequence[StoredRun]) -> list[str]:
    """What runs of one problem were made from, where it differs."""
    notes = []
    methods = {result.run.method for result in runs}
    try:
        installed = artifact_digests(runs[0].run.problem)
    except MissingArtifactError:  # the exact front says so
        installed = {}
    others = {
        name
        for result in runs
        for name in changed(result.provenance, installed)
        if name in result.provenance and name in installed
    }
    if others:
        notes.append(
            f"some runs were made on another {', '.join(sorted(others))} than the installed one; "
            "the exact front is of the installed one, so that regrets may be off, even negative"
        )
    for method in sorted(methods):
        digests = {r.provenance.get(method) for r in runs if r.run.method == method}
        if len(digests) > 1:
            notes.append(f"the source of {method} changed between its runs")
    for library in sorted({name for result in runs for name in result.versions}):
        found = sorted({r.versions[library] for r in runs if library in r.versions})
        if len(found) > 1:
            notes.append(f"runs were made with different versions of {library}: {', '.join(found)}")
    return notes
