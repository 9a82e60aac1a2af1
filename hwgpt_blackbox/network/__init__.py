"""The network of an architecture, in torch, which is imported when a network is built."""

from hwgpt_blackbox.network.build import build_model

__all__ = ["build_model"]
