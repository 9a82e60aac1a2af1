"""What every method shares: which trials are out, what came back, what was seen. And RS.

A method is a subclass of :class:`MultiObjectiveSearcher` that answers one question,
:meth:`~MultiObjectiveSearcher._propose`: which architecture next? ``_scheduler`` makes it a Syne
Tune scheduler. Everything inside works on *codes* (``_space``) and *minimised* values: maximised
metrics have changed sign before a searcher sees them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from syne_tune.optimizer.schedulers.searchers.searcher import BaseSearcher

from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers._checks import checked_bool, checked_whole
from hwgpt_blackbox.optimizers._observations import Observations
from hwgpt_blackbox.optimizers._pareto import Values
from hwgpt_blackbox.optimizers._space import Codes, SearchSpace

logger = logging.getLogger(__name__)

CanonicalForm = Callable[[dict[str, Any]], dict[str, Any]]
"""Maps every configuration (constants included) of one architecture to the same configuration."""

_DRAWS = 100  # random draws before a small space is enumerated
_DRAWS_LARGE = 10_000  # random draws before a space too large to enumerate counts as exhausted
_ENUMERATE = 2**16  # configurations up to which a space is enumerated


@dataclass(frozen=True)
class Suggestion:
    """One architecture that was handed out: its codes (shape (d,)) and its identity."""

    codes: Codes
    key: Hashable


class MultiObjectiveSearcher(BaseSearcher):  # type: ignore[misc]
    """Base of the methods: a Syne Tune searcher that never hands out an architecture twice.

    A subclass implements :meth:`_propose`, and :meth:`_observed` or :meth:`_failed` if it must know
    at once. It reads ``space``, ``rng``, ``observations``, ``pending`` and asks :meth:`is_new`.
    It keeps every bit of state in ``self`` (so that pickling resumes exactly) and draws from
    ``self.rng`` alone.

    :param config_space: Syne Tune configuration space, constants included
    :param random_seed: seed of the method's own generator; None takes one from the system.
    :param points_to_evaluate: configurations to suggest first, in this order. Constants may be left
        out. A second mention of one architecture is skipped, unless ``allow_repeats``.
    :param canonical_form: says which configurations are the same architecture: it gets a
        configuration, constants included, and returns the one that stands for them all. A picklable
        function, for the scheduler to be picklable. None: all differ.
    :param allow_repeats: whether an architecture may be suggested again
    :param candidates: configurations that alone may be suggested, beside ``points_to_evaluate``:
        for instance the rows of a table. What a method proposes is replaced by the new one of them
        that differs in the fewest hyperparameters, ties at random. None: the whole space.
    :ivar space: the encoding of ``config_space``
    :ivar rng: the only source of randomness
    :ivar observations: results so far, minimised
    :raises InputError: ``points_to_evaluate`` are not in the space, or an argument is of another
        kind
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        random_seed: int | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        canonical_form: CanonicalForm | None = None,
        allow_repeats: bool = False,
        candidates: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        if random_seed is None:  # Syne Tune would draw it from numpy's global state
            random_seed = int(np.random.SeedSequence().generate_state(1)[0])
        random_seed = checked_whole("random_seed", random_seed, 0)
        if canonical_form is not None and not callable(canonical_form):
            raise InputError(f"canonical_form={canonical_form!r}: expected a function, or None")
        self.space = SearchSpace(config_space)
        points = self._checked_points("points_to_evaluate", points_to_evaluate)
        super().__init__(dict(config_space), points, random_seed=random_seed)
        self.rng = np.random.default_rng(random_seed)
        self.canonical_form = canonical_form
        self.allow_repeats = checked_bool("allow_repeats", allow_repeats)
        self.observations = Observations(len(self.space))
        self._last_key: tuple[bytes | None, Hashable] = None, None
        self._seen: set[Hashable] = set()
        self._suggested: list[Suggestion] = []  # handed out, no trial id known yet
        self._running: dict[int, Suggestion] = {}
        self._finished: set[int] = set()
        self._remaining: list[Codes] | None = None  # what is left of a small space, shuffled
        self._candidates: Codes = np.empty((0, len(self.space)))
        self._comparable: Codes = self._candidates  # their canonical codes
        if candidates is not None:
            listed = self._checked_points("candidates", candidates)
            if not listed:
                raise InputError("candidates are empty; expected configurations, or None")
            self._candidates = np.array([self.space.encode(config) for config in listed])
            self._comparable = np.array([self.canonical_codes(c) for c in self._candidates])
            order = self.rng.permutation(len(listed))
            self._remaining = list(self._candidates[order])

    def check_metrics(self, count: int) -> None:
        """Raise InputError if options do not fit so many metrics; a scheduler asks at its start."""

    # -- for subclasses ------------------------------------------------------------------------

    def _propose(self) -> Codes | None:
        """Codes (shape (d,)) of the next architecture.

        Whatever is returned is checked: for None, or for an architecture that was suggested
        before, the base takes a random new one instead.
        """
        raise NotImplementedError

    def _observed(self, codes: Codes, values: Values) -> None:
        """A trial succeeded: codes (shape (d,)), finite minimised values (shape (m,)).

        Called once a trial, after ``observations`` has it.
        """

    def _failed(self, codes: Codes) -> None:
        """A trial failed, or reported NaN or infinity: codes (shape (d,)). Called once a trial."""

    @property
    def pending(self) -> Codes:
        """Codes of the architectures that are out, oldest first, shape (number, d)."""
        waiting = [*self._running.values(), *self._suggested]
        return np.array([s.codes for s in waiting]).reshape(len(waiting), len(self.space))

    def key(self, codes: Codes) -> Hashable:
        """Identity of an architecture: equal for all its configurations."""
        name = codes.tobytes()
        if name != self._last_key[0]:  # what is proposed is asked for three times
            self._last_key = name, self._key(self.space.decode(codes))
        return self._last_key[1]

    def _key(self, config: dict[str, Any]) -> Hashable:
        if self.canonical_form is not None:
            config = self.canonical_form(dict(config))  # a copy: the configuration is handed out
        values = tuple(config.get(name) for name in self.space.names)
        try:
            hash(values)
        except TypeError:  # categories that are lists or dicts
            return repr(values)
        return values

    @property
    def canonical_map(self) -> Callable[[Codes], Codes] | None:
        """:meth:`canonical_codes`, or None where it would change nothing."""
        return None if self.canonical_form is None else self.canonical_codes

    def canonical_codes(self, codes: Codes) -> Codes:
        """Codes (shape (d,)) of the canonical form, for models that should not see the rest.

        A canonical value that a narrowed space does not hold becomes code 0.
        """
        if self.canonical_form is None:
            return codes
        config = self.canonical_form(self.space.decode(codes))
        result = np.zeros(len(self.space))
        for i, dimension in enumerate(self.space.dimensions):
            try:
                result[i] = dimension.encode(config[dimension.name])
            except (InputError, KeyError):
                result[i] = 0.0
        return result

    def is_new(self, codes: Codes) -> bool:
        """Whether the architecture was never suggested (always, with ``allow_repeats``)."""
        return self.allow_repeats or self.key(codes) not in self._seen

    def first_new(self, candidates: Iterable[Codes]) -> Codes | None:
        """The first of the candidates (each of shape (d,)) that is new, or None."""
        return next((codes for codes in candidates if self.is_new(codes)), None)

    def random_new(self) -> Codes | None:
        """A random architecture that is new, shape (d,); None once the space is exhausted."""
        if self._remaining is None:
            small = self.space.size <= _ENUMERATE
            for _ in range(_DRAWS if small else _DRAWS_LARGE):
                codes: Codes = self.space.sample(self.rng, 1)[0]
                if self.is_new(codes):
                    return codes
            if not small:
                logger.warning("no new architecture in %d random draws", _DRAWS_LARGE)
                return None
            left = [codes for codes in self.space.all_codes() if self.is_new(codes)]
            self._remaining = [left[i] for i in self.rng.permutation(len(left))]
        while self._remaining:
            codes = self._remaining.pop()
            if self.is_new(codes):
                return codes
        return None

    # -- Syne Tune's searcher interface --------------------------------------------------------

    def suggest(self, **kwargs: Any) -> dict[str, Any] | None:
        """Next configuration, constants included; None once the space is exhausted."""
        config = self._next_point()
        codes: Codes | None
        if config is not None:
            codes, key = self.space.encode(config), self._key(config)
        else:
            codes = self._propose() if self.space.size > 1 else None
            if codes is not None and len(self._candidates):
                codes = self._nearest_candidate(codes)
            if codes is None or not self.is_new(codes):
                codes = self.random_new()
            if codes is None:
                return None
            config, key = self.space.decode(codes), self.key(codes)
        suggestion = Suggestion(codes, key)
        self._seen.add(suggestion.key)
        self._suggested.append(suggestion)
        return config

    def on_trial_add(self, trial_id: int, config: Mapping[str, Any]) -> None:
        """A suggestion became a trial (or somebody started one without asking)."""
        suggestion = self._running.get(trial_id) or self._claim(config)
        if trial_id not in self._finished:
            self._running[trial_id] = suggestion

    def on_trial_complete(
        self, trial_id: int, config: Mapping[str, Any], metrics: Sequence[float] | Values
    ) -> None:
        """The final result of a trial, minimised. Only the first report of a trial counts."""
        suggestion = self._end(trial_id, config)
        if suggestion is None:
            logger.debug("trial %d reported again; ignored", trial_id)
            return
        values = np.array(metrics, dtype=float)
        if not np.isfinite(values).all():
            logger.warning("trial %d reported %s; counted as failed", trial_id, values)
            self._failed(suggestion.codes)
            return
        self.observations.append(trial_id, suggestion.codes, values)
        self._observed(suggestion.codes, values)

    def on_trial_error(self, trial_id: int, config: Mapping[str, Any] | None = None) -> None:
        """A trial failed: it is no longer pending, and its architecture is not tried again.

        :param trial_id: the trial
        :param config: its configuration: says what failed if :meth:`on_trial_add` was not called
        """
        suggestion = self._end(trial_id, config)
        if suggestion is not None:
            self._failed(suggestion.codes)

    def on_trial_remove(self, trial_id: int, config: Mapping[str, Any] | None = None) -> None:
        """The scheduler stopped the trial: it is no longer pending, and did not fail.

        Arguments as for :meth:`on_trial_error`.
        """
        self._end(trial_id, config)

    # -- inside --------------------------------------------------------------------------------

    def _nearest_candidate(self, codes: Codes) -> Codes | None:
        """The new candidate, shape (d,), that differs least from codes; None if none is new."""
        differing = np.sum(self._comparable != self.canonical_codes(codes), axis=1)
        order = np.lexsort((self.rng.random(len(differing)), differing))
        return self.first_new(self._candidates[i] for i in order)

    def _checked_points(
        self, name: str, points: Sequence[Mapping[str, Any]] | None
    ) -> list[dict[str, Any]]:
        if points is None:
            return []
        several = isinstance(points, Iterable) and not isinstance(points, str | Mapping)
        listed = list(points) if several else []
        if not several or not all(isinstance(point, Mapping) for point in listed):
            raise InputError(f"{name}={points!r}: expected a list of configurations")
        return [self._checked_point(name, point) for point in listed]

    def _checked_point(self, name: str, point: Mapping[str, Any]) -> dict[str, Any]:
        """The point with the constants; its floats stay as given."""
        codes = self.space.encode(point)
        wrong = {
            k: v
            for k, v in point.items()
            if k not in self.space.names
            and (k not in self.space.constants or self.space.constants[k] != v)
        }
        if wrong:
            raise InputError(
                f"{name}: {wrong!r} is not in the configuration space; its constants "
                f"are {self.space.constants!r}"
            )
        floats = {d.name: float(point[d.name]) for d in self.space.dimensions if not d.choices}
        return self.space.decode(codes) | floats

    def _next_point(self) -> dict[str, Any] | None:
        while self.points_to_evaluate:
            config: dict[str, Any] = self.points_to_evaluate.pop(0)
            if self.allow_repeats or self._key(config) not in self._seen:
                return config
        return None

    def _end(self, trial_id: int, config: Mapping[str, Any] | None) -> Suggestion | None:
        """What an ending trial carried out; None if it had ended before, or is unknown."""
        if trial_id in self._finished:
            return None
        suggestion = self._running.pop(trial_id, None)
        if suggestion is None and config is not None:
            suggestion = self._claim(config)
        self._finished.add(trial_id)
        return suggestion

    def _claim(self, config: Mapping[str, Any]) -> Suggestion:
        """The suggestion that a trial of this configuration carries out."""
        key = self._key(self.space.constants | {name: config[name] for name in self.space.names})
        for i, suggestion in enumerate(self._suggested):
            if suggestion.key == key:
                return self._suggested.pop(i)
        self._seen.add(key)
        return Suggestion(self.space.encode(config), key)


class RS(MultiObjectiveSearcher):
    """Random search (Bergstra and Bengio, 2012), without repeating an architecture.

    Every hyperparameter is drawn from its own distribution. Small spaces are exhausted: after the
    last architecture ``suggest`` returns None. No options.
    """

    def _propose(self) -> Codes | None:
        return self.random_new()
