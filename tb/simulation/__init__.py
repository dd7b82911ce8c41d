"""Simulators: which are there, how they build, and the cache of what they built."""
