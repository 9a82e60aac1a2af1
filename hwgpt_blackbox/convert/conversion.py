"""The conversion of one space: read, check, fill, fit, write."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgpt_blackbox.convert.source.checkout import Checkout
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.perplexity_checkpoint import PerplexityNetwork, fitted_network
from hwgpt_blackbox.convert.source.profiler_output import CrossCheck
from hwgpt_blackbox.convert.source.stats_file import MEMORY_KEYS, read_stats
from hwgpt_blackbox.convert.write_table import table_bytes, write_table
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.spaces import get_space
from hwgpt_blackbox.errors import InputError, require
from hwgpt_blackbox.storage.artifact_kinds import artifact_name
from hwgpt_blackbox.storage.atomic_writes import Outputs, terminate_as_exit, writing
from hwgpt_blackbox.storage.locations import home

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]

SOURCE = {
    "data": "HW-GPT-Bench, github.com/automl/HW-GPT-Bench, Apache License 2.0",
    "citation": "arXiv:2405.10299",
}
"""Where the measurements come from, for manifests."""


def convert(
    source: str | Path,
    space: str,
    out: str | Path | None = None,
    *,
    tabular: bool = True,
    surrogate: bool = True,
    overwrite: bool = False,
    progress: bool = True,
    report: bool = False,
) -> list[Path]:
    """Convert the measurements of one space into artifacts.

    Nothing is at its place before everything is complete; on any error nothing of it stays.

    :param source: root of a checkout of HW-GPT-Bench
    :param space: ``s``, ``m`` or ``l``
    :param out: folder of the artifacts; default: where the blackboxes are looked for
    :param tabular: make the measured table, ``hwgpt-<space>-tabular``
    :param surrogate: fit and make the surrogate, ``hwgpt-<space>``
    :param overwrite: replace artifacts that exist
    :param progress: show a progress bar on standard error
    :param report: compute the surrogate's report card and store it in the artifact; it repeats the
        fit for each split
    :return: folders of the artifacts
    :raises InputError: unknown space, or nothing to make
    :raises DataError: the source is not a checkout, corrupt, hostile or implausible
    :raises OutputError: an artifact exists, the disk is full, the folder cannot be written
    :raises MissingExtraError: perplexities must be filled and torch is not installed, or a report
        is wanted and scipy is not
    """
    row = get_space(space, measured=True)
    if not tabular and not surrogate:
        raise InputError("neither the table nor the surrogate is wanted; choose at least one")
    if report:
        if not surrogate:
            raise InputError("a report is of the surrogate, which is not wanted; leave out one")
        require("scipy", extra="analysis")
    table, model = artifact_name(row.name, tabular=True), artifact_name(row.name)
    names = [name for name, wanted in ((table, tabular), (model, surrogate)) if wanted]
    folder = home() if out is None else Path(out).expanduser()
    outputs = Outputs(folder.absolute(), names, overwrite=overwrite)
    with terminate_as_exit(), progress_bar(progress) as say, outputs:
        checkout = Checkout(source, row, say)
        data = read_measurements(checkout)
        network, perplexity, filled_from = _complete(checkout, data)
        if tabular:
            outputs.need(table_bytes(len(data)))
            path = outputs.build(table)
            with writing(path):
                write_table(
                    data,
                    path,
                    perplexity=perplexity,
                    perplexity_source=filled_from,
                    progress=say,
                )
        if surrogate:
            from hwgpt_blackbox.convert.fitting.whole_space import fit_surrogate

            path = outputs.build(model)
            with writing(path):
                fit_surrogate(
                    data, path, published=network, progress=lambda step: say(f"fit: {step}")
                )
            if report:
                _add_report(checkout, data, path, say)
        say("putting the artifacts in place")
        return outputs.publish()


def _add_report(checkout: Checkout, data: Measurements, folder: Path, say: Progress) -> None:
    """Compute the report card of a surrogate artifact that is being built, and add it."""
    from hwgpt_blackbox.convert.judging.cards.card import judge
    from hwgpt_blackbox.convert.judging.cards.file import add_card
    from hwgpt_blackbox.storage.surrogates import read_surrogate

    card, _ = judge(checkout, data, read_surrogate(folder), progress=say)
    with writing(folder):
        add_card(folder, card)


def read_measurements(checkout: Checkout) -> Measurements:
    """All measurements of the checkout's space, checked and in natural units.

    :raises DataError: a file is unreadable, corrupt, hostile or implausible, or two disagree
    """
    stats = read_stats(checkout)
    check = CrossCheck(checkout, stats)
    check.run()
    perplexity, accuracy = check.perplexity_and_accuracy()
    source: dict[str, Any] = {
        **SOURCE,
        "files": dict(sorted(checkout.records.items())),
        "architectures": len(stats.names),
        "converted": {
            "energies": {d.name: f"times {d.energy_to_wh:g}: to Wh" for d in DEVICES.values()},
            "latencies": "ms as in stats.pkl; raw profiler output brought to ms by its own units",
        },
        "architectures_compared_with_raw_output": check.compared,
    }
    return Measurements(
        space=checkout.space,
        matrix=stats.matrix,
        latency=stats.series["latencies"],
        energy=stats.series["energies"],
        latency_repeats=stats.measured["latencies"],
        energy_repeats=stats.measured["energies"],
        memory_float16=stats.memory[MEMORY_KEYS[0]],
        memory_bfloat16=stats.memory[MEMORY_KEYS[1]],
        flops=stats.counts["flops"],
        params=stats.counts["params"],
        perplexity=perplexity,
        accuracy=accuracy,
        source=source,
    )


def _complete(
    checkout: Checkout, data: Measurements
) -> tuple[PerplexityNetwork | None, NDArray[np.float64], dict[str, Any]]:
    """The network if one is needed, perplexities without a gap, and where the filled come from."""
    missing = np.isnan(data.perplexity)
    if not missing.any():
        return None, data.perplexity, {"filled_from": None}
    network = fitted_network(checkout, data.matrix, data.perplexity)
    perplexity = data.perplexity.copy()
    perplexity[missing] = network(data.matrix[missing])
    path = checkout.checkpoint.relative_to(checkout.root).as_posix()
    filled_from = {
        "filled_from": "published perplexity network, its offset to the measurements removed",
        "log_offset": network.log_offset,
        "checkpoint": {path: checkout.records[path]},
    }
    logger.info("filled %d of %d perplexities", missing.sum(), len(missing))
    return network, perplexity, filled_from


@contextmanager
def progress_bar(shown: bool) -> Iterator[Progress]:
    """A progress bar on standard error that counts steps and names the present one."""
    from tqdm import tqdm

    interval = 0.1 if sys.stderr.isatty() else 10.0
    options = {"disable": not shown, "unit": "step", "mininterval": interval, "file": sys.stderr}
    bar: Any = None  # until the first step: an error before it needs no bar

    def say(step: str) -> None:
        nonlocal bar
        bar = tqdm(desc=step, **options) if bar is None else bar
        bar.set_description_str(step, refresh=False)
        bar.update()
        logger.debug("%s", step)

    try:
        yield say
    finally:
        if bar is not None:
            bar.close()
