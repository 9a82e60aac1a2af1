from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.experiments.report import page_data
from hwgpt_blackbox.experiments.report.overview import verdict
from hwgpt_blackbox.experiments.report.ranks import rank_table
from hwgpt_blackbox.experiments.report.tables import score_table


def decoded(space, text: str) -> dict[str, object]:
    """What ``decode`` of ``page.js`` does, without a browser."""
    digits = page_data.space_data(space)
    group, rest = int(text[: digits["group"]], 36), text[digits["group"] :]
    codes = [int(rest[i : i + digits["layer"]], 36) for i in range(0, len(rest), digits["layer"])]
    e, n = divmod(group // 2, len(space.num_layers))
    ratios, heads = zip(*(divmod(code, len(space.num_heads)) for code in codes), strict=True)
    return {"n": n, "e": e, "b": group % 2, "ratios": ratios, "heads": heads}


@pytest.mark.parametrize("name", ["s", "l", "xl-wide"])
def test_architectures_as_texts(name):
    encoding = Encoding(SPACES[name])
    matrix = encoding.sample(50, np.random.default_rng(0))
    texts = page_data.architecture_texts(encoding, matrix).split(" ")
    mlp, heads = encoding.layer_choices(matrix)
    for row, text in enumerate(texts):
        found, depth = decoded(encoding.space, text), encoding.active(matrix)[row].sum()
        assert [found["n"], found["e"], found["b"]] == matrix[row, :3].tolist()
        assert list(found["ratios"]) == mlp[row, :depth].tolist()
        assert list(found["heads"]) == heads[row, :depth].tolist()


def test_curves_are_thinned_where_they_do_not_change():
    values = [0.0, 0.5, 0.5, 0.5, 0.7, 0.7]
    table = pd.DataFrame({"method": "A", "axis": "trials", "at": np.arange(1.0, 7.0)})
    for level in ("q25", "median", "q75"):
        table[f"hypervolume_{level}"] = values
    curve = page_data.curves(table)["A"]["trials"]
    assert curve["at"] == [1, 2, 5, 6]  # and the end
    assert curve["median"] == [0.0, 0.5, 0.7, 0.7]


def test_what_is_not_finite_is_null():
    assert page_data.rounded([1 / 3, np.nan, -np.inf]) == [0.33333, None, None]


def runs_of(rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["problem", "method", "seed", "hypervolume"])
    return table.assign(trials=1, simulated_hours=1.0, optimum=1.0, regret=1 - table["hypervolume"])


def test_verdict_says_who_by_how_much_and_whether_it_is_significant():
    rng = np.random.default_rng(0)
    rows = [
        (f"p{i:02}", method, 0, mean + 0.001 * rng.standard_normal())
        for i in range(10)
        for method, mean in (("A", 0.9), ("B", 0.9), ("C", 0.8))
    ]
    runs = runs_of(rows)
    who, much, sure = verdict(rank_table(runs), score_table(runs))
    assert "average rank" in who
    assert "to the exact optimum" in much
    assert "differs significantly from C (p = " in sure
    assert "does not from" in sure


def test_verdict_of_a_tie_and_of_one_method():
    tie = runs_of([("p", "A", 0, 0.5), ("p", "B", 0, 0.5)])
    who, _, sure = verdict(rank_table(tie), score_table(tie))
    assert who.startswith("No single winner: A, B share")
    assert sure.startswith("No test of significance")
    one = runs_of([("p", "A", 0, 0.5)])
    assert verdict(rank_table(one), score_table(one)) == [
        "Only A was run: there is nothing to compare it with."
    ]


def test_verdict_of_one_problem_says_whose_seeds_overlap():
    means = {"A": 0.9, "B": 0.89, "C": 0.7}
    rows = [("p", m, seed, v + 0.02 * seed) for m, v in means.items() for seed in range(3)]
    runs = runs_of(rows)
    sure = verdict(rank_table(runs), score_table(runs))[2]
    assert sure.startswith("A's quartiles over seeds overlap with those of B. No test")
    runs = runs_of([row for row in rows if row[1] != "B"])
    assert (
        "A's quartiles over seeds lie above all others'. "
        in verdict(rank_table(runs), score_table(runs))[2]
    )


def test_verdict_where_no_problem_has_all_methods():
    runs = runs_of([("p", "A", 0, 0.5), ("q", "B", 0, 0.5)])
    assert "nothing can be ranked" in verdict(rank_table(runs), score_table(runs))[0]
