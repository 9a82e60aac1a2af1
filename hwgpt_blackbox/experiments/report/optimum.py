"""The exact optimum of a problem: what every method's hypervolume is compared with."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from hwgpt_blackbox.errors import HWGPTError
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.fronts import ReferenceFront, reference_front

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Optimum:
    """What is known of a problem's optimum.

    :param front: the Pareto front of all architectures, or None if it could not be computed
    :param hypervolume: normalised, with the problem's ideal and nadir; NaN without a front
    :param gap: most that the true optimum may be above it, normalised; 0 if the front is exact
    :param note: why it is missing or inexact; empty otherwise
    """

    front: ReferenceFront | None
    hypervolume: float
    gap: float
    note: str


def optimum(problem: Problem) -> Optimum:
    """Compute the exact front of a problem with the installed artifact.

    :return: without a front if there is none, for instance of the slowest device's elapsed time
    """
    try:
        front = reference_front(problem.space, problem.targets)
        value = front.hypervolume(problem.ideal, problem.nadir)
        gap = 0.0 if front.exact else front.hypervolume_gap_bound
    except HWGPTError as error:
        note = f"{problem.name}: no exact front, hence no regret ({error})"
        logger.info("%s", note)
        return Optimum(None, float("nan"), float("nan"), note)
    note = (
        ""
        if front.exact
        else (
            f"{problem.name}: the reference front is not exact; the optimal hypervolume may be "
            f"larger by {gap:.2g} at most"
        )
    )
    return Optimum(front, value, gap, note)
