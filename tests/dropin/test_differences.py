"""The numbers of the page on differences are those of the code."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from synthetic_checkout import STATS

from hwgpt_blackbox.domain.architecture_strings import ArchitectureStrings
from hwgpt_blackbox.domain.encoding import BIAS, Encoding
from hwgpt_blackbox.domain.objectives import Column
from hwgpt_blackbox.domain.parameter_counts import count
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.dropin.units import published_flops, published_params
from hwgpt_blackbox.models.prediction import Predictor
from hwgpt_blackbox.storage.surrogates import load_surrogate

PAGE = (Path(__file__).parents[2] / "docs" / "differences.md").read_text("utf-8")
SPACE_NAMES = ("s", "m", "l")


def row(beginning: str) -> list[str]:
    """The cells of the one row of a table that begins so, without the first."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {beginning}"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_numbers_of_flops_and_parameters():
    from scipy.stats import kendalltau

    for i, name in enumerate(SPACE_NAMES):
        space, encoding = SPACES[name], Encoding(SPACES[name])
        matrix = encoding.sample(10_000, np.random.default_rng(0))
        biased = np.ones(len(matrix), dtype=bool)
        estimate = published_flops(encoding, matrix, biased) * space.batch_size
        counted = count(encoding, matrix, "flops")
        ratio = estimate / counted
        without = matrix[:, BIAS] == 0
        params = count(encoding, matrix, "params")
        gained = (published_params(encoding, matrix, biased) - params)[without]
        assert row("published estimate of FLOPs")[i] == f"{np.median(ratio):.2f}"
        assert row("least")[i] == f"{ratio.min():.2f}"
        assert row("most")[i] == f"{ratio.max():.2f}"
        assert row("Kendall's tau of both")[i] == f"{kendalltau(estimate, counted).statistic:.3f}"
        assert row("parameters that an")[i] == f"{np.median(gained):,.0f}"
        assert row("the same, most")[i] == f"{(gained / params[without]).max() * 100:.2f} %"


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACE_NAMES)
def test_numbers_of_our_models(name: str, source_data: Path):
    with (source_data / STATS.format(name)).open("rb") as file:
        stats = pickle.load(file)
    architectures = ArchitectureStrings(SPACES[name])
    matrix = np.array([architectures.from_string(k, "") for k in stats], dtype=np.uint8)
    columns = [Column("perplexity"), Column("memory_float16")]
    predicted = Predictor(load_surrogate(name), columns).expected(matrix)
    measured = np.array([entry.get("perplexity", np.nan) for entry in stats.values()])
    error = (predicted[:, 0] - measured)[np.isfinite(measured)]
    i = SPACE_NAMES.index(name)
    assert f"{len(error):,} in {name}" in PAGE or f"{len(error):,} architectures in {name}" in PAGE
    assert row("mean absolute error, ours")[i] == f"{np.abs(error).mean():.3f}"
    assert row("median error, ours")[i] == f"{np.median(error).round(3) + 0.0:+.3f}"
    memory = np.array([entry["float16_memory"] for entry in stats.values()])
    ours = [line for line in PAGE.splitlines() if re.match(r"\| ours \| [\d.]+ \|", line)]
    assert ours[0].split("|")[2 + i].strip() == f"{np.abs(predicted[:, 1] - memory).mean():.2f}"
