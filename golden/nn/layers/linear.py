"""Quantized Linear layers."""

import torch
from torch import nn

from vsq.golden.nn.layers.base import QuantizedLayer


class QuantizedLinear(QuantizedLayer, nn.Linear):
    """A quantized Linear: rows are tokens, [M, 1, K]. It takes nested tensors, as nn.TransformerEncoder passes them."""

    @property
    def channels(self) -> tuple[int, int]:
        """The last axis."""
        return -1, self.in_features

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return [M, 1, K]."""
        values = torch.cat([part.flatten(0, -2) for part in x.unbind()]) if x.is_nested else x
        return values.float().reshape(-1, 1, self.in_features)

    def output(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return [..., N]."""
        if x.is_nested:
            parts = x.unbind()
            found = torch.split(y, [part.numel() // self.in_features for part in parts])
            return torch.nested.as_nested_tensor(
                [self.output(*pair) for pair in zip(found, parts, strict=True)], layout=x.layout
            )
        return y.reshape(*x.shape[:-1], y.shape[-1]).to(x.dtype)

    def weight_rows(self) -> torch.Tensor:
        """Return [N, 1, K]."""
        return self.weight.float()[:, None]


class QuantizedConv1D(QuantizedLayer):
    """A quantized ``Conv1D`` of transformers: a Linear whose weights are [K, N]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output."""
        return super().forward(x)

    @property
    def channels(self) -> tuple[int, int]:
        """The last axis."""
        return -1, len(self.weight)

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return [M, 1, K]."""
        return x.float().reshape(-1, 1, x.shape[-1])

    def output(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return [..., N]."""
        return y.reshape(*x.shape[:-1], y.shape[-1]).to(x.dtype)

    def weight_rows(self) -> torch.Tensor:
        """Return [N, 1, K]."""
        return self.weight.float().T[:, None]
