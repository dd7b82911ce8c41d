"""Readable Verilog from cleaned RTLIL: a reader, the names of nets, expressions, and the writer of modules."""
