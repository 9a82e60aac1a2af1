"""Measuring on this machine: latency, energy and memory of architectures, into measurement sets."""

from hwgpt_blackbox.profiling.forward_pass import TooLargeError, measure_latency
from hwgpt_blackbox.profiling.profile import profile
from hwgpt_blackbox.profiling.session import Profiled

__all__ = ["Profiled", "TooLargeError", "measure_latency", "profile"]
