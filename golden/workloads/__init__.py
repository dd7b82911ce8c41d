"""Real networks on real data, quantized and handed out layer by layer as integer tensors."""
