"""Exact optima: reference fronts of two or more objectives, and the best under limits."""

from hwgpt_blackbox.fronts.best_under_limits import BestArchitecture, best
from hwgpt_blackbox.fronts.reference_front import ReferenceFront, reference_front
from hwgpt_blackbox.fronts.standard_problems import standard_pairs, standard_problems

__all__ = [
    "BestArchitecture",
    "ReferenceFront",
    "best",
    "reference_front",
    "standard_pairs",
    "standard_problems",
]
