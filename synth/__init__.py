"""Synthesis: Yosys flow, standard-cell libraries and reports."""
