"""The streams of each design as columns of numbers and as words of ports; without cocotb."""
