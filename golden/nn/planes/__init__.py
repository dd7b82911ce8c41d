"""Layers and tensors as sums of several quantized planes."""
