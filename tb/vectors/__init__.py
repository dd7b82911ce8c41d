"""Test vectors and self-checking benches in plain Verilog."""
