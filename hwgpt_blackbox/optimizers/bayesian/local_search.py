"""Search of an acquisition function over discrete points: best of a pool, then hill climbing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.optimizers._space import Codes, SearchSpace

Points = npt.NDArray[np.float64]
"""(points, columns): rows of an encoding that the caller understands."""

Moves = npt.NDArray[np.intp]

_SHORT_LIST = 24  # moves that looked best where all were tried
_ALL_CHOICES = 8  # a hyperparameter of up to so many choices is tried at each
_DRAWS = 4  # values tried of one with more, besides the two next to it
_STEP = 0.1  # standard deviation of these draws, as a share of the range


class Neighbours(NamedTuple):
    """Points around others.

    :ivar points: (neighbours, columns)
    :ivar owners: which of the others each is around, ascending, (neighbours,)
    :ivar moves: what was changed: a number, or -1 for what cannot be repeated, (neighbours,)
    """

    points: Points
    owners: Moves
    moves: Moves


class Neighbourhood:
    """Configurations that differ from one in a single hyperparameter.

    All of them where the hyperparameter has few choices; else the two next ones (if it is
    ordered) and some draws around the present one, or anywhere (if it is not).

    :param space: the encoding
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        few = [i for i, d in enumerate(space.dimensions) if 0 < d.size <= _ALL_CHOICES]
        self._many = [i for i in range(len(space)) if i not in few]
        sizes = [space.dimensions[i].size for i in few]
        self._which = np.repeat(np.array(few, dtype=np.intp), sizes)
        self._choices = np.concatenate([np.zeros(0), *(np.arange(size) for size in sizes)])

    def __call__(
        self,
        codes: Codes,
        free: npt.NDArray[np.bool_],
        rng: np.random.Generator,
        among: Sequence[Moves | None] | None = None,
    ) -> Neighbours:
        """Neighbours of each of several configurations.

        :param codes: (n, d)
        :param free: (n, d), which hyperparameters may be changed
        :param rng: where the draws come from
        :param among: for each configuration, the only moves to make; None: all
        """
        admitted = (codes[:, self._which] != self._choices) & free[:, self._which]
        drawn: list[tuple[int, int, float]] = []
        for row in range(len(codes)):
            only = None if among is None else among[row]
            if only is not None:
                listed = np.zeros(len(self._which), dtype=bool)
                listed[only] = True
                admitted[row] &= listed
            else:
                many = [i for i in self._many if free[row, i]]
                drawn += [(row, i, v) for i in many for v in self._drawn(i, codes[row, i], rng)]
        owners, moves = np.nonzero(admitted)
        which, values = self._which[moves], self._choices[moves]
        if drawn:
            rows, columns, others = zip(*drawn, strict=True)
            owners, which = np.append(owners, rows), np.append(which, columns)
            values, moves = np.append(values, others), np.append(moves, np.full(len(drawn), -1))
            order = np.lexsort((which, owners))
            owners, which, values, moves = (a[order] for a in (owners, which, values, moves))
        around = codes[owners]
        around[np.arange(len(owners)), which] = values
        return Neighbours(around, owners, moves)

    def _drawn(self, i: int, at: float, rng: np.random.Generator) -> list[float]:
        """Other codes of a hyperparameter of many choices."""
        dimension, code = self._space.dimensions[i], float(at)
        size = dimension.size
        if not size:
            others = set(np.clip(code + _STEP * rng.standard_normal(_DRAWS), 0.0, 1.0).tolist())
        elif dimension.kind == "categorical":
            others = set(rng.integers(size, size=_DRAWS).astype(float).tolist())
        else:
            draws = np.rint(code + _STEP * size * rng.standard_normal(_DRAWS))
            near = np.append(draws, [code - 1, code + 1])
            others = set(np.clip(near, 0.0, size - 1.0).tolist())
        return sorted(others - {code})


def names(points: Points) -> list[bytes]:
    """A name of each of the points (n, columns): equal for equal ones."""
    points = np.ascontiguousarray(points)
    kind = np.dtype((np.void, max(points.itemsize * points.shape[1], 1)))
    named: list[bytes] = points.view(kind).ravel().tolist() if points.size else []  # type: ignore[assignment]
    return named or [b""] * len(points)


def maximise(
    score: Callable[[Points], npt.NDArray[np.float64]],
    neighbours: Callable[[Points, Sequence[Moves | None]], Neighbours],
    pool: Points,
    *,
    taken: Collection[bytes],
    starts: int,
    max_steps: int,
) -> tuple[Points, npt.NDArray[np.float64]]:
    """Climb from the best points of ``pool`` to better neighbours until none is better.

    All climbers go in step, so that each step is one batched call of ``score``; every point is
    scored once, and climbers that meet go on as one. A climber that has tried all moves goes on
    with those that looked best, and tries all again when none of these is an improvement.

    :param score: (points, columns) -> (points,) to be maximised; ties go to the earlier point
    :param neighbours: points around several, (points, columns), by certain moves or all (None)
    :param pool: (points, columns), not empty, none of them taken
    :param taken: :func:`names` of points that are not visited
    :param starts: number of climbers
    :param max_steps: largest number of steps
    :return: visited points that nothing nearby beats (or that the last step reached) and their
        scores, best first
    """
    values = score(pool)
    order = np.argsort(-values, kind="stable")[:starts]
    climbers = [_Climber(pool[i], float(values[i])) for i in order]
    seen = dict.fromkeys(taken, -np.inf)
    done: list[_Climber] = []
    for _ in range(max_steps):
        around = neighbours(np.stack([c.point for c in climbers]), [c.moves for c in climbers])
        called = names(around.points)
        fresh = {name: i for i, name in enumerate(called) if name not in seen}
        if fresh:
            new = score(around.points[list(fresh.values())])
            seen.update(zip(fresh, new.tolist(), strict=True))
        scores = np.array([seen[name] for name in called])
        ends = np.searchsorted(around.owners, np.arange(len(climbers) + 1))
        going: dict[bytes, _Climber] = {}
        for climber, start, end in zip(climbers, ends[:-1], ends[1:], strict=True):
            order = start + np.argsort(-scores[start:end], kind="stable")
            if len(order) and scores[order[0]] > climber.value:
                best, moves = order[0], climber.moves
                if moves is None:
                    moves = around.moves[order[:_SHORT_LIST]]
                    moves = moves[moves >= 0]
                moved = _Climber(around.points[best], float(scores[best]), moves)
                going.setdefault(called[best], moved)
            elif climber.moves is None:
                done.append(climber)
            else:
                going.setdefault(climber.point.tobytes(), _Climber(climber.point, climber.value))
        climbers = list(going.values())
        if not climbers:
            break
    done = sorted([*done, *climbers], key=lambda climber: -climber.value)
    return np.stack([c.point for c in done]), np.array([c.value for c in done])


class _Climber(NamedTuple):
    """Where a climber is, its score, and the moves that it tries; None: all."""

    point: Points
    value: float
    moves: Moves | None = None
