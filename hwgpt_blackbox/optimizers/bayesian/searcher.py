"""What RSBO, LSBO and EHVI share: models, candidates, and search over them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hwgpt_blackbox.errors import InputError, require
from hwgpt_blackbox.optimizers._base import MultiObjectiveSearcher
from hwgpt_blackbox.optimizers._canonical import Canonicaliser
from hwgpt_blackbox.optimizers._checks import checked_bool, checked_whole
from hwgpt_blackbox.optimizers._features import (
    FeatureMap,
    Features,
    Layout,
    checked_groups,
    infer_groups,
)
from hwgpt_blackbox.optimizers._pareto import Values, front_rows
from hwgpt_blackbox.optimizers._space import Codes
from hwgpt_blackbox.optimizers._warping import absurd, bounded, units
from hwgpt_blackbox.optimizers.bayesian.additive import additive
from hwgpt_blackbox.optimizers.bayesian.local_search import (
    Moves,
    Neighbourhood,
    Neighbours,
    maximise,
    names,
)
from hwgpt_blackbox.optimizers.bayesian.models import Belief, ObjectiveModels
from hwgpt_blackbox.optimizers.bayesian.outcome import Family

KERNELS = ("auto", "plain", "additive")

# Effort of the search of the acquisition function: chosen for the time of a suggestion, not tuned.
_RANDOM = 200
_AROUND_FRONT = 400
_CLIMBERS = 3
_STEPS = 30
_DECIMALS = 6  # of scores
_ENUMERATE = 1000  # configurations up to which all are scored

Score = Callable[[Values, Values], Features]
"""Mean and standard deviation, (n, objectives) each, to the acquisition's logarithm, (n,)."""


