"""NSGA2: pymoo's NSGA-II, fed asynchronously. The only module that needs pymoo."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pymoo.algorithms.moo import nsga2 as pymoo_nsga2
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import DuplicateElimination, NoDuplicateElimination
from pymoo.core.individual import Individual
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem
from pymoo.core.termination import NoTermination
from pymoo.operators.crossover.sbx import SBX
from pymoo.operators.crossover.ux import UX
from pymoo.operators.mutation.pm import PM

from hwgpt_blackbox.optimizers._checks import checked_number, checked_whole
from hwgpt_blackbox.optimizers._denoising import DenoisingSearcher
from hwgpt_blackbox.optimizers._pareto import Values
from hwgpt_blackbox.optimizers._space import Codes, SearchSpace

_MATINGS = 20  # rounds of mating in search of new architectures; pymoo's 100 are slow at the end


class _Reset(Mutation):  # type: ignore[misc]
    """Replace a category by another one, each as likely."""

    def _do(self, problem: Problem, X: Codes, *args: Any, **kwargs: Any) -> Codes:
        random_state: np.random.Generator = kwargs["random_state"]
        hit = random_state.random(X.shape) < self.prob_var.value
        categories = np.maximum(problem.xu.astype(int) + 1, 2)
        moved = (X + random_state.integers(1, categories, size=X.shape)) % (problem.xu + 1)
        return np.where(hit, moved, X)


@dataclass(frozen=True)
class _Operators:
    """How one group of hyperparameters is crossed and mutated.

    ``mutation`` takes the probability with which a hyperparameter is mutated.
    """

    kinds: tuple[str, ...]
    crossover: Crossover
    mutation: Callable[[float], Mutation]


_GROUPS = (
    _Operators(("categorical",), UX(), lambda prob: _Reset(prob_var=prob)),
    # pymoo's recommendation for integers: eta 3, since 20 seldom reaches the next integer
    _Operators(("integer", "ordinal"), SBX(eta=3.0), lambda prob: PM(eta=3.0, prob_var=prob)),
    _Operators(("float",), SBX(eta=20.0), lambda prob: PM(eta=20.0, prob_var=prob)),  # Deb et al.
)


def _parts(space: SearchSpace) -> list[tuple[npt.NDArray[np.int64], Problem, _Operators]]:
    """For each group that occurs: its columns, the bounds of these as a problem, its operators."""
    upper = np.where(space.sizes > 0, space.sizes - 1, 1)
    parts = []
    for group in _GROUPS:
        columns = np.array(
            [i for i, d in enumerate(space.dimensions) if d.kind in group.kinds], dtype=np.int64
        )
        if columns.size:
            problem = Problem(n_var=len(columns), xl=np.zeros(len(columns)), xu=upper[columns])
            parts.append((columns, problem, group))
    return parts


def _varied(
    space: SearchSpace, X: Codes, operator: Callable[[_Operators], Any], **kwargs: Any
) -> Codes:
    """Codes (..., d) after the operator of each group of hyperparameters, rounded if discrete."""
    children = X.astype(float)
    for columns, part, group in _parts(space):
        children[..., columns] = operator(group)._do(part, X[..., columns], **kwargs)
    return np.where(space.sizes > 0, np.rint(children), children)


class MixedCrossover(Crossover):  # type: ignore[misc]
    """Crosses codes: uniformly where categorical, by simulated binary crossover where ordered."""

    def __init__(self, space: SearchSpace, probability: float) -> None:
        super().__init__(2, 2, prob=probability)
        self.space = space

    def _do(self, problem: Problem, X: Codes, *args: Any, **kwargs: Any) -> Codes:
        return _varied(self.space, X, lambda group: group.crossover, **kwargs)


class MixedMutation(Mutation):  # type: ignore[misc]
    """Mutates each code with probability 1/d: reset where categorical, polynomial where ordered."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__(prob=1.0)
        self.space = space

    def _do(self, problem: Problem, X: Codes, *args: Any, **kwargs: Any) -> Codes:
        probability = 1 / len(self.space)
        return _varied(self.space, X, lambda group: group.mutation(probability), **kwargs)


