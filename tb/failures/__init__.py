"""Failures: recordings, replay and shrinking."""
