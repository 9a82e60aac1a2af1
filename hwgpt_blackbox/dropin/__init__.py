"""The programming interface of HW-GPT-Bench, so that code that uses it needs one import changed.

``docs/differences.md`` lists what differs, in numbers.
"""

from __future__ import annotations

from hwgpt_blackbox.dropin.api import HWGPT, HWGPTBenchAPI
from hwgpt_blackbox.dropin.baselines import BaselineRun, plot_eaf, run_baseline

__all__ = ["HWGPT", "BaselineRun", "HWGPTBenchAPI", "plot_eaf", "run_baseline"]
