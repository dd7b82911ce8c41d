"""Evaluation: tasks, accuracy against configuration, and measured gains of the algorithms."""
