"""Exploration of a design space: which points, what is measured, how it runs, and where the figures are kept."""
