"""The mean of a layer's outputs, which the bias of a quantized layer restores.

    bias += mean(float outputs) - mean(quantized outputs)        one mean per output channel, over the calibration data

Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (arXiv 1906.04721).
"""

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes


class ChannelMean:
    """The mean of a layer's outputs, of all its calls."""

    def __init__(self, layer: nn.Module) -> None:
        axes = len(getattr(layer, "kernel_size", ()))  # of positions, which follow a convolution's channels
        self.axis = -1 - axes
        self.count = 0
        self.sums: torch.Tensor | None = None  # [N]

    @torch.no_grad()
    def observe(self, y: torch.Tensor) -> None:
        """Take the outputs of one call, unseen by who watches the model's operations."""
        with torch._C.DisableTorchFunction(), _disable_current_modes():
            for part in y.unbind() if y.is_nested else (y,):
                rows = part.detach().double().movedim(self.axis, -1)
                rows = rows.reshape(-1, rows.shape[-1])
                self.sums = rows.sum(dim=0) if self.sums is None else self.sums + rows.sum(dim=0)
                self.count += len(rows)

    def value(self) -> torch.Tensor:
        """Return the mean, [N] in float64."""
        assert self.sums is not None
        return self.sums / self.count


def add(layer: Any, delta: torch.Tensor) -> None:
    """Give the layer a bias that is larger by ``delta``, in a parameter of its own."""
    bias = layer.bias
    layer.bias = nn.Parameter((bias.double() + delta).to(bias), requires_grad=bias.requires_grad)
