"""The quantizer of tensors, for NumPy and PyTorch arrays."""
