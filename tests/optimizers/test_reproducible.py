"""Suggestions of methods that fit models do not depend on the processor, as libraries see it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import pytest

pytest.importorskip("botorch")

ANOTHER = {
    "OPENBLAS_CORETYPE": "NEHALEM",  # of NumPy and SciPy
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",  # of torch
    "ATEN_CPU_CAPABILITY": "default",  # of torch
    "OMP_NUM_THREADS": "2",
}
"""What makes the libraries choose the code of an old processor, and another number of threads."""

SEARCH = """
import json, sys
import hwgpt_blackbox
from hwgpt_blackbox.optimizers import make_scheduler

blackbox = hwgpt_blackbox.load("s", "rtx2080")
targets = ["metric_perplexity", "metric_energy"]
space, hook = blackbox.configuration_space, blackbox.canonical_form
from syne_tune.backend.trial_status import Trial
from datetime import datetime
searches = [("EHVI", 18, {"kernel": "plain"})]
searches += [(name, 50, {"kernel": "additive"}) for name in ("RSBO", "LSBO", "EHVI")]
searches += [(name, 400, {}) for name in ("RE", "NSGA2", "LS")]  # which denoise by a regression
for name, trials, options in searches:
    search = make_scheduler(name, space, targets, random_seed=0, canonical_form=hook, **options)
    for number in range(trials):
        trial = Trial(number, search.suggest().config, datetime(2020, 1, 1))
        values = dict(zip(blackbox.objectives_names, blackbox(trial.config, seed=0)[0].tolist()))
        search.on_trial_add(trial)
        search.on_trial_complete(trial, {name: values[name] for name in targets})
        print(json.dumps([values[name] for name in targets]))
"""


PRODUCT = """
import hashlib
import torch
from hwgpt_blackbox.optimizers.bayesian import reproducible
with reproducible.one_thread():
    square = torch.rand(300, 300, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    print(hashlib.sha256((square @ square).numpy().tobytes()).hexdigest())
"""


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a setting of Intel's library")
def test_a_setting_of_the_users_does_not_change_suggestions():
    found = {
        subprocess.run(
            [sys.executable, "-c", PRODUCT],
            env={**os.environ, **extra},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for extra in ({}, {"MKL_CBWR": "AVX2"}, {"MKL_CBWR": "AUTO"})
    }
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of this family")
def test_another_processor_suggests_the_same():
    runs = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", SEARCH],
            env={**os.environ, **extra},
            stdout=subprocess.PIPE,
            text=True,
        )
        for extra in ({"OMP_NUM_THREADS": "1"}, ANOTHER)
    ]
    here, there = ([json.loads(line) for line in run.communicate()[0].splitlines()] for run in runs)
    assert all(run.returncode == 0 for run in runs)
    assert len(here) == 18 + 3 * 50 + 3 * 400
    assert here == there
