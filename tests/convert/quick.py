"""A fit that takes no time, for tests of what happens around fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from helpers import random_surrogate

from hwgpt_blackbox.convert.fitting.additive_tables import on_grid
from hwgpt_blackbox.convert.fitting.whole_space import noisy_targets, write_surrogate
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.models.surrogate import AdditiveModel, Surrogate


def quick_fit(
    data: Measurements,
    rows: Any = None,
    *,
    published: Any = None,
    progress: Any = None,
    designs: Any = None,
) -> tuple[Surrogate, dict[str, Any]]:
    """A stand-in for ``fit_models``: every target is affine in the number of parameters."""
    rows = np.arange(len(data)) if rows is None else rows
    start, layer = random_surrogate(data.space).terms("params")
    groups = (3, 3, 2)
    levels = np.linspace(0.0, 1.0, 65)
    values = {"perplexity": data.perplexity, "memory_float16": data.memory_float16}
    values |= {"memory_bfloat16": data.memory_bfloat16, **noisy_targets(data)}
    models = {}
    for target, measured in values.items():
        y = measured[rows]
        mean = y.mean(axis=1) if y.ndim == 2 else y
        known = np.isfinite(mean)
        slope, offset = np.polyfit(data.params[rows][known], mean[known], 1)
        ratio = None
        if y.ndim == 2:
            expected = offset + slope * data.params[rows]
            found = np.quantile(y / expected[:, None], levels)
            middles = (found[1:] + found[:-1]) / 2
            ratio = (found / middles.mean()).astype(np.float32).astype(np.float64)[None, None, None]
        intercept = (offset + slope * start).reshape(groups)
        effect = slope * layer[:, :, :9].reshape(*groups, -1, 3, 3)
        models[target] = on_grid(AdditiveModel("identity", intercept, effect, ratio), data.space)
    notes = {name: {"design": "affine in params"} for name in models}
    notes["perplexity"] = {"fitted_on": "measurements" if published is None else "network"}
    return Surrogate(data.space, models, levels, {}), notes


def surrogate_of(data: Measurements, folder: Path) -> Path:
    """An artifact with the quick fit of all data."""
    fitted, _ = quick_fit(data)
    manifest = {
        "kind": "surrogate",
        "name": folder.name,
        "space": data.space.name,
        "links": {target: model.link for target, model in fitted.models.items()},
        "source": dict(data.source),
    }
    folder.mkdir(parents=True)
    write_surrogate(fitted, folder, manifest)
    return folder


def quick_surrogate(data: Any, folder: Path, *, published: Any, progress: Any) -> None:
    """A stand-in for ``fit_surrogate``."""
    made = surrogate_of(data, folder / "inner")
    for path in made.iterdir():
        path.rename(folder / path.name)
    made.rmdir()
