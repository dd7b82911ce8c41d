"""Benchmarks: speed and area of this project beside named alternatives. They are not installed."""
