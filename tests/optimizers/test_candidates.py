"""A search restricted to some configurations, for instance the rows of a table."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from helpers import SHORT_OPTIONS, write_table
from syne_tune.backend.trial_status import Trial

from hwgpt_blackbox.blackboxes.loading import load
from hwgpt_blackbox.blackboxes.table_blackbox import TabularBlackbox
from hwgpt_blackbox.errors import InputError
from hwgpt_blackbox.optimizers import METHODS, make_scheduler
from hwgpt_blackbox.storage.measured_table import Table

TARGETS = ["metric_perplexity", "metric_latency"]
SEARCHERS = [name for name, row in METHODS.items() if not row.over_fidelity]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> TabularBlackbox:
    """A table of 40 rows."""
    folder = tmp_path_factory.mktemp("tables") / "hwgpt-s-tabular"
    write_table(folder, size=40)
    return TabularBlackbox(Table.read(folder), "rtx2080")


@pytest.mark.parametrize("method", SEARCHERS)
def test_every_method_stays_among_the_rows_of_a_table(method: str, table: TabularBlackbox) -> None:
    for module in {"NSGA2": ["pymoo"]}.get(method, ["botorch"] if "O" in method else []):
        pytest.importorskip(module)
    rows = table.hyperparameters.to_dict("records")
    traces = []
    for _ in range(2):
        scheduler = make_scheduler(
            method,
            table.configuration_space,
            TARGETS,
            random_seed=3,
            canonical_form=table.canonical_form,
            candidates=rows,
            **SHORT_OPTIONS.get(method, {}),
        )
        trace = []
        for number in range(10):
            trial = Trial(number, scheduler.suggest().config, datetime(2020, 1, 1))
            values = table(trial.config, seed=0)[0]  # an error where it is in no row
            scheduler.on_trial_add(trial)
            found = dict(zip(table.objectives_names, values.tolist(), strict=True))
            scheduler.on_trial_complete(trial, {name: found[name] for name in TARGETS})
            trace.append(trial.config)
        traces.append(trace)
    assert traces[0] == traces[1]
    known = {tuple(table.canonical_form(row).items()) for row in rows}
    assert {tuple(table.canonical_form(c).items()) for c in traces[0]} <= known
    assert len({tuple(table.canonical_form(c).items()) for c in traces[0]}) == 10


def test_there_is_no_suggestion_after_the_last_candidate() -> None:
    blackbox = load("s", "a100")
    rows = blackbox.encoding.decode(blackbox.encoding.sample(5, np.random.default_rng(0)))
    scheduler = make_scheduler(
        "LS", blackbox.configuration_space, TARGETS, random_seed=0, candidates=rows
    )
    found = [scheduler.suggest().config for _ in range(5)]
    assert sorted(map(str, found)) == sorted(map(str, rows))
    assert scheduler.suggest() is None


@pytest.mark.parametrize(
    ("candidates", "message"),
    [([], "candidates are empty"), ("rows", "candidates='rows'"), ([{"x": 1}], "num_layers")],
)
def test_no_candidates(candidates: object, message: str) -> None:
    space = load("s", "a100").configuration_space
    with pytest.raises(InputError, match=message):
        make_scheduler("RS", space, TARGETS, random_seed=0, candidates=candidates)
