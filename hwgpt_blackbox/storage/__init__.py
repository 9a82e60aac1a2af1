"""Artifacts on disk: names, places, reading without trust, whole writes; how hosts are reached."""
