"""Measures: area, timing and energy as records with units."""
