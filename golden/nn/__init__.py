"""Algorithms that choose the numbers: calibration, scales of least error, planes, and compensated rounding (PyTorch).

Weights stand here in the quantizers' layout, with the reduction axis last: ``weight.movedim(1, -1)`` of a Linear or
Conv layer, which leaves a Linear's weight as it is.
"""
