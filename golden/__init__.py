"""Numbers: configuration, formats, quantizer, bit-exact datapath model and workloads.

The NumPy part, everything but ``vsq.golden.quantizer.pytorch``, ``vsq.golden.nn`` and ``vsq.golden.workloads``, never
imports torch; nothing here imports Amaranth or cocotb.
"""