class BayesianSearcher(MultiObjectiveSearcher):
    """Base of the Bayesian methods; a subclass is an acquisition function.

    The first ``initial`` architectures are random. Then each suggestion models every objective
    with a Gaussian process of its own (pending trials lower the variance as if they had come in
    at the mean), scores random architectures and the neighbours of the Pareto front, and climbs
    from the best of these to better neighbours, one hyperparameter at a time. Only architectures
    never suggested before are candidates, so nothing is ever rounded. Failed trials teach a
    model of feasibility, whose probability multiplies the acquisition function.

    Scales, reference point and front come from results alone. Results above Tukey's fence are
    modelled as if at it, as in Ax; absurd ones, far above it, count as failures: a penalty or an
    accident of the measurement would blind a model to all else.
    All computation is in double precision with one thread, draws come from ``rng`` alone, and the
    state is arrays: pickling goes on exactly, and machines agree.

    :param config_space: see :class:`MultiObjectiveSearcher`
    :param initial: random architectures before the first model. 10: of the usual 100 trials a tenth
    :param kernel: ``"plain"``, BoTorch's default; ``"additive"`` for architectures made of repeated
        parts (:class:`~hwgpt_blackbox.optimizers.bayesian.additive.AdditivePrior`); or ``"auto"``:
        additive if the space has groups, else plain. On GPT-S, perplexity and energy, 100 trials:
        hypervolume 0.987 with it (10 seeds), 0.953 with the plain one (5 seeds).
    :param groups: for the additive kernel: names of the hyperparameters that share their effects,
        by group, each in the order of its members. None: those called ``<prefix>_<number>``.
    :param max_observations: size up to which a model grows; from there on it keeps the best half
        and an even choice of the others. Bounds the time of a suggestion: with 200 that is a
        tenth of a second on GPT-L, whose configurations have 75 hyperparameters.
    :param logarithms: whether objectives that are all positive (or all negative) are modelled in
        logarithms. For noise that is a share of the value (measured energy on GPT-S, 3 seeds: 0.896
        against 0.884, within their spread); harms where values come near 0.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        initial: int = 10,
        kernel: str = "auto",
        groups: Mapping[str, Sequence[str]] | None = None,
        max_observations: int = 200,
        logarithms: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(config_space, **common)
        if kernel not in KERNELS:
            raise InputError(f"kernel={kernel!r}: expected one of {list(KERNELS)}")
        if groups is not None and kernel == "plain":
            raise InputError("groups: kernel='plain' has no use for them")
        self.initial = checked_whole("initial", initial, 2)
        most = checked_whole("max_observations", max_observations, 2)
        logarithms = checked_bool("logarithms", logarithms)
        if kernel == "auto":
            kernel = "additive" if groups is not None or infer_groups(self.space) else "plain"
        chosen = checked_groups(self.space, groups) if kernel == "additive" else None
        self._features = FeatureMap(self.space, chosen)
        self._canonical = Canonicaliser(self.space, self.canonical_map)
        self._models = ObjectiveModels(_family(self._features.layout), most, logarithms)
        self._neighbourhood = Neighbourhood(self.space)
        self._failures: list[Codes] = []

    # -- for subclasses ------------------------------------------------------------------------

    def _score(self, belief: Belief) -> Score:
        """The acquisition function of one suggestion."""
        raise NotImplementedError

    # -- inside --------------------------------------------------------------------------------

    def _failed(self, codes: Codes) -> None:
        self._failures.append(codes)

    def _propose(self) -> Codes | None:
        if len(self.observations) < 2:
            return self.random_new()
        if len(self.observations) + len(self.pending) < self.initial:
            return self.random_new()
        return self._best_new()

    def _best_new(self) -> Codes | None:
        """The best by the models of what was never suggested."""
        values = self.observations.Y
        odd = absurd(values)
        told, _ = self._canonical(self.observations.X)
        out, _ = self._canonical(self.pending)
        lost, _ = self._canonical(np.array(self._failures).reshape(-1, len(self.space)))
        taken = set() if self.allow_repeats else set(names(np.concatenate([told, out, lost])))
        values = bounded(values[~odd])
        belief = self._models.belief(
            self._inputs(told[~odd]),
            values / units(values),
            self._inputs(out),
            self._inputs(np.concatenate([lost, told[odd]])),
        )
        score = self._score(belief)
        pool = self._pool(taken)
        if not len(pool):
            return None
        best, _ = maximise(
            functools.partial(self._value, belief, score),
            self._neighbours,
            pool,
            taken=taken,
            starts=_CLIMBERS,
            max_steps=_STEPS,
        )
        return self.first_new(best)

    def _inputs(self, codes: Codes) -> Features:
        canonical, active = self._canonical(codes)
        return self._features(canonical, active)

    def _value(self, belief: Belief, score: Score, codes: Codes) -> Features:
        features = self._inputs(codes)
        value = score(*belief(features)) + belief.log_feasible(features)
        # rounded: what is equal but for the order of sums, which depends on the machine, is equal
        return np.where(np.isnan(value), -np.inf, np.round(value, _DECIMALS))

    def _neighbours(self, codes: Codes, among: Sequence[Moves | None] | None = None) -> Neighbours:
        """Canonical codes around canonical ones, by certain moves or all."""
        around = self._neighbourhood(*self._canonical(codes), self.rng, among)
        return around._replace(points=self._canonical(around.points)[0])

    def _pool(self, taken: set[bytes]) -> Codes:
        """Canonical codes to start from, each once, without those that are taken."""
        if self.space.size <= _ENUMERATE:
            pool = self.space.all_codes()
        else:
            front = self.observations.X[front_rows(self.observations.Y)]
            around = self._neighbours(self._canonical(front)[0]).points
            picks = self.rng.permutation(len(around))[:_AROUND_FRONT]
            pool = np.concatenate([self.space.sample(self.rng, _RANDOM), around[picks]])
        pool, _ = self._canonical(pool)
        rows = {name: i for i, name in enumerate(names(pool)) if name not in taken}
        return pool[list(rows.values())]


def _family(layout: Layout | None) -> Family:
    """Models of features laid out so; None: those that know of no groups.

    :raises MissingExtraError: BoTorch is needed and not installed
    """
    if layout is not None:
        return additive(layout)
    require("botorch", extra="bayesian")
    from hwgpt_blackbox.optimizers.bayesian.plain import PLAIN

    return PLAIN
