"""Stimulus: seeded random beats and commands, and directed ones that reach the corners."""
