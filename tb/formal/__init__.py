"""Proofs: stream protocol, formula, equivalence."""
