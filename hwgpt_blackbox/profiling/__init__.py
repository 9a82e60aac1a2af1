"""Measuring on this machine: latency, energy and memory of architectures, into measurement sets."""

from hwgpt_blackbox.profiling.profile import Profiled, profile

__all__ = ["Profiled", "profile"]
