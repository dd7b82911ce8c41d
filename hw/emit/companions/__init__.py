"""Companion files: what other tools need beside emitted Verilog, each from the manifest alone."""
