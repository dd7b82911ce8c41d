"""Standard-cell libraries in the Liberty format: cells, their logic and their power tables."""
