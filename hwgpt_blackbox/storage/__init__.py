"""Artifacts and measurement sets on disk: names, places, reading without trust, whole writes.

How hosts are reached is here, too.
"""
