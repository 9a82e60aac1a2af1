"""The power law of perplexity: c · l^a · e^b · m^c · h^d · b^f, by least squares on logarithms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hwgpt_blackbox.experiments.architecture_sample import ArchitectureSample
from hwgpt_blackbox.plotting.style import BLUE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TERMS = {
    "factor": "factor",
    "num_layers": "layers, l",
    "embed_dim": "embedding width, e",
    "mlp_ratio": "mean MLP ratio of the layers, m",
    "num_heads": "mean heads of the layers, h",
    "bias": "bias, b (e = 2.718… with, 1 without)",
}
"""Terms of the law, in order: the factor, then what has an exponent."""

AUTHORS = {
    "s": {
        "factor": 646.234,
        "num_layers": -0.226,
        "embed_dim": -0.371,
        "mlp_ratio": -0.100,
        "num_heads": -0.076,
        "bias": -0.001,
    }
}
"""What the authors of HW-GPT-Bench state (arXiv 2405.10299), by space."""


SHOWN = ["term", "coefficient", "standard_error", "authors"]
"""Columns of the table that differ between its rows."""


def design(sample: ArchitectureSample) -> np.ndarray:
    """Columns of the regression, shape (n, 6): 1, then logarithms in the order of :data:`TERMS`.

    The bias counts as e when it is on and as 1 when it is off, so that its logarithm is 1 or 0.
    """
    found = sample.hyperparameters
    columns = [np.ones(len(found))]
    for name in list(TERMS)[1:]:
        values = found[name].to_numpy(dtype=np.float64)
        columns.append(values if name == "bias" else np.log(values))
    return np.column_stack(columns)


def power_law_table(sample: ArchitectureSample) -> pd.DataFrame:
    """Fit the law to perplexity, and set the authors' coefficients beside ours.

    :return: columns ``space``, ``sample``, ``architectures``, ``term``, ``coefficient`` (the
        factor itself, exponents of the others), ``standard_error`` (of the factor's logarithm and
        of the exponents), ``authors`` (NaN where they state none), ``r2`` (of log-perplexity) and
        ``authors_r2``
    """
    x, y = design(sample), np.log(sample.values["perplexity"].to_numpy(dtype=np.float64))
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    residual = y - x @ beta
    spread = float(residual @ residual) / max(1, len(y) - x.shape[1])
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(x.T @ x)) * spread, 0.0))
    total = float(((y - y.mean()) ** 2).sum())
    stated = AUTHORS.get(sample.space, {})
    authors = np.array([stated.get(term, np.nan) for term in TERMS])
    theirs = y - x @ np.concatenate([[np.log(authors[0])], authors[1:]])
    return pd.DataFrame(
        {
            "space": sample.space,
            "sample": sample.kind,
            "architectures": len(y),
            "term": list(TERMS),
            "coefficient": [float(np.exp(beta[0])), *beta[1:].tolist()],
            "standard_error": errors,
            "authors": authors,
            "r2": 1 - float(residual @ residual) / total if total else np.nan,
            "authors_r2": 1 - float(theirs @ theirs) / total if total else np.nan,
        }
    )


def predicted(sample: ArchitectureSample, coefficients: np.ndarray) -> np.ndarray:
    """Perplexity by a law with these coefficients, in the order of :data:`TERMS`, shape (n,)."""
    beta = np.concatenate([[np.log(coefficients[0])], coefficients[1:]])
    return np.asarray(np.exp(design(sample) @ beta))


def draw_power_law(sample: ArchitectureSample, table: pd.DataFrame) -> Figure:
    """Draw what :func:`power_law_table` computed: perplexity of the law over that of the sample.

    :raises MissingExtraError: matplotlib is not installed
    """
    stated = bool(table["authors"].notna().all())
    kinds = [("coefficient", "fitted here", "r2")]
    if stated:
        kinds.append(("authors", "the authors' coefficients", "authors_r2"))
    figure, panels = new_figure(1, len(kinds), (4.2 * len(kinds), 3.8))
    truth = sample.values["perplexity"].to_numpy(dtype=np.float64)
    for axes, (column, title, r2) in zip(panels[0], kinds, strict=True):
        law = predicted(sample, table[column].to_numpy(dtype=np.float64))
        axes.scatter(truth, law, s=4, alpha=0.4, linewidths=0, color=BLUE, rasterized=True)
        ends = [truth.min(), truth.max()]
        axes.plot(ends, ends, color="black", linewidth=0.9, linestyle=":")
        axes.set_xlabel(f"perplexity, {len(truth):,} {sample.kind} architectures")
        axes.set_ylabel("perplexity by the law")
        axes.set_title(f"{title} (R² {table[r2].iloc[0]:.4f})", fontsize=9)
    return figure
