"""Fault injection: mutants of the emitted design, and what finds them."""
