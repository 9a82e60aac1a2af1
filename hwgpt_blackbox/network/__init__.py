"""The network of an architecture and the supernet, in torch, which is imported when it is used."""

from hwgpt_blackbox.network.build import build_model
from hwgpt_blackbox.network.checkpoint import load_model, load_supernet
from hwgpt_blackbox.network.live import live_objective

__all__ = ["build_model", "live_objective", "load_model", "load_supernet"]
