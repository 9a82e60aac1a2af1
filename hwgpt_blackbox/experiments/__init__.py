"""Experiments: problems, runs in simulated time, their results, analysis and figures.

Import from the modules: ``problems`` (what is optimised), ``runs`` (one search), ``grid`` (many),
``store`` (their files), ``analysis`` (hypervolume, summary), ``figures``.
"""
