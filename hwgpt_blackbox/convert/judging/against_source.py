"""Whether an artifact, or a table, is what its source says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.user_measurements import DeviceMeasurements
from hwgpt_blackbox.domain.devices import DEVICES
from hwgpt_blackbox.domain.objectives import ELAPSED_TIME, METRICS
from hwgpt_blackbox.errors import DataError

if TYPE_CHECKING:
    from hwgpt_blackbox.storage.measured_table import Table


def same_source(manifest: dict[str, Any], data: Measurements | DeviceMeasurements) -> bool | None:
    """Whether an artifact was made from these very files; None if its manifest does not say."""
    source = manifest.get("source")
    made_from = source.get("files") if isinstance(source, dict) else None
    if not isinstance(made_from, dict) or not made_from:
        return None
    files = data.source.get("files", {})
    return all(made_from.get(name) == row for name, row in files.items())


def table_differences(table: Table, data: Measurements) -> dict[str, dict[str, float]]:
    """Largest relative difference between a table and its source, by metric.

    Elapsed time, which is computed, is left out; perplexity counts where it was measured.

    :return: by metric: ``largest_relative_difference``, and ``differing``, the number of values
    :raises DataError: the architectures are not those of the source
    """
    if table.matrix.shape != data.matrix.shape or (table.matrix != data.matrix).any():
        raise DataError(
            f"the table has {len(table.matrix)} architectures, the source {len(data)}, and they "
            "are not the same in the same order; is the table of another source?"
        )
    repeats = np.arange(table.objectives.shape[2])
    found: dict[str, dict[str, float]] = {}
    for j, metric in enumerate(METRICS.values()):
        if metric.name == ELAPSED_TIME:
            continue
        largest, differing = 0.0, 0
        for d in range(len(DEVICES)):
            source = getattr(data, metric.name)
            source = source[d] if metric.noisy else source[:, None]
            expected = source[:, repeats % source.shape[1]].astype(np.float64)
            gap = np.abs(table.objectives[d, :, :, 0, j] / expected - 1.0)
            gap = gap[np.isfinite(expected)]
            largest = max(largest, float(gap.max(initial=0.0)))
            differing += int((gap > 0.0).sum())
        found[metric.name] = {"largest_relative_difference": largest, "differing": differing}
    return found
