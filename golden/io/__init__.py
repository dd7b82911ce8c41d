"""Files: atomic writes, quantized tensors and the integer layers of a model."""
