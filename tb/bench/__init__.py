"""The cocotb test benches."""
