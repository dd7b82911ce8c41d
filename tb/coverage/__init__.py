"""Functional coverage, collected at the pins."""
