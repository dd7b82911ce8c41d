"""Hardware: Amaranth components of the vector MAC, and Verilog emission."""
