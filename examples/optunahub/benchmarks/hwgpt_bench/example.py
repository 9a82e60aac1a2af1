"""Search for small perplexity and energy, and compare with the exact optimum."""

import moocore
import optuna
import optunahub

hwgpt_bench = optunahub.load_module("benchmarks/hwgpt_bench")
problem = hwgpt_bench.Problem("s", ["perplexity", "energy@h100"])
study = optuna.create_study(
    directions=problem.directions, sampler=optuna.samplers.TPESampler(seed=0)
)
study.set_metric_names(problem.metric_names)
study.optimize(problem, n_trials=50)
found = moocore.hypervolume([trial.values for trial in study.trials], ref=problem.reference_point)
optimum = problem.front.hypervolume_at(problem.reference_point)
print(f"hypervolume: {found / optimum:.1%} of the exact optimum")
