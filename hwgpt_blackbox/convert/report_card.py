"""The report card of a space: how good its models are on architectures they have not seen.

Every section of a card judges models on measured architectures: those that were held out, after the
fit was repeated without them, beside plain least squares on the same rows; and, in sample, the
artifact's own models on everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox._version import __version__
from hwgpt_blackbox.artifact import AdditiveModel
from hwgpt_blackbox.convert.design import Array, Sample
from hwgpt_blackbox.convert.evaluation import (
    block_split,
    evaluate,
    location_measures,
    pit,
    random_split,
)
from hwgpt_blackbox.convert.fit import (
    ENOUGH_PERPLEXITIES,
    MEMORIES,
    Published,
    fit_least_squares,
    fit_models,
    noisy_targets,
)
from hwgpt_blackbox.convert.layout import Checkout
from hwgpt_blackbox.convert.location import CELLS
from hwgpt_blackbox.convert.measurements import Measurements
from hwgpt_blackbox.convert.perplexity import fitted_network
from hwgpt_blackbox.encoding import BIAS, EMBED_DIM, NUM_LAYERS, IntMatrix
from hwgpt_blackbox.errors import InputError, require, unknown
from hwgpt_blackbox.metrics import Column
from hwgpt_blackbox.predictor import Predictor
from hwgpt_blackbox.surrogate import COUNTED, Surrogate

REPORT_VERSION = 1
"""Version of the card's form that this code writes, and the newest that it reads."""

DRAWS = 1_000_000
"""Measurements drawn from the models for a section, over all noisy targets together."""

IN_SAMPLE = "in sample"
"""Name of the section on the architectures that the models were fitted to."""

PERPLEXITY = "perplexity"

Say = Callable[[str], None]
Measures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class SplitKind:
    """A way to hold architectures out.

    :param rows: number of architectures and seed to the rows to fit on and those held out
    :param default: seed of the card
    :param limit: seeds are from 0 to below this
    :param description: for people
    """

    rows: Callable[[int, int], tuple[NDArray[np.intp], NDArray[np.intp]]]
    default: int
    limit: int
    description: str


SPLIT_KINDS: dict[str, SplitKind] = {
    "random": SplitKind(random_split, 42, 2**32, "a random fifth held out, as in the paper"),
    "blocks": SplitKind(block_split, 0, 5, "two tenths of the profiling held out, each in a row"),
}
"""Every kind of split by name."""


