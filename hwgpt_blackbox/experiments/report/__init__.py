"""The report of experiments: ``read_results`` then ``write_report``, or any of their parts.

Each plot for papers is two public functions, one that computes a tidy table and one that draws it:
``convergence``, ``attainment`` (surfaces and differences), ``ranks``, ``choices``, ``landscape``
(correlations and distributions) and ``power_law``; the fronts are in ``experiments.figures``. The
page's are drawn in the browser, by ``templates/report.js``, of what ``page_data`` embeds.
"""

from hwgpt_blackbox.experiments.report.build import Report, write_report
from hwgpt_blackbox.experiments.report.inputs import Results, read_results
from hwgpt_blackbox.experiments.results.syne_tune_folder import read_experiment

__all__ = ["Report", "Results", "read_experiment", "read_results", "write_report"]
