"""Named suites: experiments that are shipped, one row each, budgets and seeds stated."""

from __future__ import annotations

from dataclasses import dataclass

from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.spaces import MEASURED_SPACES
from hwgpt_blackbox.errors import unknown
from hwgpt_blackbox.experiments.grid_definition import Grid
from hwgpt_blackbox.optimizers import METHODS

EVERY = tuple(METHODS)
"""Every method."""

COSTS = (
    "Other methods: --methods. On one core, 500 trials take RSBO, LSBO and EHVI some 12 s each on\n"
    "space s, 18 s on m and 28 s on l, and all others 1 s at most: paper-two-objectives-s takes\n"
    "1.5 hours of processor time, -m takes 2 and -l takes 3.2."
)
"""Measured with one thread."""

SEEDS = (0, 1, 2, 3, 4)
TRIALS, WORKERS = 500, 4


@dataclass(frozen=True)
class Suite:
    """An experiment that is run by its name.

    :param name: as typed
    :param description: one line
    :param grids: what is run
    """

    name: str
    description: str
    grids: tuple[Grid, ...]


def _paper(space: str, objectives: tuple[tuple[str, ...], ...], *devices: str) -> Grid:
    return Grid((space,), objectives, devices, EVERY, SEEDS, TRIALS, WORKERS)


_TWO = (("perplexity", "latency"), ("perplexity", "energy"))
_ERROR = (("error", "latency"), ("error", "energy"))
_THREE = (("perplexity", "latency@rtx2080", "energy@a6000"),)
_AGNOSTIC = tuple(
    ("perplexity", metric) for metric in ("flops", "params", "memory_float16", "memory_bfloat16")
)

SUITES: dict[str, Suite] = {
    row.name: row
    for row in (
        Suite(
            "quickstart",
            "a first look: perplexity and energy on one device, all eight methods",
            (Grid(("s",), (("perplexity", "energy@rtx2080"),), (), EVERY, (0, 1, 2), 150, 4),),
        ),
        *(
            Suite(
                f"paper-two-objectives-{space}",
                "perplexity with latency, and with energy, on each of the 13 devices",
                (_paper(space, _TWO, *DEVICES),),
            )
            for space in MEASURED_SPACES
        ),
        *(
            Suite(
                f"paper-three-objectives-{space}",
                "perplexity, latency on rtx2080 and energy on a6000",
                (_paper(space, _THREE),),
            )
            for space in MEASURED_SPACES
        ),
        *(
            Suite(
                f"paper-device-agnostic-{space}",
                "perplexity with FLOPs, parameters, and memory in float16 and bfloat16",
                (_paper(space, _AGNOSTIC),),
            )
            for space in MEASURED_SPACES
        ),
        *(
            Suite(
                f"error-{space}",
                "wrong next tokens with latency, and with energy, on rtx2080 and a100",
                (_paper(space, _ERROR, "rtx2080", "a100"),),
            )
            for space in MEASURED_SPACES
        ),
    )
}
"""Every suite by name."""


def get_suite(name: str) -> Suite:
    """The suite called ``name``.

    :raises InputError: there is none
    """
    if name not in SUITES:
        raise unknown("suite", name, SUITES)
    return SUITES[name]


def describe_suites() -> str:
    """A table of all suites: problems, methods, seeds, trials and runs of each."""
    lines = []
    for suite in SUITES.values():
        problems = sum(_count_problems(grid) for grid in suite.grids)
        runs = sum(_count_problems(g) * len(g.methods) * len(g.seeds) for g in suite.grids)
        first = suite.grids[0]
        lines.append(
            f"{suite.name}\n    {suite.description}; space {' '.join(first.spaces)}\n"
            f"    {problems} problems × {' '.join(first.methods)} × "
            f"{len(first.seeds)} seeds ({' '.join(map(str, first.seeds))}) = {runs} runs of "
            f"{first.trials} trials, {first.workers} workers"
        )
    return "\n".join([*lines, "", COSTS])


def _count_problems(grid: Grid) -> int:
    """Number of problems, without reading an artifact."""
    sets = sum(len(grid.devices) if grid.devices else 1 for _ in grid.objectives)
    return len(grid.spaces) * sets
