"""Search of an acquisition function over discrete points: best of a pool, then hill climbing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hwgpt_blackbox.optimizers._space import Codes, SearchSpace

Points = npt.NDArray[np.float64]
"""(points, columns): rows of an encoding that the caller understands."""

_ALL_CHOICES = 8  # a hyperparameter of up to so many choices is tried at each
_DRAWS = 4  # values tried of one with more, besides the two next to it
_STEP = 0.1  # standard deviation of these draws, as a share of the range


def one_step_neighbours(
    space: SearchSpace, codes: Codes, free: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Codes:
    """Configurations that differ from one in a single hyperparameter.

    All of them where the hyperparameter has few choices; else the two next ones (if it is
    ordered) and some draws around the present one, or anywhere (if it is not).

    :param space: the encoding
    :param codes: (d,)
    :param free: (d,), which hyperparameters may be changed
    :param rng: where the draws come from
    :return: (neighbours, d)
    """
    rows: list[int] = []
    values: list[float] = []
    for i in np.flatnonzero(free):
        dimension, code = space.dimensions[i], float(codes[i])
        size = dimension.size
        if size and size <= _ALL_CHOICES:
            others = {float(v) for v in range(size)}
        elif not size:
            others = set(np.clip(code + _STEP * rng.standard_normal(_DRAWS), 0.0, 1.0).tolist())
        elif dimension.kind == "categorical":
            others = set(rng.integers(size, size=_DRAWS).astype(float).tolist())
        else:
            draws = np.rint(code + _STEP * size * rng.standard_normal(_DRAWS))
            near = np.append(draws, [code - 1, code + 1])
            others = set(np.clip(near, 0.0, size - 1.0).tolist())
        others.discard(code)
        rows.extend([int(i)] * len(others))
        values.extend(sorted(others))
    result = np.repeat(codes[None], len(rows), axis=0)
    result[np.arange(len(rows)), rows] = values
    return result


def maximise(
    score: Callable[[Points], npt.NDArray[np.float64]],
    neighbours: Callable[[Points], Points],
    pool: Points,
    *,
    starts: int,
    max_steps: int,
) -> tuple[Points, npt.NDArray[np.float64]]:
    """Climb from the best points of ``pool`` to better neighbours until none is better.

    All climbers move in step, so that each step is one batched call of ``score``; every point is
    scored once, and climbers that meet go on as one. Only points that ``neighbours`` returns are
    visited, so its filter (no duplicates, nothing pending) holds for the answer.

    :param score: (points, columns) -> (points,) to be maximised; ties go to the earlier point
    :param neighbours: all admissible neighbours of one point, (1, columns) -> (neighbours, columns)
    :param pool: (points, columns), not empty
    :param starts: number of climbers
    :param max_steps: largest number of moves of a climber
    :return: visited points that nothing nearby beats (or that the last step reached) and their
        scores, best first
    """
    values = score(pool)
    order = np.argsort(-values, kind="stable")[:starts]
    points, values = pool[order], values[order]
    seen: dict[bytes, float] = {}
    done: list[tuple[float, Points]] = []
    for _ in range(max_steps):
        around = [neighbours(point[None]) for point in points]
        fresh: dict[bytes, Points] = {}
        keys = [[row.tobytes() for row in block] for block in around]
        for block, names in zip(around, keys, strict=True):
            for row, name in zip(block, names, strict=True):
                if name not in seen and name not in fresh:
                    fresh[name] = row
        if fresh:
            scores = score(np.stack(list(fresh.values())))
            seen.update(zip(fresh, scores.tolist(), strict=True))
        moved: dict[bytes, tuple[float, Points]] = {}
        for point, value, block, names in zip(points, values, around, keys, strict=True):
            best = max(range(len(names)), key=lambda i: seen[names[i]], default=None)
            if best is None or not seen[names[best]] > value:
                done.append((float(value), point))
            else:
                moved.setdefault(names[best], (seen[names[best]], block[best]))
        if not moved:
            break
        values = np.array([value for value, _ in moved.values()])
        points = np.stack([point for _, point in moved.values()])
    else:
        done.extend(zip(values.tolist(), points, strict=True))
    done.sort(key=lambda pair: -pair[0])
    return np.stack([point for _, point in done]), np.array([value for value, _ in done])
