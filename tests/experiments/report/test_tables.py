"""The tables behind the report, on numbers small enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers import write_table

from hwgpt_blackbox.domain.encoding import Encoding
from hwgpt_blackbox.domain.objectives import parse_objective
from hwgpt_blackbox.domain.spaces import SPACES
from hwgpt_blackbox.experiments.problems import Problem
from hwgpt_blackbox.experiments.report.attainment import attainment_table, difference_table
from hwgpt_blackbox.experiments.report.choices import choices_table, shares
from hwgpt_blackbox.experiments.report.convergence import convergence_table
from hwgpt_blackbox.experiments.report.landscape import (
    correlation_table,
    distribution_table,
    space_sample,
)
from hwgpt_blackbox.experiments.report.optimum import optimum
from hwgpt_blackbox.experiments.report.power_law import AUTHORS, power_law_table, predicted
from hwgpt_blackbox.experiments.report.ranks import draw_ranks, rank_table
from hwgpt_blackbox.experiments.report.tables import (
    escape_latex,
    latex_table,
    run_table,
    score_table,
)
from hwgpt_blackbox.experiments.results.run_file import StoredRun
from hwgpt_blackbox.experiments.runs import RunSettings


def unit_problem() -> Problem:
    """Ideal 0 and nadir 1 in both objectives."""
    columns = (parse_objective("perplexity"), parse_objective("latency@a100"))
    return Problem("s", columns, ("a100",), (0.0, 0.0), (1.0, 1.0))


def run_of(values, method="RS", seed=0, hours=None) -> StoredRun:
    problem = unit_problem()
    hours = np.arange(1, len(values) + 1) if hours is None else np.array(hours)
    frame = pd.DataFrame(values, columns=[f"expected_{t}" for t in problem.targets])
    frame["simulated_time"] = 3600.0 * hours
    run = RunSettings(problem, method, seed, trials=len(values))
    return StoredRun(run, {}, {}, Path(run.name), frame)


def test_convergence():
    runs = [
        run_of([[1, 1], [0.1, 0.1], [0, 0]], seed=0),
        run_of([[0.1, 0.1], [0.1, 0.1]], seed=1, hours=[2, 4]),
    ]
    table = convergence_table(unit_problem(), runs, 1.21)
    trials = table[table["axis"] == "trials"]
    assert trials["at"].tolist() == [1, 2]  # the shortest run ends here
    np.testing.assert_allclose(trials["hypervolume_median"], [(0.01 + 1.0) / 2, 1.0])
    np.testing.assert_allclose(trials["hypervolume_q25"], [0.01 + 0.99 / 4, 1.0])
    np.testing.assert_allclose(trials["regret_median"], 1.21 - trials["hypervolume_median"])
    hours = table[table["axis"] == "simulated_hours"].set_index("at")
    assert hours.index.max() == 3
    before = hours[hours.index < 1]
    assert (before["hypervolume_median"] == 0).all()  # no trial has ended
    between = hours[(hours.index > 1) & (hours.index < 2)]
    np.testing.assert_allclose(between["hypervolume_median"], 0.005)
    assert (table["seeds"] == 2).all()


def test_attainment_and_differences():
    runs = [
        run_of([[0.1, 0.5], [0.5, 0.1], [0.9, 0.9]], "A", 0),
        run_of([[0.2, 0.2]], "A", 1),
        run_of([[0.9, 0.9]], "B", 0),
        run_of([[0.8, 0.8]], "B", 1),
        run_of([[0.7, 0.7]], "B", 2),
    ]
    table = attainment_table(unit_problem(), runs)
    assert set(table["percentile"]) == {25, 50, 75}
    half = table[(table["method"] == "A") & (table["percentile"] == 50)]
    assert half[["value_0", "value_1"]].to_numpy().tolist() == [[0.1, 0.5], [0.2, 0.2], [0.5, 0.1]]
    median = table[(table["method"] == "B") & (table["percentile"] == 50)]
    assert median[["value_0", "value_1"]].to_numpy().tolist() == [[0.8, 0.8]]
    differences = difference_table(unit_problem(), runs)
    assert set(differences["method_a"]) == {"A"}
    assert differences["difference"].between(0, 1, inclusive="right").all()
    assert difference_table(unit_problem(), runs[:2]).empty


@pytest.mark.parametrize("values", [[[0.1, 0.5], [0.5, 0.1]], [[0.2, 0.2]]])
def test_equal_methods_have_no_differences(values):
    runs = [run_of([*values, [0.9, 0.9]], "A"), run_of(values, "B"), run_of([[0.6, 0.6]], "C")]
    assert difference_table(unit_problem(), runs[:2]).empty
    differences = difference_table(unit_problem(), runs)
    assert set(zip(differences["method_a"], differences["method_b"], strict=True)) == {
        ("A", "C"),
        ("B", "C"),
    }


@pytest.mark.filterwarnings("error")
def test_ranks_of_equal_methods():
    rows = [(f"p{i}", method, 0.5) for i in range(8) for method in "ABC"]
    ranking = rank_table(pd.DataFrame(rows, columns=["problem", "method", "hypervolume"]))
    assert ranking.friedman_p == 1.0
    assert ranking.ranks["rank"].tolist() == [2.0, 2.0, 2.0]
    assert not ranking.pairs["significant"].any()
    assert draw_ranks(ranking).axes


def test_ranks_say_when_problems_are_too_few():
    rows = [
        (f"p{i}", m, s, v) for i in range(5) for m, v in (("A", 1.0), ("B", 0.5)) for s in (0, 1)
    ]
    ranking = rank_table(pd.DataFrame(rows, columns=["problem", "method", "seed", "hypervolume"]))
    assert ranking.ranks[["method", "rank"]].to_numpy().tolist() == [["A", 1.0], ["B", 2.0]]
    assert ranking.pairs.empty
    assert "No test of significance: 5 problems and 2 methods" in ranking.note


def test_ranks_with_tests():
    rng = np.random.default_rng(0)
    rows = []
    for i in range(10):
        for method, mean in (("A", 0.9), ("B", 0.8), ("C", 0.8)):
            rows.append((f"p{i}", method, mean + 0.01 * rng.standard_normal()))
    rows.append(("p10", "A", 1.0))  # the others lack it
    ranking = rank_table(pd.DataFrame(rows, columns=["problem", "method", "hypervolume"]))
    assert ranking.ranks["method"].iloc[0] == "A"
    assert ranking.ranks["rank"].iloc[0] == 1.0
    assert "1 of 11 problems lack a method" in ranking.note
    assert ranking.friedman_p < 0.01
    # Demšar (2006), table 5: q = 2.343 for three methods.
    assert ranking.critical_difference == pytest.approx(2.343 * np.sqrt(3 * 4 / 60), abs=1e-3)
    pairs = ranking.pairs.set_index(["method_a", "method_b"])
    assert pairs.loc[("A", "B"), "p"] == pytest.approx(2 / 2**10)
    assert pairs.loc[("A", "B"), "p_holm"] == pytest.approx(3 * 2 / 2**10)
    assert pairs["significant"].tolist() == [True, True, False]
    assert draw_ranks(ranking).axes


def test_tables_and_latex():
    runs = [
        run_of([[0.1, 0.1], [0, 0], [0, 0]], "A_1"),
        run_of([[1, 1], [0.1, 0.1]], "A_1", 1),
        run_of([[1, 1], [1, 1]], "B"),
    ]
    from hwgpt_blackbox.experiments.report.convergence import traces

    table = run_table(runs, traces(runs), {unit_problem().name: 1.21})
    assert table["trials"].tolist() == [2, 2, 2]  # cut at the shortest
    np.testing.assert_allclose(table["regret"], [0.0, 0.21, 1.2], atol=1e-12)
    scores = score_table(table)
    assert scores["method"].tolist() == ["A_1", "B"]
    latex = latex_table(scores)
    assert r"Problem & A\_1 & B & Optimum \\" in latex
    assert r"$\mathbf{1.1050}_{0.1050}$ & $0.0100$ & 1.2100 \\" in latex
    assert escape_latex("a\\b%\n") == r"a\textbackslash{}b\% "
    unknown = latex_table(score_table(run_table(runs, traces(runs), {})))
    assert "Optimum" not in unknown


def test_shares_count_active_layers_only():
    encoding = Encoding(SPACES["s"])
    matrix = np.zeros((2, encoding.num_columns), dtype=np.uint8)
    matrix[1, :] = encoding.sizes - 1
    matrix[0, 3 + 10 :] = 2  # layers 10 and 11 of a network of 10, and all heads
    table = shares(encoding, matrix).set_index(["hyperparameter", "value"])["share"]
    assert table["embed_dim", 192] == table["embed_dim", 768] == 0.5
    assert table["mlp_ratio", 2] == pytest.approx(10 / 22)
    assert table["num_heads", 12] == 1.0
    assert table.groupby(level=0).sum().round(12).eq(1).all()


def test_choices_of_the_exact_front():
    problem = Problem.parse("s", ["perplexity", "energy@a100"])
    table = choices_table(problem, [], optimum(problem).front)
    assert set(table["front"]) == {"exact front"}
    assert table.groupby("hyperparameter")["share"].sum().round(12).eq(1).all()


def test_no_exact_front_is_said(monkeypatch):
    from hwgpt_blackbox.errors import DataError
    from hwgpt_blackbox.experiments.report import optimum as module

    def fail(*args):
        raise DataError("too fine")

    monkeypatch.setattr(module, "reference_front", fail)
    found = module.optimum(Problem.parse("s", ["perplexity", "flops"]))
    assert found.front is None
    assert np.isnan(found.hypervolume)
    assert "no exact front, hence no regret (too fine)" in found.note


def test_power_law_is_near_the_authors():
    sample = space_sample("s", size=1000)
    table = power_law_table(sample).set_index("term")
    assert table["r2"].iloc[0] > 0.99
    exponents = table.drop("factor")
    np.testing.assert_allclose(exponents["coefficient"], exponents["authors"], atol=0.02)
    assert table.loc["factor", "coefficient"] == pytest.approx(646.234, rel=0.1)
    law = predicted(sample, np.array(list(AUTHORS["s"].values())))
    np.testing.assert_allclose(law, sample.values["perplexity"], rtol=0.1)
    assert power_law_table(space_sample("m", size=300))["authors"].isna().all()


def test_power_law_finds_known_coefficients():
    from dataclasses import replace

    sample = space_sample("s", size=400)
    truth = np.array([500.0, -0.2, -0.3, -0.1, -0.05, 0.02])
    exact = replace(sample, values=pd.DataFrame({"perplexity": predicted(sample, truth)}))
    table = power_law_table(exact)
    np.testing.assert_allclose(table["coefficient"], truth, rtol=1e-8)


def test_correlations_and_distributions():
    sample = space_sample("s", size=200)
    table = correlation_table(sample)
    taus = table.pivot(index="a", columns="b", values="kendall_tau")
    assert len(taus) == 32
    np.testing.assert_allclose(taus, taus.T)
    assert np.diag(taus).tolist() == [1.0] * 32
    assert taus.loc["flops", "params"] > 0.9 > 0 > taus.loc["perplexity", "flops"]
    found = distribution_table(sample, ["perplexity"])
    narrow = found[(found["hyperparameter"] == "embed_dim") & (found["value"] == "192")]
    mask = sample.hyperparameters["embed_dim"] == 192
    assert narrow["architectures"].iloc[0] == mask.sum()
    assert narrow["quantile"].max() == sample.values["perplexity"][mask].max()
    sizes = found.drop_duplicates(["hyperparameter", "value"]).groupby("hyperparameter")
    assert (sizes["architectures"].sum() == 200).all()


def test_measured_rows_are_used_where_at_hand(artifacts):
    objectives = write_table(artifacts / "hwgpt-s-tabular", "s", size=12)
    sample = space_sample("s")
    assert (sample.kind, len(sample.values)) == ("measured", 12)
    measured = objectives[0, :, :, 0, 2].astype(float).mean(axis=1)  # a100, latency
    np.testing.assert_allclose(np.sort(sample.values["latency@a100"]), np.sort(measured), rtol=1e-6)
    assert space_sample("s", measured=False, size=5).kind == "random"