class NewArchitectures(DuplicateElimination):  # type: ignore[misc]
    """Removes architectures that were suggested before, or occur earlier in the same batch."""

    def __init__(self, key: Callable[[Codes], Hashable], seen: set[Hashable]) -> None:
        super().__init__()
        self.key, self.seen = key, seen

    def do(self, pop: Population, *others: Population, **kwargs: Any) -> Population:
        """Those of ``pop`` that are new; ``others`` (parents, offspring so far) count as known."""
        known = {self.key(individual.X) for other in others for individual in other}
        keep = []
        for i, individual in enumerate(pop):
            key = self.key(individual.X)
            if key not in self.seen and key not in known:
                keep.append(i)
            known.add(key)
        return pop[keep]


class NSGA2(DenoisingSearcher):
    """NSGA-II (Deb et al., 2002), by pymoo's operators, survival and ask-and-tell.

    A generation of ``population_size`` offspring is bred at once. When as many results have come
    back, from whichever trials, survival selects the next parents. A worker that is free while
    the generation is out gets an extra child of the same parents: nobody waits. With one worker
    the generations are pymoo's own.

    :param config_space: see :class:`MultiObjectiveSearcher`
    :param population_size: parents, and offspring in a generation; the first are random. 20 is the
        default of Syne Tune's former NSGA-II, which HW-GPT-Bench ran. Deb et al. take 100 for
        25,000 evaluations; within 1,000 trials it reaches less.
    :param crossover_probability: with which two parents are crossed, from 0 to 1; the children of
        the others are mutated only. Deb et al. take 0.9. On GPT-S, perplexity and energy, 1,000
        trials: hypervolume 0.946 (24 seeds) against 0.941 (40); better by 0.004 to 0.008 on five
        other problems too (12 seeds each).
    :param common: ``denoise``, as in :class:`DenoisingSearcher`, and arguments of
        :class:`MultiObjectiveSearcher`
    :raises InputError: a population that is no whole number of at least 2, or no probability
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        *,
        population_size: int = 20,
        crossover_probability: float = 0.5,
        **common: Any,
    ) -> None:
        super().__init__(config_space, **common)
        self.population_size = checked_whole("population_size", population_size, 2)
        crossing = checked_number("crossover_probability", crossover_probability, 0, 1)
        self._problem = Problem(n_var=len(self.space), n_obj=2, xl=0.0, xu=1.0)  # bounds unused
        self._algorithm = pymoo_nsga2.NSGA2(
            pop_size=self.population_size,
            crossover=MixedCrossover(self.space, crossing),
            mutation=MixedMutation(self.space),
            eliminate_duplicates=(
                NoDuplicateElimination()
                if self.allow_repeats
                else NewArchitectures(self.key, self._seen)
            ),
        )
        self._algorithm.mating.n_max_iterations = _MATINGS
        self._algorithm.setup(self._problem, termination=NoTermination(), seed=self.random_seed)
        self._offspring: list[Codes] | None = None  # those of the generation still to hand out
        self._returned: list[Individual] = []

    def _propose(self) -> Codes | None:
        if not self._algorithm.is_initialized:
            return self.random_new()
        if self._offspring is None:
            self._offspring = self._breed(self.population_size)
        codes = self._next_offspring(self._offspring)
        if codes is None:  # the generation is handed out but not back yet
            self._offspring = self._breed(2)
            codes = self._next_offspring(self._offspring)
        return codes

    def _next_offspring(self, offspring: list[Codes]) -> Codes | None:
        while offspring:
            codes = offspring.pop(0)
            if self.is_new(codes):
                return codes
        return None

    def _breed(self, number: int) -> list[Codes]:
        algorithm = self._algorithm
        offspring = algorithm.mating.do(
            self._problem,
            algorithm.pop,
            number,
            algorithm=algorithm,
            random_state=algorithm.random_state,
        )
        return [individual.X for individual in offspring]

    def _observed(self, codes: Codes, values: Values) -> None:
        row = len(self.observations) - 1
        self._returned.append(Individual(X=codes, F=values, row=row))
        if len(self._returned) == self.population_size:
            self._revalue()
            self._algorithm.tell(Population(self._returned))
            self._returned, self._offspring = [], None

    def _revalue(self) -> None:
        """Let survival compare parents and offspring by what is known of them now."""
        values, _ = self._denoised()
        parents = self._algorithm.pop if self._algorithm.is_initialized else []
        for individual in [*parents, *self._returned]:
            individual.F = values[individual.get("row")]
