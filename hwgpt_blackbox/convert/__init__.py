"""Measurements to artifacts. The only part of the package that reads what others pickled."""

from __future__ import annotations

from hwgpt_blackbox.convert.conversion import convert, read_measurements
from hwgpt_blackbox.convert.source.measurements import Measurements
from hwgpt_blackbox.convert.source.perplexity_checkpoint import published_perplexity

__all__ = ["Measurements", "convert", "published_perplexity", "read_measurements"]
