"""Numbers: configuration, formats, quantizer, bit-exact datapath model and workloads.

The NumPy part, everything but ``golden.torch_quantizer``, ``golden.nn`` and ``golden.workloads``, never imports torch;
nothing here imports Amaranth or cocotb.
"""
