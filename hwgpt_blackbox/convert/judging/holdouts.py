"""Architectures held out, and models fitted without them: what a report card is computed from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.fitting.expected_value import DESIGNS, FitDesign
from hwgpt_blackbox.convert.fitting.features import Architectures, Array
from hwgpt_blackbox.convert.fitting.whole_space import (
    ENOUGH_PERPLEXITIES,
    MEMORIES,
    Published,
    fit_least_squares,
    fit_models,
    noisy_targets,
)
from hwgpt_blackbox.convert.judging.measures import (
    block_split,
    levels_of,
    predictor_of,
    random_split,
)
from hwgpt_blackbox.convert.progress import Progress, silent
from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.perplexity_checkpoint import fitted_network
from hwgpt_blackbox.errors import InputError, unknown
from hwgpt_blackbox.models.prediction import Predictor, TargetFunction
from hwgpt_blackbox.models.surrogate import COUNTED, ERROR, AdditiveModel, Surrogate

IN_SAMPLE = "in sample"
"""Name of the section on the architectures that the models were fitted to."""

PERPLEXITY = "perplexity"

_T = TypeVar("_T")


@dataclass(frozen=True)
class SplitKind:
    """A way to hold architectures out.

    :param rows: number of architectures, seed and ``cell=`` (see :func:`random_split`) to the rows
        to fit on and those held out
    :param default: seed of the card
    :param limit: seeds are from 0 to below this
    :param description: for people
    """

    rows: Callable[..., tuple[NDArray[np.intp], NDArray[np.intp]]]
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
    :param seed: of the permutation, or number of the blocks
    :raises InputError: unknown kind, or a seed that it does not have
    """

    kind: str
    seed: int

    def __post_init__(self) -> None:
        if self.kind not in SPLIT_KINDS:
            raise unknown("split", self.kind, SPLIT_KINDS)
        limit = SPLIT_KINDS[self.kind].limit
        if not 0 <= self.seed < limit:
            raise InputError(f"seed is {self.seed!r}; the split {self.kind!r} has 0 to {limit - 1}")

    def __str__(self) -> str:
        return f"{self.kind}/{self.seed}"

    def rows(
        self, n: int, cell: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows of ``n`` architectures to fit on, and those held out, each ascending.

        :param cell: of each architecture, shape (n,): split within each cell, so that few
            architectures stay enough in every one
        """
        return SPLIT_KINDS[self.kind].rows(n, self.seed, cell=cell)


DEFAULT_SPLITS = tuple(Split(kind, row.default) for kind, row in SPLIT_KINDS.items())
"""The splits of a card that is stored."""


@dataclass(frozen=True)
class Evaluation:
    """Models, and measured architectures to judge them on.

    :param split: how those were held out; None: in sample
    :param surrogate: the models
    :param sample: the architectures, n of them
    :param exact: values of exact targets, shape (n,), NaN where not measured, natural units
    :param noisy: measurements of noisy targets, shape (n, repeats), natural units
    :param floor: plain least squares on the rows that the models were fitted to, by target
    :param fitted: number of architectures that the models were fitted to; 0: not fitted here
    :param notes: of the fit, by target
    :param networks: targets that are answered by something else, see :class:`Predictor`
    """

    split: Split | None
    surrogate: Surrogate
    sample: Architectures
    exact: Mapping[str, Array]
    noisy: Mapping[str, Array]
    floor: Mapping[str, AdditiveModel]
    fitted: int
    notes: Mapping[str, Any]
    networks: Mapping[str, TargetFunction] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For instance ``random/42``."""
        return str(self.split) if self.split else IN_SAMPLE

    def expected(self, targets: Iterable[str]) -> Array:
        """Expected values, shape (n, targets)."""
        return self.predictor(targets).expected(self.sample.matrix)

    def predictor(self, targets: Iterable[str]) -> Predictor:
        """What predicts some targets, one column each."""
        return predictor_of(self.surrogate, targets, self.networks)


def steps_of(split: Split, progress: Progress) -> Progress:
    """What names the steps of a fit of a split."""
    return lambda step: progress(f"report: {split}: {step}")


def _measured(
    data: Measurements, rows: NDArray[np.intp], surrogate: Surrogate
) -> tuple[Architectures, dict[str, Array], dict[str, Array]]:
    """The architectures of some rows, and their values of exact and of noisy targets."""
    names = [n for n in (PERPLEXITY, ERROR, *MEMORIES, *COUNTED) if n in surrogate.measured.metrics]
    exact = {name: getattr(data, name)[rows].astype(np.float64) for name in names}
    noisy = {name: values[rows] for name, values in noisy_targets(data).items()}
    return Architectures(data.space, data.matrix[rows]), exact, noisy


def refit(
    data: Measurements,
    split: Split,
    *,
    published: Callable[[NDArray[np.intp]], Published | None] | None = None,
    progress: Progress = silent,
    designs: Sequence[FitDesign] = DESIGNS,
) -> Evaluation:
    """Fit without the architectures that a split holds out.

    :param published: from rows to fit on to the published perplexity network with its offset on
        them removed, or None where enough was measured; default: fit to what was measured
    :param progress: called with the name of each step
    :param designs: that models of noisy metrics are chosen from
    :raises DataError: too few architectures or perplexities
    """
    train, test = split.rows(len(data))
    network = published(train) if published else None
    surrogate, notes = fit_models(
        data, train, published=network, progress=progress, designs=designs
    )
    floor = _floor(data, train, surrogate)
    return Evaluation(split, surrogate, *_measured(data, test, surrogate), floor, len(train), notes)


def _floor(
    data: Measurements, rows: NDArray[np.intp], surrogate: Surrogate
) -> dict[str, AdditiveModel]:
    """Plain least squares of every target on some rows."""
    learn = Architectures(data.space, data.matrix[rows])
    floor = {
        name: fit_least_squares(learn, values[rows].mean(axis=1))
        for name, values in noisy_targets(data).items()
    }
    for name in (n for n in (PERPLEXITY, ERROR) if n in surrogate.measured.metrics):
        values = getattr(data, name)[rows]
        known = np.isfinite(values)
        if np.bincount(learn.cell[known], minlength=learn.cells).min() > 0:
            some = learn.take(np.flatnonzero(known))
            floor[name] = fit_least_squares(some, values[known])
    return floor


def as_published(
    data: Measurements,
    splits: Sequence[Split],
    surrogate: Surrogate,
    targets: Collection[str],
    networks: Mapping[str, TargetFunction] | None = None,
) -> list[Evaluation]:
    """Models that others fitted: on everything measured, and on what each split holds out.

    We do not know which architectures they were fitted to.

    :param surrogate: their models, or with networks any of the space
    :param targets: that they model
    :param networks: targets that are answered by networks
    """

    def modelled(found: Mapping[str, _T]) -> dict[str, _T]:
        return {name: value for name, value in found.items() if name in targets}

    evaluations = []
    for split in (None, *splits):
        everything = np.arange(len(data))
        train, test = split.rows(len(data)) if split else (everything, everything)
        sample, exact, noisy = _measured(data, test, surrogate)
        floor = modelled(_floor(data, train, surrogate)) if split else {}
        measured = (sample, modelled(exact), modelled(noisy))
        evaluations.append(Evaluation(split, surrogate, *measured, floor, 0, {}, networks or {}))
    return evaluations


def in_sample(data: Measurements, surrogate: Surrogate) -> Evaluation:
    """Models that were fitted to measurements, and the same measurements."""
    measured = _measured(data, np.arange(len(data)), surrogate)
    return Evaluation(None, surrogate, *measured, {}, len(data), {})


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


def pit_levels(evaluation: Evaluation, target: str) -> Array:
    """Level of every measurement in its predictive distribution: uniform if calibrated.

    :param target: a noisy target
    :return: shape (n, repeats), from 0 to 1
    """
    ratio = evaluation.noisy[target] / evaluation.expected([target])
    return levels_of(evaluation.surrogate, target, evaluation.sample.matrix, ratio)
