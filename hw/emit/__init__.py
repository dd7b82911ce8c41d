"""Emission: RTLIL, Verilog, AXI4-Stream wrapper and manifests."""
