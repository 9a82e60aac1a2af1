"""Artifacts of others: fetched, published, and kept side by side on this machine."""

from __future__ import annotations

from hwgpt_blackbox.hosting.pulling import pull
from hwgpt_blackbox.hosting.pushing import push
from hwgpt_blackbox.hosting.versions import Version, cached, remove

__all__ = ["Version", "cached", "pull", "push", "remove"]
