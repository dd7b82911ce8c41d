"""Layers that compute with quantized weights and inputs."""