@dataclass(frozen=True)
class Split:
    """Which architectures are held out.

    :param kind: ``random`` or ``blocks``
    :param seed: of the permutation, or number of the blocks; None: the card's
    :raises InputError: unknown kind, or a seed that it does not have
    """

    kind: str
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in SPLIT_KINDS:
            raise unknown("split", self.kind, SPLIT_KINDS)
        row = SPLIT_KINDS[self.kind]
        if self.seed is None:
            object.__setattr__(self, "seed", row.default)
        elif not 0 <= self.seed < row.limit:
            raise InputError(
                f"seed is {self.seed!r}; the split {self.kind!r} has 0 to {row.limit - 1}"
            )

    def rows(self, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of ``n`` architectures to fit on, and those held out, each ascending."""
        assert self.seed is not None
        return SPLIT_KINDS[self.kind].rows(n, self.seed)


DEFAULT_SPLITS = tuple(Split(kind) for kind in SPLIT_KINDS)
"""The splits of a card that is stored."""


@dataclass(frozen=True)
class Trial:
    """Models, and measured architectures to judge them on.

    :param split: how those were held out; None: in sample
    :param surrogate: the models
    :param sample: the architectures, n of them
    :param exact: values of exact targets, shape (n,), NaN where not measured, natural units
    :param noisy: measurements of noisy targets, shape (n, repeats), natural units
    :param floor: plain least squares on the rows that the models were fitted to, by target
    :param fitted: number of architectures that the models were fitted to
    :param notes: of the fit, by target
    """

    split: Split | None
    surrogate: Surrogate
    sample: Sample
    exact: Mapping[str, Array]
    noisy: Mapping[str, Array]
    floor: Mapping[str, AdditiveModel]
    fitted: int
    notes: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For instance ``random/42``."""
        return f"{self.split.kind}/{self.split.seed}" if self.split else IN_SAMPLE

    def expected(self, targets: Iterable[str]) -> Array:
        """Expected values, shape (n, targets)."""
        return _predictor(self.surrogate, targets).expected(self.sample.matrix)


def _predictor(surrogate: Surrogate, targets: Iterable[str]) -> Predictor:
    return Predictor(surrogate, [Column(*name.split("@")) for name in targets])


def _measured(data: Measurements, rows: NDArray[np.intp]) -> dict[str, Any]:
    """What the architectures of some rows are judged by: arguments of :class:`Trial`."""
    names = (PERPLEXITY, *MEMORIES, *COUNTED)
    return {
        "sample": Sample(data.space, data.matrix[rows]),
        "exact": {name: getattr(data, name)[rows].astype(np.float64) for name in names},
        "noisy": {name: values[rows] for name, values in noisy_targets(data).items()},
    }


def refit(
    data: Measurements,
    split: Split,
    *,
    published: Callable[[NDArray[np.intp]], Published | None] | None = None,
    progress: Say | None = None,
) -> Trial:
    """Fit without the architectures that a split holds out.

    :param published: from rows to fit on to the published perplexity network with its offset on
        them removed, or None where enough was measured; default: fit to what was measured
    :param progress: called with the name of each step
    :raises DataError: too few architectures or perplexities
    """
    train, test = split.rows(len(data))
    network = published(train) if published else None
    surrogate, notes = fit_models(data, train, published=network, progress=progress)
    learn = Sample(data.space, data.matrix[train])
    floor = {
        name: fit_least_squares(learn, values[train].mean(axis=1))
        for name, values in noisy_targets(data).items()
    }
    known = np.isfinite(data.perplexity[train])
    if np.bincount(learn.cell[known], minlength=CELLS).min() > 0:
        some = learn.take(np.flatnonzero(known))
        floor[PERPLEXITY] = fit_least_squares(some, data.perplexity[train][known])
    return Trial(split, surrogate, floor=floor, fitted=len(train), notes=notes, **_measured(data, test))


def in_sample(data: Measurements, surrogate: Surrogate) -> Trial:
    """Models that were fitted to measurements, and the same measurements."""
    rows = np.arange(len(data))
    return Trial(None, surrogate, floor={}, fitted=len(data), notes={}, **_measured(data, rows))


def published_for(
    checkout: Checkout, data: Measurements
) -> Callable[[NDArray[np.intp]], Published | None]:
    """The published perplexity network where a fit needs it: see :func:`refit`.

    The published network itself has seen architectures that are held out; its offset has not.
    """

    def network(rows: NDArray[np.intp]) -> Published | None:
        measured = np.isfinite(data.perplexity)
        if measured.all() or measured[rows].sum() >= ENOUGH_PERPLEXITIES:
            return None
        return fitted_network(checkout, data.matrix[rows], data.perplexity[rows])

    return network


def pit_levels(trial: Trial, target: str) -> Array:
    """Level of every measurement in its predictive distribution: uniform if calibrated.

    :param target: a noisy target
    :return: shape (n, repeats), from 0 to 1
    """
    tables = trial.surrogate.quantiles(target)
    ratio = trial.noisy[target] / trial.expected([target])
    groups = _groups(trial.surrogate, trial.sample.matrix)
    out = np.empty_like(ratio)
    for group in np.unique(groups):
        rows = groups == group
        out[rows] = pit(ratio[rows], trial.surrogate.levels, tables[group])
    return out


def _groups(surrogate: Surrogate, matrix: IntMatrix) -> NDArray[np.intp]:
    """Index of the (embed_dim, num_layers, bias) group, shape (n,)."""
    columns = tuple(matrix[:, c].astype(np.intp) for c in (EMBED_DIM, NUM_LAYERS, BIAS))
    return np.ravel_multi_index(columns, surrogate.group_shape)


def repeats_drawn(architectures: int, targets: int, draws: int = DRAWS) -> int:
    """Repeats of every architecture and target that make at least ``draws`` together."""
    return max(1, -(-draws // max(1, architectures * targets)))


def shares_non_positive(
    surrogate: Surrogate, matrix: IntMatrix, targets: Sequence[str], repeats: int
) -> dict[str, float]:
    """Share of drawn measurements that are not above zero, by target.

    :param matrix: choice indices, shape (n, hyperparameters)
    :param repeats: draws of every architecture and target, keyed as those of queries
    """
    predictor = _predictor(surrogate, targets)
    bad = np.zeros(len(targets))
    for repeat in range(repeats):
        values = predictor.measurements(matrix, np.array([repeat], dtype=np.uint64))
        bad += (~(values > 0.0)).sum(axis=0)
    return dict(zip(targets, (bad / (repeats * len(matrix))).tolist(), strict=True))


def measure(trial: Trial, *, draws: int = DRAWS) -> Measures:
    """Measures of every target; those with a floor also have its own, and the ratio to it.

    :param draws: measurements to draw, over all noisy targets
    :return: by target; see ``evaluation`` for the measures
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    found = evaluate(trial.surrogate, trial.sample, trial.exact, trial.noisy)
    noisy = list(trial.noisy)
    repeats = repeats_drawn(len(trial.sample), len(noisy), draws)
    shares = shares_non_positive(trial.surrogate, trial.sample.matrix, noisy, repeats)
    for name, share in shares.items():
        found[name]["share_non_positive"] = share
    plain = Surrogate(trial.sample.space, trial.floor, trial.surrogate.levels, {})
    for name in trial.floor:
        if name not in found:
            continue
        values = trial.noisy[name].mean(axis=1) if name in trial.noisy else trial.exact[name]
        known = np.isfinite(values)
        predicted = _predictor(plain, [name]).expected(trial.sample.matrix[known])[:, 0]
        base = location_measures(values[known], predicted)
        for key in ("mae", "rmse"):
            found[name][f"{key}_ratio"] = found[name][key] / base[key]
        for key in ("mae", "rmse", "medae", "r2", "kendall_tau"):
            found[name][f"{key}_least_squares"] = base[key]
    return found


def summary(rows: Sequence[Measures]) -> dict[str, Any]:
    """What measures say over noisy targets; each target's own is its mean over splits.

    Ratios to least squares are averaged geometrically, over splits and targets.

    :param rows: measures of one or more splits, of the same targets
    """
    names = sorted({n for row in rows for n in row if "crps_over_mean" in row[n]})

    def over(key: str) -> Array:
        return np.array([np.mean([row[n][key] for row in rows if n in row]) for n in names])

    r2, area = over("r2"), over("miscalibration_area")
    worst = int(np.argmin(np.where(np.isnan(r2), -np.inf, r2)))
    tau = [row[n]["kendall_tau"] for row in rows for n in row if n.endswith(PERPLEXITY)]
    found: dict[str, Any] = {
        "targets": len(names),
        "mean_r2": float(r2.mean()),
        "worst_target": names[worst],
        "worst_r2": float(r2[worst]),
        "mean_crps_over_mean": float(over("crps_over_mean").mean()),
        "mean_miscalibration_area": float(area.mean()),
        "largest_miscalibration_area": float(area.max()),
        "perplexity_kendall_tau": float(np.mean(tau)) if tau else float("nan"),
    }
    if all("mae_ratio" in row[n] for row in rows for n in names if n in row):
        mae, rmse = (
            np.exp(
                [np.mean([np.log(row[n][key]) for row in rows if n in row]) for n in names],
            )
            for key in ("mae_ratio", "rmse_ratio")
        )
        found |= {
            "mae_ratio": float(np.exp(np.log(mae).mean())),
            "rmse_ratio": float(np.exp(np.log(rmse).mean())),
            "both_lower": int(((mae < 1) & (rmse < 1)).sum()),
            "worst_mae_ratio": float(mae.max()),
            "worst_rmse_ratio": float(rmse.max()),
        }
    return found


def section(trial: Trial, measures: Measures, *, draws: int = DRAWS) -> dict[str, Any]:
    """One section of a card: plain values, six significant digits, None for what is undefined."""
    repeats = repeats_drawn(len(trial.sample), len(trial.noisy), draws)
    return {
        "split": trial.split.kind if trial.split else IN_SAMPLE,
        "seed": trial.split.seed if trial.split else None,
        "fitted": trial.fitted,
        "judged": len(trial.sample),
        "perplexities_judged": int(np.isfinite(trial.exact[PERPLEXITY]).sum()),
        "draws_per_target": repeats * len(trial.sample),
        "perplexity": dict(trial.notes.get(PERPLEXITY, {})),
        "summary": _plain(summary([measures])),
        "targets": {name: _plain(row) for name, row in measures.items()},
    }


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _rounded(v) if isinstance(v, float) else v for key, v in row.items()}


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None


def make_card(
    surrogate: Surrogate, data: Measurements, sections: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A card of the artifact that a surrogate was read from.

    :param sections: see :func:`section`
    """
    import scipy

    files = surrogate.manifest.get("files", {})
    return {
        "report_version": REPORT_VERSION,
        "space": data.space.name,
        "architectures": len(data),
        "arrays": {name: entry["sha256"] for name, entry in files.items() if name.endswith("npz")},
        "source": {name: row["sha256"] for name, row in data.source.get("files", {}).items()
                   if name.endswith("stats.pkl")},
        "splits": {kind: row.description for kind, row in SPLIT_KINDS.items()},
        "versions": {
            "hwgpt-blackbox": __version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
        },
        "sections": list(sections),
    }


def judge(
    checkout: Checkout,
    data: Measurements,
    surrogate: Surrogate,
    splits: Sequence[Split] = DEFAULT_SPLITS,
    *,
    draws: int = DRAWS,
    progress: Say | None = None,
) -> tuple[dict[str, Any], list[Trial]]:
    """The report card of an artifact against its source, and what it was computed from.

    :param checkout: the source
    :param data: its measurements
    :param surrogate: the models of the artifact, as read from it
    :param splits: hold-outs; each repeats the fit, which takes about 35 s
    :param progress: called with the name of each step
    :return: the card, and its trials: in sample first, then one per split
    :raises DataError: too few architectures or perplexities
    :raises MissingExtraError: scipy is not installed
    """
    require("scipy", extra="analysis")
    say = progress or (lambda step: None)
    say("report: in sample")
    trials = [in_sample(data, surrogate)]
    network = published_for(checkout, data)
    for split in splits:
        name = f"{split.kind}/{split.seed}"
        trials.append(
            refit(
                data,
                split,
                published=network,
                progress=lambda step, name=name: say(f"report: {name}: {step}"),
            )
        )
    sections = [section(trial, measure(trial, draws=draws), draws=draws) for trial in trials]
    return make_card(surrogate, data, sections), trials
