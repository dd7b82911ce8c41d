"""Scoreboards: the golden model's results, compared in order."""
