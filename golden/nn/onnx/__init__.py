"""Quantized models as ONNX: standard QDQ where it can say what is computed, else local functions of the domain vsq."""
