"""HW-GPT-Bench for OptunaHub: what its registry loads."""

from hwgpt_blackbox.interop.optunahub import Problem

__all__ = ["Problem"]
