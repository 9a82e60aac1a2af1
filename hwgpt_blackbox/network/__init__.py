"""The network of an architecture and the supernet, in torch, which is imported when it is used."""

from hwgpt_blackbox.network.build import build_model
from hwgpt_blackbox.network.checkpoint import load_supernet

__all__ = ["build_model", "load_supernet"]
